#include "runs/run_pictures.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "base/machine.h"
#include "base/text.h"
#include "model/bundle_folder.h"
#include "record/run_folder.h"
#include "runs/run_model.h"
#include "steplapse/error.h"
#include "steplapse/run_log.h"
#include "views/picture_file.h"
#include "views/run_tables.h"

namespace steplapse {
namespace {

constexpr size_t kKept = 4;  // pictures: of two kinds, this one and the one before

const Tensor& answer_of(const Answer& answer, FrameKind kind) {
  return kind == FrameKind::cond ? answer.cond : answer.uncond;
}

}  // namespace

RunPictures::RunPictures(const std::filesystem::path& run, PictureOptions options)
    : folder_(existing_run(run)), options_(std::move(options)), state_(state_of(folder_)) {
  const RunLog log = RunLog::open(log_in(folder_));
  facts_json_ = log.facts_json();
  expect_bundle(made_with(folder_, facts_json_));
  state_.facts = log.facts();
  history_ = history_of(log);
  rows_ = log.steps();
  if (history_.steps.empty())
    throw UsageError(in_quotes(folder_.string()) + ": its log ends before its first step; there is nothing to show");
  rows_.resize(std::min(rows_.size(), history_.steps.size()));

  const auto facts = nlohmann::json::parse(facts_json_);
  const std::string own = facts.value("decoder", "full");
  decoder_ = options_.decoder.value_or(own);
  if (decoder_ == own) {
    for (const FrameKind kind : frame_kinds()) files_[kind] = frame_files(facts, kind);
  }
  if (options_.running.threads == 0) options_.running.threads = std::stoi(facts.value("threads", "0"));
}

std::vector<int64_t> RunPictures::steps(FrameKind kind) const {
  std::vector<int64_t> steps;
  if (kind == FrameKind::xt) steps.push_back(0);
  for (const HistoryStep& step : history_.steps) {
    const bool is_asked = kind != FrameKind::cond && kind != FrameKind::uncond;
    if (!is_asked && !answer_of(step.answers.front(), kind).defined()) continue;
    if (is_diff(kind) && step.step.number == 1) continue;
    steps.push_back(step.step.number);
  }
  return steps;
}

const NoiseLevel& RunPictures::level(FrameKind kind, int64_t step) const {
  if (kind != FrameKind::xt) return at(step).level();
  return step == 0 ? history_.recipe.schedule.levels.front() : at(step).step.level;
}

Picture RunPictures::picture(FrameKind kind, int64_t step) {
  for (const Made& one : latest_) {
    if (one.kind == kind && one.step == step) return one.picture;
  }
  Picture picture = made(kind, step);
  latest_.push_back({kind, step, picture});
  if (latest_.size() > kKept) latest_.pop_front();
  return picture;
}

Picture RunPictures::final_picture() {
  if (auto there = picture_if_there(folder_ / "final.png")) return *std::move(there);
  return decoded_by("full", history_.last_estimate(), "the final picture");
}

Picture RunPictures::decoded(const Tensor& latents) { return decoded_by(decoder_, latents, "decoder " + decoder_); }

Picture RunPictures::made(FrameKind kind, int64_t step) {
  if (is_diff(kind)) {
    // A file of it may compare with an earlier step, where not every step has a frame.
    const Picture before = picture(FrameKind::x0, step - 1), now = picture(FrameKind::x0, step);
    return kind == FrameKind::diff ? heat_map(before, now) : signed_map(before, now);
  }
  if (auto there = in_file(kind, step)) return *std::move(there);
  return decoded_by(decoder_, latents(kind, step), "step " + std::to_string(step) + ", " + std::string(name_of(kind)));
}

Tensor RunPictures::latents(FrameKind kind, int64_t step) const {
  if (kind == FrameKind::xt) return step == 0 ? history_.start : at(step).step.x;
  if (kind == FrameKind::x0) return at(step).step.x0;
  if (kind == FrameKind::final) throw std::logic_error("the final picture belongs to no step");
  return branch_prediction(history_.recipe, at(step), answer_of(at(step).answers.front(), kind)).x0;
}

std::optional<Picture> RunPictures::in_file(FrameKind kind, int64_t step) const {
  const auto files = files_.find(kind);
  if (files == files_.end()) return std::nullopt;
  const auto file = files->second.find(step);
  return file == files->second.end() ? std::nullopt : picture_if_there(folder_ / file->second);
}

Picture RunPictures::decoded_by(const std::string& decoder, const Tensor& latents, const std::string& what) {
  auto bundle = bundles_.find(decoder);
  if (bundle == bundles_.end()) {
    BundleFolder folder = bundle_of(made_with(folder_, facts_json_), options_.running.model, options_.usual_model);
    if (latents.size(1) != folder.manifest().latent_channels)
      throw UsageError(folder.path().string() + ": decodes latents of " +
                       counted(folder.manifest().latent_channels, "channel") + ", the run's have " +
                       std::to_string(latents.size(1)) + "; name a bundle of the run's family by `model`");
    set_threads(options_.running.threads);
    bundle = bundles_.emplace(decoder, load_decoders(std::move(folder), options_.running.device, {decoder})).first;
  }
  return picture_of(bundle->second.decode(decoder, latents), what);
}

}  // namespace steplapse
