#include "cli/flag_words.h"

#include <algorithm>

#include "steplapse/error.h"

namespace steplapse {
namespace {

// Answers that several words have.
constexpr std::string_view kAtExport =
    "a bundle holds all parts of a model; scripts/export_bundle.py makes one of your files, and --model names it";
constexpr std::string_view kDtypeAtExport =
    "what the network computes in is chosen when its bundle is made: scripts/export_bundle.py --dtype";
constexpr std::string_view kLoraAtExport =
    "LoRAs are merged when a bundle is made: scripts/export_bundle.py --lora FILE:WEIGHT";
constexpr std::string_view kClipSkipAtExport =
    "this is chosen when a bundle is made: scripts/export_bundle.py --clip-skip N";
constexpr std::string_view kOutDir =
    "write --out DIR, the folder of this one run; without it each run has its own under runs/";
constexpr std::string_view kBatches =
    "write --count N for N pictures, of all batches together; --max-batch N says how many are made at once";
constexpr std::string_view kBatchSize = "write --count N for N pictures; --max-batch N says how many are made at once";
constexpr std::string_view kFromNoise = "steplapse draws from noise alone, and starts from no picture";
constexpr std::string_view kOneSize = "steplapse draws at one size, and enlarges nothing; --size WxH says which";
constexpr std::string_view kNotDone = "steplapse does not do this";
constexpr std::string_view kMemory = "steplapse has no such switch; --max-batch 1 takes the least memory";

}  // namespace

// Read in: stable-diffusion.cpp's examples/cli/README.md (2026), A1111's modules/api, scripts/prompts_from_file.py and
// modules/cmd_args.py (1.10), the arguments of diffusers' StableDiffusionPipeline (0.39), CompVis' scripts/txt2img.py (1.4) and
// Stability AI's of the same name (2.1), ComfyUI's KSampler, InvokeAI's ldm/dream/args.py (2.0).
const std::vector<FlagWord>& flag_words() {
  static const std::vector<FlagWord> table{
      // clang-format off
      // One letter.
      {"stable-diffusion.cpp", "-p", "--prompt", ""},
      {"stable-diffusion.cpp", "-o", "--out", ""},
      {"stable-diffusion.cpp", "-W", "--width", ""},
      {"stable-diffusion.cpp", "-H", "--height", ""},
      {"stable-diffusion.cpp", "-t", "--threads", ""},
      {"InvokeAI", "-W", "--width", ""},
      {"InvokeAI", "-H", "--height", ""},
      {"InvokeAI", "-S", "--seed", ""},
      {"InvokeAI", "-C", "--guidance-scale", ""},
      {"InvokeAI", "-A", "--sampler", ""},
      {"stable-diffusion.cpp", "-n", "--negative-prompt", ""},
      {"InvokeAI", "-n", "--count", ""},
      {"stable-diffusion.cpp", "-s", "--seed", ""},
      {"InvokeAI", "-s", "--steps", ""},
      {"stable-diffusion.cpp", "-b", "--count", ""},
      {"InvokeAI", "-b", "--max-batch", ""},
      {"stable-diffusion.cpp", "-m", "--model", ""},
      {"InvokeAI", "-m", "--sampler", ""},
      {"stable-diffusion.cpp", "-i", "", kFromNoise},
      {"InvokeAI", "-I", "", kFromNoise},
      {"stable-diffusion.cpp", "-v", "--progress", "write --progress lines"},
      {"stable-diffusion.cpp", "-M", "", "steplapse has one mode, from a prompt to a picture"},

      // What to draw.
      {"everyone", "--neg", "--negative-prompt", ""},
      {"everyone", "--negative", "--negative-prompt", ""},
      {"CompVis", "--W", "--width", ""},
      {"CompVis", "--H", "--height", ""},
      {"CompVis", "--C", "", "how many channels latents have, the bundle says"},
      {"CompVis", "--f", "", "how much smaller latents are than pictures, the bundle says"},
      {"CompVis", "--from-file", "--prompts", ""},
      {"ComfyUI", "--noise-seed", "--seed", ""},
      {"diffusers", "--generator", "--seed", "write --seed N; --rng philox gives a CUDA generator's numbers"},
      {"CompVis", "--fixed-code", "--seed", "write --seed N, which fixes the starting noise of each picture"},
      {"A1111", "--subseed", "", "steplapse mixes no seeds; --latents FILE starts from noise of your own"},
      {"A1111", "--subseed-strength", "", "steplapse mixes no seeds; --latents FILE starts from noise of your own"},
      {"A1111", "--styles", "", "steplapse keeps no styles; write their words into the prompt"},
      {"diffusers", "--prompt-embeds", "", "steplapse encodes the prompt itself"},
      {"diffusers", "--negative-prompt-embeds", "", "steplapse encodes the prompt itself"},

      // How many.
      {"stable-diffusion.cpp", "--batch-count", "--count", ""},
      {"A1111", "--n-iter", "--count", kBatches},
      {"CompVis", "--n-iter", "--count", kBatches},
      {"InvokeAI", "--iterations", "--count", "write --count N, which takes the seeds from --seed up"},
      {"A1111", "--batch-size", "--count", kBatchSize},
      {"CompVis", "--n-samples", "--count", kBatchSize},
      {"diffusers", "--num-images-per-prompt", "--count",
       "write --count N, which takes the seeds from --seed up (diffusers goes on in the noise of one seed)"},
      {"Stability AI", "--repeat", "--count", "write --count N, which takes the seeds from --seed up"},

      // Sampling.
      {"stable-diffusion.cpp", "--cfg-scale", "--guidance-scale", ""},
      {"A1111", "--cfg-scale", "--guidance-scale", ""},
      {"ComfyUI", "--cfg", "--guidance-scale", ""},
      {"CompVis", "--scale", "--guidance-scale", ""},
      {"stable-diffusion.cpp", "--guidance", "--guidance-scale",
       "this is for models with an input for it; the prompt's weight is --guidance-scale"},
      {"stable-diffusion.cpp", "--img-cfg-scale", "", kFromNoise},
      {"stable-diffusion.cpp", "--slg-scale", "", kNotDone},
      {"diffusers", "--num-inference-steps", "--steps", ""},
      {"CompVis", "--ddim-steps", "--steps", ""},
      {"A1111", "--sampling-steps", "--steps", ""},
      {"CompVis", "--ddim-eta", "--eta", ""},
      {"stable-diffusion.cpp", "--sampling-method", "--sampler", ""},
      {"A1111", "--sampler-name", "--sampler", ""},
      {"A1111", "--sampler-index", "--sampler", "write --sampler NAME; steplapse samplers has the names"},
      {"CompVis", "--plms", "--sampler", "write --sampler pndm --schedule ddim_uniform"},
      {"CompVis", "--dpm-solver", "--sampler", "write --sampler dpmpp_2m"},
      {"Stability AI", "--dpm", "--sampler", "write --sampler dpmpp_2m"},
      {"stable-diffusion.cpp", "--scheduler", "--schedule", ""},
      {"A1111", "--scheduler", "--schedule", ""},
      {"diffusers", "--scheduler", "--sampler", ""},
      {"A1111", "--schedule-type", "--schedule", ""},
      {"stable-diffusion.cpp", "--flow-shift", "--shift", ""},
      {"stable-diffusion.cpp", "--prediction", "", "what the network predicts, the bundle says; it is chosen by scripts/export_bundle.py"},
      {"stable-diffusion.cpp", "--sampler-rng", "--rng", "write --rng, which is for the start and for fresh noise alike"},
      {"A1111", "--clip-skip", "", kClipSkipAtExport},

      // Pictures that are not drawn from noise, and what is done to them afterwards.
      {"stable-diffusion.cpp", "--init-img", "", kFromNoise},
      {"diffusers", "--image", "", kFromNoise},
      {"A1111", "--init-images", "", kFromNoise},
      {"stable-diffusion.cpp", "--mask", "", kFromNoise},
      {"stable-diffusion.cpp", "--ref-image", "", kFromNoise},
      {"stable-diffusion.cpp", "--strength", "", kFromNoise},
      {"A1111", "--denoising-strength", "", kFromNoise},
      {"ComfyUI", "--denoise", "", kFromNoise},
      {"stable-diffusion.cpp", "--control-net", "", kNotDone},
      {"stable-diffusion.cpp", "--control-image", "", kNotDone},
      {"stable-diffusion.cpp", "--control-strength", "", kNotDone},
      {"A1111", "--hires-fix", "", kOneSize},
      {"A1111", "--enable-hr", "", kOneSize},
      {"A1111", "--hr-scale", "", kOneSize},
      {"A1111", "--hr-upscaler", "", kOneSize},
      {"stable-diffusion.cpp", "--upscale-model", "", kOneSize},
      {"A1111", "--restore-faces", "", kNotDone},
      {"A1111", "--tiling", "", kNotDone},
      {"stable-diffusion.cpp", "--vae-tiling", "", "steplapse decodes a picture in one piece"},
      {"stable-diffusion.cpp", "--mode", "", "steplapse has one mode, from a prompt to a picture"},

      // Models.
      {"CompVis", "--ckpt", "--model", kAtExport},
      {"CompVis", "--config", "--model", kAtExport},
      {"everyone", "--model-path", "--model", kAtExport},
      {"everyone", "--checkpoint", "--model", kAtExport},
      {"A1111", "--sd-model", "--model", kAtExport},
      {"diffusers", "--model-id", "--model", kAtExport},
      {"diffusers", "--pretrained-model-name-or-path", "--model", kAtExport},
      {"stable-diffusion.cpp", "--diffusion-model", "--model", kAtExport},
      {"stable-diffusion.cpp", "--vae", "--model", kAtExport},
      {"stable-diffusion.cpp", "--clip-l", "--model", kAtExport},
      {"stable-diffusion.cpp", "--clip-g", "--model", kAtExport},
      {"stable-diffusion.cpp", "--t5xxl", "--model", kAtExport},
      {"stable-diffusion.cpp", "--taesd", "--decoder",
       "a tiny decoder goes into the bundle, by scripts/export_bundle.py --tiny-decoder; then write --decoder tiny"},
      {"stable-diffusion.cpp", "--lora-model-dir", "", kLoraAtExport},
      {"everyone", "--lora", "", kLoraAtExport},
      {"stable-diffusion.cpp", "--embd-dir", "", "steplapse knows no textual inversion"},
      {"stable-diffusion.cpp", "--type", "", kDtypeAtExport},
      {"CompVis", "--precision", "", kDtypeAtExport},
      {"diffusers", "--torch-dtype", "", kDtypeAtExport},
      {"A1111", "--no-half", "", kDtypeAtExport},
      {"A1111", "--medvram", "--max-batch", kMemory},
      {"A1111", "--lowvram", "--max-batch", kMemory},
      {"stable-diffusion.cpp", "--offload-to-cpu", "--max-batch", kMemory},

      // Output.
      {"stable-diffusion.cpp", "--output", "--out", ""},
      {"CompVis", "--outdir", "--out", kOutDir},
      {"everyone", "--out-dir", "--out", kOutDir},
      {"everyone", "--output-dir", "--out", kOutDir},
      {"A1111", "--outpath-samples", "--out", kOutDir},
      {"A1111", "--outpath-grids", "", "a grid of pictures lies in the folder of its sweep: steplapse sweep"},
      {"CompVis", "--skip-grid", "", "only steplapse sweep makes a grid, so there is none to leave out"},
      {"A1111", "--do-not-save-grid", "", "only steplapse sweep makes a grid, so there is none to leave out"},
      {"CompVis", "--n-rows", "", "steplapse sweep grid --x AXIS --y AXIS says what a grid's columns and rows are"},
      {"CompVis", "--skip-save", "--frames", "the final picture is always written; --frames none leaves out those of the steps"},
      {"A1111", "--do-not-save-samples", "--frames", "the final picture is always written; --frames none leaves out those of the steps"},
      {"diffusers", "--output-type", "", "pictures are PNG files, and the latents lie beside them as safetensors"},
      {"stable-diffusion.cpp", "--preview", "--frames", "a frame of each step is made as it is; --frames says of what, --decoder by which decoder"},
      {"stable-diffusion.cpp", "--preview-path", "--out", "frames lie in the run folder, which --out DIR names"},
      {"stable-diffusion.cpp", "--preview-interval", "--every", "write --every N, which keeps the first and the last step's frames too"},
      {"stable-diffusion.cpp", "--verbose", "--progress", "write --progress lines"},
      // clang-format on
  };
  return table;
}

std::string with_dashes(std::string_view word) {
  std::string dashed(word);
  std::replace(dashed.begin(), dashed.end(), '_', '-');
  return dashed;
}

std::optional<std::string> flag_meant_by(std::string_view word) {
  const std::string dashed = with_dashes(word);
  const FlagWord* first = nullptr;
  for (const FlagWord& row : flag_words()) {
    if (row.word != dashed) continue;
    if (!row.same()) throw UsageError(std::string(word) + ": " + std::string(row.says));
    if (!first) first = &row;
    if (row.ours == first->ours) continue;
    throw UsageError(std::string(word) + ": means " + std::string(first->ours) + " in " + std::string(first->tool) +
                     " and " + std::string(row.ours) + " in " + std::string(row.tool) + "; write " +
                     std::string(first->ours) + " or " + std::string(row.ours));
  }
  return first ? std::optional<std::string>(first->ours) : std::nullopt;
}

}  // namespace steplapse
