#include "steplapse/bundle.h"

#include <torch/version.h>

#include <optional>
#include <set>

#include "base/confinement.h"
#include "base/shape_text.h"
#include "base/stopwatch.h"
#include "base/text.h"
#include "model/bundle_folder.h"
#include "model/device.h"
#include "model/libtorch_errors.h"
#include "model/program.h"
#include "model/program_check.h"
#include "model/torchscript.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

/// Appends tensors under the names name_0, name_1, ...
void append(std::vector<NamedTensor>& inputs, const std::string& name, const std::vector<Tensor>& tensors) {
  for (size_t i = 0; i < tensors.size(); ++i) inputs.push_back({name + "_" + std::to_string(i), tensors[i]});
}

/// An answer of another shape would be broadcast into a wrong picture, or read beyond its end.
void check_answer(const std::string& module, const Tensor& answer, const std::vector<int64_t>& expected) {
  if (answer.sizes() == c10::IntArrayRef(expected)) return;
  throw Error(ExitCode::run_failed, module + ": answered " + shape_text(answer.sizes()) + ", expected " +
                                        shape_text(expected) + "; export the bundle again");
}

void check_decoders(const Manifest& manifest, const std::set<std::string>& names) {
  for (const std::string& name : names) {
    if (manifest.decoders.contains(name)) continue;
    std::vector<std::string> known;
    for (const auto& [each, ignored] : manifest.decoders) known.push_back(each);
    throw UsageError("`decoder` " + name + ": the model '" + manifest.name + "' has " + joined(known, ", "));
  }
}

}  // namespace

struct Bundle::Loaded {
  BundleFolder folder;
  at::Device device = at::kCPU;
  std::map<std::string, double> load_seconds = {};
  std::unique_ptr<Network> text_encoder = {}, denoiser = {};
  std::map<std::string, std::unique_ptr<Network>> decoders = {};
};

Bundle::Bundle(std::unique_ptr<Loaded> loaded) : loaded_(std::move(loaded)) {}
Bundle::Bundle(Bundle&&) noexcept = default;
Bundle& Bundle::operator=(Bundle&&) noexcept = default;
Bundle::~Bundle() = default;

const Manifest& Bundle::manifest() const { return loaded_->folder.manifest(); }
const std::map<std::string, double>& Bundle::load_seconds() const { return loaded_->load_seconds; }
const BundleFolder& Bundle::folder() const { return loaded_->folder; }
std::string Bundle::device() const { return loaded_->device.str(); }

std::vector<Tensor> Bundle::encode_text(const std::vector<Tensor>& ids, const std::vector<Tensor>& weights) const {
  std::vector<NamedTensor> inputs;
  for (size_t i = 0; i < ids.size(); ++i) {
    inputs.push_back({"ids_" + std::to_string(i), ids[i]});
    inputs.push_back({"weights_" + std::to_string(i), weights.at(i)});
  }
  std::vector<Tensor> conditioning;
  for (NamedTensor& output : loaded_->text_encoder->answer(inputs)) {
    std::vector<int64_t> expected = output.tensor.sizes().vec();  // what lies behind [N] is the denoiser's business
    if (expected.empty()) expected.resize(1);
    expected[0] = ids.front().size(0);
    check_answer("text encoder", output.tensor, expected);
    conditioning.push_back(std::move(output.tensor));
  }
  return conditioning;
}

Tensor Bundle::denoise(const Tensor& latents, const Tensor& timesteps, const std::vector<Tensor>& conditioning) const {
  std::vector<NamedTensor> inputs{{"latents", latents}, {"timesteps", timesteps}};
  append(inputs, "conditioning", conditioning);
  Tensor answer = loaded_->denoiser->answer(inputs).front().tensor;
  check_answer("denoiser", answer, latents.sizes().vec());
  return answer;
}

Tensor Bundle::decode(const std::string& decoder, const Tensor& latents) const {
  const auto network = loaded_->decoders.find(decoder);
  if (network == loaded_->decoders.end()) throw std::invalid_argument("decoder '" + decoder + "' was not loaded");
  Tensor image = network->second->answer({{"latents", latents}}).front().tensor;
  const int64_t scale = manifest().downscale;
  check_answer("decoder '" + decoder + "'", image,
               {latents.size(0), 3, latents.size(2) * scale, latents.size(3) * scale});
  return image;
}

/// Loads the networks of a bundle one by one, and takes the time of each.
class BundleLoader {
 public:
  BundleLoader(BundleFolder folder, const std::string& device, const std::vector<std::string>& decoders)
      : loaded_(std::make_unique<Bundle::Loaded>(Bundle::Loaded{.folder = std::move(folder)})), decoders_(decoders) {
    check_decoders(manifest(), {decoders.begin(), decoders.end()});
    confine(loaded_->folder.path(), cache_of(manifest()));
    loaded_->device = device_named(device);
  }

  Bundle whole() {
    return with_libtorch_errors(loaded_->folder.path().string(), [&] {
      decoders_.push_back("full");
      check({manifest().text_encoder.program, manifest().denoiser.program});
      loaded_->text_encoder =
          load("text_encoder", manifest().text_encoder, "text encoder", "conditioning", AnswerShape::tuple);
      loaded_->denoiser = load("denoiser", manifest().denoiser, "denoiser", "prediction");
      return loaded_decoders();
    });
  }

  Bundle decoders() {
    return with_libtorch_errors(loaded_->folder.path().string(), [&] {
      check({});
      return loaded_decoders();
    });
  }

 private:
  Bundle loaded_decoders() {
    for (const std::string& name : std::set(decoders_.begin(), decoders_.end())) {
      loaded_->decoders[name] = load("decoders", manifest().decoders.at(name), "decoder '" + name + "'", "image");
    }
    check_.reset();
    return Bundle(std::move(loaded_));
  }

  /// Has these programs checked, and then those of the decoders, in the order in which they are loaded.
  void check(std::vector<std::string> programs) {
    for (const std::string& name : std::set(decoders_.begin(), decoders_.end()))
      programs.push_back(manifest().decoders.at(name).program);
    check_.emplace(loaded_->folder, programs, ProgramCheck::Limits{},
                   [](const std::string& path, const std::string& program) { read_program(path, program); });
  }

  const Manifest& manifest() const { return loaded_->folder.manifest(); }

  std::unique_ptr<Network> load(const std::string& timed, const Manifest::Module& module, const std::string& title,
                                const std::string& output, AnswerShape shape = AnswerShape::tensor) {
    const Stopwatch watch;
    auto network = load_torchscript(loaded_->folder, module, loaded_->device, title, output, shape,
                                    [&] { check_->wait_for(module.program); });
    loaded_->load_seconds[timed] += watch.seconds();
    return network;
  }

  std::unique_ptr<Bundle::Loaded> loaded_;
  std::vector<std::string> decoders_;
  std::optional<ProgramCheck> check_;
};

Bundle load_bundle(BundleFolder folder, const std::string& device, const std::vector<std::string>& decoders) {
  return BundleLoader(std::move(folder), device, decoders).whole();
}

Bundle load_decoders(BundleFolder folder, const std::string& device, const std::vector<std::string>& decoders) {
  return BundleLoader(std::move(folder), device, decoders).decoders();
}

Bundle load_bundle(const fs::path& folder, const std::string& device, const std::vector<std::string>& decoders) {
  return load_bundle(BundleFolder(folder), device, decoders);
}

std::string libtorch_version() { return TORCH_VERSION; }

}  // namespace steplapse
