#include "runs/run_title.h"

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "runs/run_model.h"
#include "views/picture_text.h"

namespace steplapse {

std::string settings_line(const RunPictures& run) {
  const Recipe& recipe = run.facts().recipe;
  const int64_t made = std::ssize(run.history().steps);
  std::string text = recipe.sampler + ", " + counted(made, "step") + ", guidance scale " +
                     plain(recipe.guidance.scale) + ", seed " + std::to_string(recipe.seed) + ", " +
                     made_with(run.folder(), run.facts_json()).model;
  if (!run.state().is_over()) text += "; " + run.state().text();
  return text;
}

std::vector<PngText> texts_of(const RunPictures& run, const std::string& kind) {
  const MadeWith made = made_with(run.folder(), run.facts_json());
  Manifest manifest{};
  manifest.name = made.model;
  manifest.sha256 = made.sha256;
  manifest.clip_skip = 1;  // not known of it
  const int64_t last = std::ssize(run.history().steps);
  auto texts = picture_texts(manifest, run.facts(), run.decoder(),
                             {FrameKind::final, last, run.level(FrameKind::xt, last), run.history().last_estimate()});
  for (PngText& text : texts) {
    if (text.keyword != "steplapse") continue;
    auto about = nlohmann::ordered_json::parse(text.text);
    about["kind"] = kind;
    text.text = about.dump();
  }
  return texts;
}

}  // namespace steplapse
