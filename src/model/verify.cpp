#include <ATen/CPUGeneratorImpl.h>

#include "base/aten.h"
#include "base/shape_text.h"
#include "model/bundle_folder.h"
#include "steplapse/bundle.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

using Report = std::function<void(const std::string&)>;

/// The relative difference allowed between batch sizes: rounding stays below it, dependent rows are far above it.
double tolerance_of(const Manifest::Module& module) { return module.compute_dtype == "float32" ? 1e-3 : 5e-2; }

/// A forward pass of one module on some rows of its inputs.
using Pass = std::function<std::vector<Tensor>(int64_t begin, int64_t rows)>;

void check_row(const std::string& name, const Tensor& found, const Tensor& alone, double tolerance) {
  if (!found.isfinite().all().item<bool>()) throw Error(ExitCode::run_failed, name + ": answers are not finite");
  const double difference = (found - alone).abs().max().item<double>();
  if (difference <= tolerance * std::max(1e-6, alone.abs().max().item<double>())) return;
  throw Error(ExitCode::run_failed, name + ": a row's answer depends on the others in its batch, by " +
                                        std::to_string(difference) + "; export it again");
}

/// Checks that batches of 2 and 3 give the rows that batches of 1 give, and that the outputs have these shapes after
/// [N]. An empty list leaves the shapes open.
void check_batches(const std::string& name, const Pass& pass, const std::vector<std::vector<int64_t>>& shapes,
                   double tolerance) {
  std::vector<std::vector<Tensor>> alone;
  for (int64_t row = 0; row < 3; ++row) alone.push_back(pass(row, 1));
  for (int64_t rows = 1; rows <= 3; ++rows) {
    const std::vector<Tensor> answers = pass(0, rows);
    for (size_t i = 0; i < answers.size(); ++i) {
      std::vector<int64_t> expected = i < shapes.size() ? shapes[i] : alone[0].at(i).sizes().slice(1).vec();
      expected.insert(expected.begin(), rows);
      if (answers[i].sizes() != at::IntArrayRef(expected)) {
        throw Error(ExitCode::run_failed, name + ": answers " + shape_text(answers[i].sizes()) + " at batch " +
                                              std::to_string(rows) + ", expected " + shape_text(expected));
      }
      for (int64_t row = 0; row < rows; ++row) check_row(name, answers[i][row], alone[row][i][0], tolerance);
    }
  }
}

/// The ids of three different prompts, made of the ids that model.json names: one, two and three times eos.
Tensor some_ids(const Manifest::Tokenizer& tokenizer) {
  Tensor ids = at::full({3, 1, tokenizer.length}, tokenizer.pad, at::kLong);
  if (tokenizer.bos) ids.select(2, 0).fill_(*tokenizer.bos);
  for (int64_t row = 0; row < 3 && tokenizer.eos; ++row) {
    ids[row][0].narrow(0, 1, std::min(row + 1, tokenizer.length - 1)).fill_(*tokenizer.eos);
  }
  return ids;
}

/// Inputs for all modules, three rows of each.
struct Inputs {
  explicit Inputs(const Manifest& manifest) {
    for (const auto& tokenizer : manifest.tokenizers) {
      ids.push_back(some_ids(tokenizer));
      weights.push_back(at::ones({3, 1, tokenizer.length}));
    }
    const auto [width, height] = manifest.default_size;
    latents = at::randn({3, manifest.latent_channels, height / manifest.downscale, width / manifest.downscale},
                        at::make_generator<at::CPUGeneratorImpl>(0));
    timesteps = at::linspace(1, static_cast<double>(manifest.training_noise.timesteps()) - 1, 3);
  }
  std::vector<Tensor> ids, weights;
  Tensor latents, timesteps;
};

std::vector<Tensor> rows_of(const std::vector<Tensor>& tensors, int64_t begin, int64_t rows) {
  std::vector<Tensor> parts;
  for (const Tensor& tensor : tensors) parts.push_back(tensor.narrow(0, begin, rows));
  return parts;
}

/// Collects the faults, so that one does not hide the next.
class Verification {
 public:
  explicit Verification(const Report& report) : report_(report) {}

  template <class Check>
  bool check(const std::string& what, const Check& run) {
    try {
      run();
      if (report_) report_(what);
      return true;
    } catch (const std::exception& error) {
      problems_.push_back(failure_of(error).message);
      return false;
    }
  }
  std::vector<std::string> problems() const { return problems_; }

 private:
  Report report_;
  std::vector<std::string> problems_;
};

void check_modules(const Bundle& bundle, Verification& verification) {
  const Manifest& manifest = bundle.manifest();
  for (const auto& spec : manifest.tokenizers) {
    verification.check("tokenizer " + spec.files.front() + ": reads a prompt",
                       [&] { bundle.folder().read_tokenizer(spec).pieces("red apple"); });
  }
  if (manifest.prompts) {
    verification.check("prompts " + *manifest.prompts + ": can be read", [&] { bundle.folder().taught_prompts(); });
  }
  const Inputs inputs(manifest);
  const std::string batches = ": batches of 1, 2 and 3 answer alike, row for row";
  const Pass encode = [&](int64_t begin, int64_t rows) {
    return bundle.encode_text(rows_of(inputs.ids, begin, rows), rows_of(inputs.weights, begin, rows));
  };
  const bool encodes = verification.check("text encoder" + batches, [&] {
    check_batches("text encoder", encode, {}, tolerance_of(manifest.text_encoder));
  });
  if (!encodes) return;  // the denoiser needs its conditioning
  const std::vector<Tensor> conditioning = encode(0, 3);
  const Pass denoise = [&](int64_t begin, int64_t rows) -> std::vector<Tensor> {
    return {bundle.denoise(inputs.latents.narrow(0, begin, rows), inputs.timesteps.narrow(0, begin, rows),
                           rows_of(conditioning, begin, rows))};
  };
  verification.check("denoiser" + batches, [&] {
    check_batches("denoiser", denoise, {inputs.latents.sizes().slice(1).vec()}, tolerance_of(manifest.denoiser));
  });
  const auto [width, height] = manifest.default_size;
  for (const auto& [name, module] : manifest.decoders) {
    const Pass decode = [&, decoder = name](int64_t begin, int64_t rows) -> std::vector<Tensor> {
      return {bundle.decode(decoder, inputs.latents.narrow(0, begin, rows))};
    };
    const std::string title = "decoder '" + name + "'";
    verification.check(title + batches, [&, &module = module, width = width, height = height] {
      check_batches(title, decode, {{3, height, width}}, tolerance_of(module));
    });
  }
}

}  // namespace

std::vector<std::string> verify_bundle(const std::filesystem::path& folder, const Report& report) {
  Verification verification(report);
  std::optional<BundleFolder> on_disk;
  if (!verification.check("model.json: every key is there and in range", [&] { on_disk.emplace(folder); })) {
    return verification.problems();
  }
  const Manifest& manifest = on_disk->manifest();
  for (const auto& [name, ignored] : manifest.files) {
    verification.check(name + ": size and SHA-256 are those of model.json", [&, &name = name] { on_disk->open(name); });
  }
  if (!verification.problems().empty())
    return verification.problems();  // a file that is not the manifest's must not be loaded

  std::vector<std::string> decoders;
  for (const auto& [name, ignored] : manifest.decoders) decoders.push_back(name);
  std::optional<Bundle> bundle;
  verification.check("programs: only allowed operators; weights: the tensors of model.json, each with its place",
                     [&] { bundle.emplace(load_bundle(folder, "cpu", decoders)); });
  if (bundle) check_modules(*bundle, verification);
  return verification.problems();
}

}  // namespace steplapse
