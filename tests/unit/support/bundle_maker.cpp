#include "support/bundle_maker.h"

#include "base/aten.h"
#include "base/sha256.h"
#include "support/sentencepiece_model.h"

namespace steplapse::test_support {

BundleMaker::BundleMaker() {
  add_module("text_encoder", "table", at::arange(16, at::kFloat).reshape({8, 2}),
             "  def forward(self: __torch__.M, ids: Tensor, weights: Tensor) -> Tuple[Tensor]:\n"
             "    _0 = torch.embedding(self.table, torch.flatten(ids, 1))\n"
             "    return (torch.mul(_0, torch.unsqueeze(torch.flatten(weights, 1), -1)),)\n");
  add_module("denoiser", "gain", at::full({1}, 2.0f),
             "  def forward(self: __torch__.M, x: Tensor, t: Tensor, c: Tensor) -> Tensor:\n"
             "    _0 = torch.reshape(torch.add(torch.div(t, 1000.), torch.mean(c, [1, 2])), [-1, 1, 1, 1])\n"
             "    return torch.to(torch.add(torch.mul(x, self.gain), _0), 6)\n");
  for (const std::string name : {"full", "linear"}) {
    add_module("decoder_" + name, "sign", at::full({1}, name == "full" ? 1.0f : -1.0f),
               "  def forward(self: __torch__.M, x: Tensor) -> Tensor:\n"
               "    _0 = torch.upsample_nearest2d(torch.slice(x, 1, 0, 3), [16, 16], None)\n"
               "    return torch.to(torch.mul(_0, self.sign), 6)\n");
  }
  files["tokenizer.model"] = kModel;
  const auto module = [](const std::string& name) {
    return nlohmann::json{
        {"program", name + ".pt"}, {"weights", {name + ".safetensors"}}, {"compute_dtype", "float32"}};
  };
  manifest = {
      {"format", "steplapse-bundle"},
      {"version", 1},
      {"name", "handmade"},
      {"source", "a test"},
      {"licence", "none"},
      {"modules",
       {{"text_encoder", module("text_encoder")},
        {"denoiser", module("denoiser")},
        {"decoders", {{"full", module("decoder_full")}, {"linear", module("decoder_linear")}}}}},
      {"tokenizers",
       {{{"kind", "sentencepiece"},
         {"files", {"tokenizer.model"}},
         {"length", 4},
         {"bos", 1},
         {"eos", 2},
         {"pad", 0}}}},
      {"latent_channels", 4},
      {"downscale", 4},
      {"sizes", {{"default", {16, 16}}, {"allowed", {{16, 16}}}}},
      {"max_chunks", 1},
      {"clip_skip", 1},
      {"no_negative_prompt", "encode_empty"},
      {"training_noise",
       {{"alphas_cumprod", {0.9, 0.5, 0.1}},
        {"prediction_type", "epsilon"},
        {"timestep_spacing", "leading"},
        {"steps_offset", 1},
        {"final_alpha_cumprod", 0.9},
        {"clip_sample_range", nullptr}}},
      {"defaults", {{"steps", 3}, {"sampler", "ddim"}, {"guidance_scale", 5.0}}},
      {"verified", {{"batches", {1}}, {"sizes", {{16, 16}}}, {"chunks", {1}}}},
      {"prompts", nullptr},
  };
  for (const std::string name : {"text_encoder", "denoiser"}) describe_tensors(manifest["modules"][name], name);
  for (const std::string name : {"full", "linear"}) {
    describe_tensors(manifest["modules"]["decoders"][name], "decoder_" + name);
  }
}

const std::filesystem::path& BundleMaker::write() {
  for (const auto& [name, entries] : programs) files[name + ".pt"] = archive_of(entries);
  for (const auto& [name, tensors] : weights) files.emplace(name + ".safetensors", to_safetensors(tensors));
  nlohmann::json described = nlohmann::json::object();
  for (const auto& [name, bytes] : files) {
    folder_.write(name, bytes);
    described[name] = {{"size", bytes.size()}, {"sha256", sha256(bytes)}};
  }
  if (!manifest.contains("files")) manifest["files"] = described;
  folder_.write("model.json", manifest.dump(1));
  return folder_.path();
}

void BundleMaker::add_module(const std::string& name, const std::string& parameter, const Tensor& value,
                             const std::string& forward) {
  programs[name] = program_of("class M(Module):\n  __parameters__ = [\"" + parameter + "\", ]\n  __buffers__ = []\n  " +
                              parameter + " : Tensor\n" + forward);
  programs[name]["data.pkl"] =
      pickle_of(pickled_object("M", pickled_dict({{parameter, pickled_tensor("0", 0, 0, 1)}})));
  weights[name] = {{parameter, value}};
}

void BundleMaker::describe_tensors(nlohmann::json& module, const std::string& name) {
  for (const auto& [tensor, value] : weights[name]) {
    module["tensors"][tensor] = {{"dtype", safetensors_dtype(value.scalar_type())}, {"shape", value.sizes().vec()}};
  }
}

}  // namespace steplapse::test_support
