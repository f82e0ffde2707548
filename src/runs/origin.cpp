#include "runs/origin.h"

#include <ATen/Parallel.h>
#include <ATen/Version.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/machine.h"
#include "model/bundle_folder.h"
#include "prompt/conditioning.h"
#include "record/run_folder.h"
#include "steplapse/version.h"
#include "views/selection_json.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

#ifdef __clang__
constexpr const char* kCompiler = "clang " __clang_version__;
#else
constexpr const char* kCompiler = "gcc " __VERSION__;
#endif

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? std::optional<std::string>(value) : std::nullopt;
}

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
  return {.version = STEPLAPSE_VERSION,
          .libtorch = libtorch_version(),
          .compiler = kCompiler,
          .device = bundle.device(),
          .compute_dtype = bundle.manifest().denoiser.compute_dtype,
          .threads = at::get_num_threads(),
          .cpu = cpu_info("model name").value_or("not known"),
          .cpu_capability = at::get_cpu_capability(),
          .aten_cpu_capability = environment("ATEN_CPU_CAPABILITY"),
          .onednn_max_cpu_isa = environment("ONEDNN_MAX_CPU_ISA")};
}

Origin origin_here(const Bundle& bundle, int64_t runs, const std::optional<int64_t>& max_batch) {
  return {.machine = this_machine(bundle),
          .model = bundle.manifest().name,
          .model_sha256 = bundle.manifest().sha256,
          .model_path = fs::absolute(bundle.folder().path()).lexically_normal(),
          .runs = runs,
          .max_batch = max_batch};
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
  const TokenizedPrompts tokens = tokenize_prompts(manifest, bundle.folder().tokenizers(), plan.prompts);
  std::vector<PromptText> texts{
      {.kind = "prompt", .text = plan.prompt, .tokens = tokens_json(manifest, tokens.prompt)}};
  if (plan.negative_prompt || !tokens.negative.empty())
    texts.push_back(
        {.kind = "negative_prompt", .text = plan.negative_prompt, .tokens = tokens_json(manifest, tokens.negative)});
  return texts;
}

}  // namespace steplapse
