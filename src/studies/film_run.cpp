#include "studies/film_run.h"

#include <algorithm>
#include <cmath>

#include "base/aten.h"
#include "base/number_text.h"
#include "base/png_reader.h"
#include "base/text.h"
#include "runs/run_model.h"
#include "steplapse/error.h"
#include "studies/comparison.h"
#include "views/picture_text.h"

namespace steplapse {
namespace {

/// The kind whose steps a film goes by.
FrameKind leading_kind(FilmKind kind) {
  if (kind == FilmKind::xt) return FrameKind::xt;
  return kind == FilmKind::diff ? FrameKind::diff : FrameKind::x0;
}

}  // namespace

FilmRun::FilmRun(const std::filesystem::path& run, const FilmOptions& options)
    : kind_(options.kind),
      label_(options.label),
      pictures_(run, {.decoder = options.decoder, .running = options.running, .usual_model = options.usual_model}),
      steps_(pictures_.steps(leading_kind(options.kind))) {
  if (steps_.empty())
    throw UsageError(in_quotes(pictures_.folder().string()) + ": `kind` diff compares two steps, and its log has one");
  for (const int64_t step : steps_) ratios_.push_back(noise_ratio(pictures_.level(leading_kind(kind_), step)));
}

std::vector<double> FilmRun::changes() const {
  const auto& steps = pictures_.history().steps;
  std::vector<double> changes;
  for (size_t i = 1; i < steps_.size(); ++i) {
    const auto step = static_cast<size_t>(std::max<int64_t>(steps_[i], 2));  // the first step changes nothing
    changes.push_back(step > steps.size() ? 1 : rms(steps[step - 1].step.x0 - steps[step - 2].step.x0));
  }
  return changes;
}

FilmCell FilmRun::cell(double place) {
  const auto index = static_cast<size_t>(place);
  const double share = place - std::floor(place);
  const int64_t step = steps_.at(index);
  FilmCell cell{{}, labels(step)};
  const FrameKind kind = leading_kind(kind_);
  cell.pictures.push_back(share > 0 ? interpolated(index, share) : pictures_.picture(kind, step));
  if (kind_ == FilmKind::both) cell.pictures.push_back(pictures_.picture(FrameKind::xt, step));
  return cell;
}

Picture FilmRun::interpolated(size_t before, double share) {
  const auto x0 = [&](size_t place) {
    return pictures_.history().steps.at(static_cast<size_t>(steps_.at(place) - 1)).step.x0;
  };
  return pictures_.decoded(at::lerp(x0(before), x0(before + 1), share));
}

std::vector<std::string> FilmRun::labels(int64_t step) const {
  if (label_ == FilmLabel::none) return {};
  const Facts& facts = pictures_.facts();
  const std::string here = "step " + std::to_string(step) + " of " + std::to_string(facts.steps()) + ", sigma " +
                           rounded_text(noise_ratio(pictures_.level(leading_kind(kind_), step)), 3);
  if (label_ == FilmLabel::step) return {here};
  const Recipe& recipe = facts.recipe;
  return {facts.prompt,
          "seed " + std::to_string(recipe.seed) + ", " + recipe.sampler + ", guidance " + plain(recipe.guidance.scale),
          here};
}

std::string FilmRun::parameters() const {
  const auto final_picture = pictures_.folder() / "final.png";
  if (std::filesystem::exists(final_picture)) {
    const auto texts = read_png(final_picture).texts;
    if (const auto found = texts.find("parameters"); found != texts.end()) return found->second;
  }
  const MadeWith made = made_with(pictures_.folder(), pictures_.facts_json());
  Manifest manifest;
  manifest.name = made.model;
  manifest.sha256 = made.sha256;
  const HistoryStep& last = pictures_.history().steps.back();
  const FrameRequest frame{FrameKind::x0, last.step.number, last.level(), last.step.x0};
  return picture_texts(manifest, pictures_.facts(), pictures_.decoder(), frame).front().text;
}

}  // namespace steplapse
