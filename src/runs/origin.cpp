#include "runs/origin.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/confinement.h"
#include "model/bundle_folder.h"
#include "prompt/conditioning.h"
#include "record/run_folder.h"
#include "views/selection_json.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kNoStep = std::numeric_limits<int64_t>::max();

/// For each tokenizer its chunks.
std::string tokens_json(const Manifest& manifest, const std::vector<std::vector<Chunk>>& prompt) {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (size_t i = 0; i < prompt.size(); ++i) {
    const Manifest::Tokenizer& spec = manifest.tokenizers.at(i);
    nlohmann::ordered_json chunks = nlohmann::ordered_json::array();
    for (const Chunk& chunk : prompt[i])
      chunks.push_back({{"ids", ids_of(spec, chunk)}, {"weights", weights_of(spec, chunk)}});
    all.push_back(std::move(chunks));
  }
  return all.dump();
}

}  // namespace

Machine this_machine(const Bundle& bundle) {
  Machine machine = machine_here();
  machine.device = bundle.device();
  machine.compute_dtype = bundle.manifest().denoiser.compute_dtype;
  return machine;
}

Origin origin_here(const Bundle& bundle, int64_t runs, const std::optional<int64_t>& max_batch) {
  return {.machine = this_machine(bundle),
          .model = bundle.manifest().name,
          .model_sha256 = bundle.manifest().sha256,
          .model_path = fs::absolute(bundle.folder().path()).lexically_normal(),
          .runs = runs,
          .max_batch = max_batch,
          .sandbox = confinement_text()};
}

Origin origin_of(const Task& task, Origin origin) {
  origin.frames = selection_json(task.frames);
  origin.number = task.frames.count_files ? "frames" : "steps";
  origin.decoder = task.decoder;
  origin.stop_at = task.stop_at;
  origin.stop_when_converged = task.stop_when_converged;
  origin.would_stop = task.would_stop;
  if (!task.picture.empty()) origin.picture = fs::absolute(task.picture).lexically_normal();
  origin.started = date_now();
  return origin;
}

std::vector<PromptText> prompt_texts(const Bundle& bundle, const Plan& plan) {
  const Manifest& manifest = bundle.manifest();
  std::vector<PromptText> texts;
  if (plan.before) {
    texts = prompt_texts(bundle, plan_of(*plan.before));
    std::erase_if(texts, [&](const PromptText& text) { return text.first_step > plan.recipe.branched_after; });
    for (PromptText& text : texts)
      text.last_step = std::min(text.last_step.value_or(kNoStep), plan.recipe.branched_after);
  }
  const TokenizedPrompts tokens = tokenize_prompts(manifest, bundle.folder().tokenizers(), plan.prompts);
  const int64_t first = plan.recipe.branched_after + 1;
  texts.push_back(
      {.kind = "prompt", .first_step = first, .text = plan.prompt, .tokens = tokens_json(manifest, tokens.prompt)});
  if (plan.negative_prompt || !tokens.negative.empty())
    texts.push_back({.kind = "negative_prompt",
                     .first_step = first,
                     .text = plan.negative_prompt,
                     .tokens = tokens_json(manifest, tokens.negative)});
  return texts;
}

}  // namespace steplapse
