#include "steplapse/manifest.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <numeric>
#include <set>
#include <sstream>
#include <stdexcept>

#include "base/names.h"
#include "base/sha256.h"
#include "base/strict_json.h"
#include "base/text.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int64_t kNewestVersion = 2;
constexpr int64_t kLargest = int64_t{1} << 53;  // what JSON's numbers hold exactly
constexpr size_t kLongestText = 4096;
constexpr int64_t kMostChunks = 1000;
constexpr int64_t kMostLayers = 1000;

constexpr ValueNames<TokenizerKind, 2> kTokenizerKinds{
    {{"sentencepiece", TokenizerKind::sentencepiece}, {"clip_bpe", TokenizerKind::clip_bpe}}};
constexpr ValueNames<NoNegativePrompt, 2> kNoNegativePrompts{
    {{"encode_empty", NoNegativePrompt::encode_empty}, {"zeros", NoNegativePrompt::zeros}}};

/// People see names and licences, and a terminal would obey what else is in them.
bool is_one_line(const std::string& text) {
  return text.size() <= kLongestText && escaped(text, std::string::npos) == text;
}

/// A value of model.json with its place in the file, for error messages.
class JsonValue {
 public:
  JsonValue(const std::string& file, std::string place, const json& value)
      : file_(&file), place_(std::move(place)), value_(&value) {}

  [[noreturn]] void refuse(const std::string& expected) const {
    throw BundleError(*file_ + ": '" + place_ + "' is " + shown(*value_) + ", expected " + expected);
  }

  /// Checks that the value is an object with all of `keys`, perhaps some of `optional`, and no other key.
  const JsonValue& with_keys(const std::set<std::string>& keys, const std::set<std::string>& optional = {}) const {
    if (!value_->is_object()) refuse("an object");
    for (const auto& [key, ignored] : value_->items()) {
      if (!keys.contains(key) && !optional.contains(key))
        throw BundleError(*file_ + ": unknown key " + in_quotes(place_of(key)));
    }
    for (const std::string& key : keys) {
      if (!value_->contains(key)) throw BundleError(*file_ + ": key '" + place_of(key) + "' is missing");
    }
    return *this;
  }
  JsonValue operator[](const std::string& key) const { return {*file_, place_of(key), value_->at(key)}; }

  /// The entries of an object whose keys are names.
  std::map<std::string, JsonValue> entries() const {
    if (!value_->is_object()) refuse("an object");
    std::map<std::string, JsonValue> all;
    for (const auto& [key, value] : value_->items()) {
      if (!is_one_line(key)) refuse("keys of one line, not " + in_quotes(key));
      all.emplace(key, JsonValue{*file_, place_of(key), value});
    }
    return all;
  }

  std::vector<JsonValue> list(size_t at_least, size_t at_most) const {
    if (!value_->is_array() || value_->size() < at_least || value_->size() > at_most) {
      refuse(at_least == at_most ? "a list of " + std::to_string(at_least)
                                 : "a list of " + std::to_string(at_least) + " to " + std::to_string(at_most));
    }
    std::vector<JsonValue> all;
    for (size_t i = 0; i < value_->size(); ++i) {
      all.push_back({*file_, place_ + "[" + std::to_string(i) + "]", value_->at(i)});
    }
    return all;
  }

  std::string text() const {
    if (!value_->is_string()) refuse("text");
    const auto text = value_->get<std::string>();
    if (!is_one_line(text)) refuse("one line of text of at most " + std::to_string(kLongestText) + " bytes");
    return text;
  }

  std::string one_of(const std::vector<std::string>& choices) const {
    if (value_->is_string()) {
      const auto found = std::find(choices.begin(), choices.end(), value_->get<std::string>());
      if (found != choices.end()) return *found;
    }
    refuse(joined(choices, " or "));
  }

  template <typename Enum, size_t N>
  Enum one_of(const ValueNames<Enum, N>& names) const {
    std::vector<std::string> choices;
    for (const auto& [name, value] : names) choices.emplace_back(name);
    return value_named(names, one_of(choices), place_);
  }

  int64_t integer(int64_t least, int64_t most) const {
    const bool fits = value_->is_number_unsigned() ? value_->get<uint64_t>() <= static_cast<uint64_t>(kLargest)
                                                   : value_->is_number_integer();
    if (!fits || value_->get<int64_t>() < least || value_->get<int64_t>() > most) {
      refuse("an integer from " + std::to_string(least) + " to " + std::to_string(most));
    }
    return value_->get<int64_t>();
  }

  double number(double least, double most) const {
    if (value_->is_number() && value_->get<double>() >= least && value_->get<double>() <= most) {
      return value_->get<double>();
    }
    std::ostringstream range;
    range << "a number from " << least << " to " << most;
    refuse(range.str());
  }

  bool boolean() const {
    if (!value_->is_boolean()) refuse("true or false");
    return value_->get<bool>();
  }

  bool is_null() const { return value_->is_null(); }
  bool has(const std::string& key) const { return value_->is_object() && value_->contains(key); }
  bool has(const std::string& key, const std::string& text) const {
    return value_->is_object() && value_->contains(key) && value_->at(key) == text;
  }
  bool is_list() const { return value_->is_array(); }

 private:
  std::string place_of(const std::string& key) const {
    const std::string quoted = shown(json(key));  // a key may hold anything
    return (place_.empty() ? "" : place_ + ".") + quoted.substr(1, quoted.size() - 2);
  }

  const std::string* file_;
  std::string place_;
  const json* value_;
};

std::string file_name(const JsonValue& value, const std::string& name) {
  const fs::path path(name);
  const bool plain = std::none_of(path.begin(), path.end(),
                                  [](const fs::path& part) { return part.empty() || part == "." || part == ".."; });
  if (name.empty() || path.is_absolute() || !plain || name.find('\0') != std::string::npos) {
    value.refuse("a path that stays inside the bundle, with no '..' and no leading '/'");
  }
  return name;
}

std::map<std::string, Manifest::File> files_of(const JsonValue& value) {
  std::map<std::string, Manifest::File> files;
  for (const auto& [name, entry] : value.entries()) {
    file_name(entry, name);
    entry.with_keys({"size", "sha256"});
    const std::string hash = entry["sha256"].text();
    if (hash.size() != 64 || hash.find_first_not_of("0123456789abcdef") != std::string::npos) {
      entry["sha256"].refuse("64 lower-case hex digits");
    }
    files[name] = {entry["size"].integer(0, kLargest), hash};
  }
  return files;
}

std::string file_key(const JsonValue& value, const Manifest& manifest) {
  if (!manifest.files.contains(value.text())) value.refuse("a key of 'files'");
  return value.text();
}

Manifest::TensorSpec tensor_of(const JsonValue& value) {
  value.with_keys({"dtype", "shape"});
  Manifest::TensorSpec tensor{value["dtype"].one_of({"F32", "F16", "BF16", "I64"}), {}};
  int64_t elements = 1;
  for (const JsonValue& side : value["shape"].list(0, 8)) {
    tensor.shape.push_back(side.integer(0, kLargest));
    if (__builtin_mul_overflow(elements, std::max<int64_t>(1, tensor.shape.back()), &elements) || elements > kLargest) {
      value["shape"].refuse("at most 2^53 elements");
    }
  }
  return tensor;
}

Manifest::Module module_of(const JsonValue& value, const Manifest& manifest) {
  value.with_keys({"program", "weights", "compute_dtype", "tensors"});
  Manifest::Module module;
  module.program = file_key(value["program"], manifest);
  for (const JsonValue& file : value["weights"].list(1, 1000)) module.weights.push_back(file_key(file, manifest));
  module.compute_dtype = value["compute_dtype"].one_of({"float32", "float16", "bfloat16"});
  for (const auto& [name, tensor] : value["tensors"].entries()) module.tensors[name] = tensor_of(tensor);
  return module;
}

std::map<std::string, Manifest::Module> decoders_of(const JsonValue& value, const Manifest& manifest) {
  std::map<std::string, Manifest::Module> decoders;
  for (const auto& [name, module] : value.entries()) {
    if (name.empty() || name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-") != std::string::npos) {
      module.refuse("a decoder's name of lower-case letters, digits, '_' and '-'");
    }
    decoders[name] = module_of(module, manifest);
  }
  if (!decoders.contains("full")) value.refuse("at least the decoder 'full'");
  return decoders;
}

std::optional<int64_t> token_or_null(const JsonValue& value) {
  if (value.is_null()) return std::nullopt;
  return value.integer(0, std::numeric_limits<int32_t>::max());
}

Manifest::Tokenizer tokenizer_of(const JsonValue& value, const Manifest& manifest) {
  value.with_keys({"kind", "files", "length", "bos", "eos", "pad"});
  Manifest::Tokenizer tokenizer;
  tokenizer.kind = value["kind"].one_of(kTokenizerKinds);
  for (const JsonValue& file : value["files"].list(1, 8)) tokenizer.files.push_back(file_key(file, manifest));
  tokenizer.length = value["length"].integer(1, 65536);
  tokenizer.bos = token_or_null(value["bos"]);
  tokenizer.eos = token_or_null(value["eos"]);
  tokenizer.pad = value["pad"].integer(0, std::numeric_limits<int32_t>::max());
  const int64_t special = (tokenizer.bos ? 1 : 0) + (tokenizer.eos ? 1 : 0);
  if (tokenizer.length <= special) value["length"].refuse("room for a token beside bos and eos");
  return tokenizer;
}

Manifest::Size size_of(const JsonValue& value, int64_t downscale) {
  const auto sides = value.list(2, 2);
  const Manifest::Size size{sides[0].integer(1, 65536), sides[1].integer(1, 65536)};
  if (size.width % downscale != 0 || size.height % downscale != 0) {
    value.refuse("multiples of 'downscale', " + std::to_string(downscale));
  }
  return size;
}

std::vector<Manifest::Size> sizes_of(const JsonValue& value, int64_t downscale) {
  std::vector<Manifest::Size> sizes;
  for (const JsonValue& size : value.list(1, 1000)) sizes.push_back(size_of(size, downscale));
  return sizes;
}

Manifest::SizeRange size_range_of(const JsonValue& value, int64_t downscale) {
  value.with_keys({"min", "max", "multiple"});
  const Manifest::SizeRange range{value["min"].integer(1, 65536), value["max"].integer(1, 65536),
                                  value["multiple"].integer(1, 65536)};
  if (range.multiple % downscale != 0) value["multiple"].refuse("a multiple of 'downscale'");
  if (range.min > range.max) value["min"].refuse("at most 'max', " + std::to_string(range.max));
  return range;
}

bool allows(const Manifest& manifest, Manifest::Size size) {
  if (const auto* sizes = std::get_if<std::vector<Manifest::Size>>(&manifest.allowed_sizes)) {
    return std::find(sizes->begin(), sizes->end(), size) != sizes->end();
  }
  const auto range = std::get<Manifest::SizeRange>(manifest.allowed_sizes);
  const auto fits = [&](int64_t side) { return side >= range.min && side <= range.max && side % range.multiple == 0; };
  return fits(size.width) && fits(size.height);
}

void read_sizes(const JsonValue& value, Manifest& manifest) {
  value.with_keys({"default", "allowed"});
  manifest.default_size = size_of(value["default"], manifest.downscale);
  const JsonValue allowed = value["allowed"];
  if (allowed.is_list()) {
    manifest.allowed_sizes = sizes_of(allowed, manifest.downscale);
  } else {
    manifest.allowed_sizes = size_range_of(allowed, manifest.downscale);
  }
  if (!allows(manifest, manifest.default_size)) value["default"].refuse("one of 'sizes.allowed'");
}

std::vector<double> alphas_of(const JsonValue& value) {
  std::vector<double> alphas;
  for (const JsonValue& alpha : value.list(1, 100'000)) {
    alphas.push_back(alpha.number(0, 1));
    if (alphas.size() > 1 && alphas.back() > alphas[alphas.size() - 2]) {
      alpha.refuse("at most the one before: the table falls");
    }
  }
  return alphas;
}

/// A flow model's levels need no table: only their shift differs from model to model.
TrainingNoise flow_noise_of(const JsonValue& value) {
  value.with_keys({"prediction_type", "timestep_spacing", "shift"});
  TrainingNoise noise;
  noise.prediction_type = PredictionType::flow;
  noise.timestep_spacing = value["timestep_spacing"].one_of({"leading", "linspace", "trailing"});
  noise.shift = value["shift"].number(0.01, 100);
  return noise;
}

TrainingNoise noise_of(const JsonValue& value) {
  if (value.has("prediction_type", "flow")) return flow_noise_of(value);
  value.with_keys({"alphas_cumprod", "prediction_type", "timestep_spacing", "steps_offset", "final_alpha_cumprod",
                   "clip_sample_range"});
  TrainingNoise noise;
  noise.alphas_cumprod = alphas_of(value["alphas_cumprod"]);
  noise.prediction_type =
      prediction_type_named(value["prediction_type"].one_of({"epsilon", "v_prediction", "sample", "flow"}));
  noise.timestep_spacing = value["timestep_spacing"].one_of({"leading", "linspace", "trailing"});
  noise.steps_offset = value["steps_offset"].integer(0, static_cast<int64_t>(noise.alphas_cumprod.size()));
  noise.final_alpha_cumprod = value["final_alpha_cumprod"].number(0, 1);
  if (!value["clip_sample_range"].is_null()) noise.clip_sample_range = value["clip_sample_range"].number(1e-6, 1e6);
  return noise;
}

Manifest::Defaults defaults_of(const JsonValue& value, const TrainingNoise& noise) {
  value.with_keys({"steps", "sampler", "guidance_scale"});
  return {value["steps"].integer(1, noise.timesteps()), value["sampler"].text(),
          value["guidance_scale"].number(0, 1000)};
}

Manifest::Verified verified_of(const JsonValue& value, int64_t downscale) {
  value.with_keys({"batches", "sizes", "chunks"});
  Manifest::Verified verified;
  for (const JsonValue& batch : value["batches"].list(0, 1000)) verified.batches.push_back(batch.integer(1, 65536));
  for (const JsonValue& size : value["sizes"].list(0, 1000)) verified.sizes.push_back(size_of(size, downscale));
  for (const JsonValue& chunks : value["chunks"].list(0, 1000))
    verified.chunks.push_back(chunks.integer(1, kMostChunks));
  return verified;
}

void check_format(const std::string& file, const json& root) {
  if (!root.is_object() || !root.contains("format") || root["format"] != "steplapse-bundle") {
    throw BundleError(file + ": is not a steplapse bundle's manifest: it has no \"format\": \"steplapse-bundle\"");
  }
  const json version = root.value("version", json());
  if (version.is_number_integer() && version > kNewestVersion) {
    throw BundleError(file + ": is of version " + shown(version) +
                      ", this steplapse reads versions 1 and 2; use a newer one");
  }
}

Manifest::X0Rms x0_rms_of(const JsonValue& value) {
  value.with_keys({"value", "assumed"});
  return {value["value"].number(1e-6, 1e6), value["assumed"].boolean()};
}

/// Keys that a bundle of version 2 may have. docs/bundle.md says how a bundle without them is read.
const std::set<std::string> kOptionalKeys = {"family", "x0_rms"};

void read_optional_keys(const JsonValue& value, Manifest& manifest) {
  if (value.has("family")) {
    manifest.family = value["family"].text();
    if (manifest.family->empty()) value["family"].refuse("a family's name");
  }
  if (value.has("x0_rms")) manifest.x0_rms = x0_rms_of(value["x0_rms"]);
}

Manifest manifest_of(const std::string& file, const json& root) {
  check_format(file, root);
  const JsonValue value(file, "", root);
  const bool is_version_1 = value.has("version") && value["version"].integer(1, kNewestVersion) == 1;
  value.with_keys({"format", "version", "name", "source", "licence", "files", "modules", "tokenizers", "max_chunks",
                   "clip_skip", "latent_channels", "downscale", "sizes", "no_negative_prompt", "training_noise",
                   "defaults", "verified", "prompts"},
                  is_version_1 ? std::set<std::string>() : kOptionalKeys);
  Manifest manifest;
  manifest.name = value["name"].text();
  if (manifest.name.empty()) value["name"].refuse("a name");
  manifest.source = value["source"].text();
  manifest.licence = value["licence"].text();
  manifest.files = files_of(value["files"]);
  const JsonValue modules = value["modules"].with_keys({"text_encoder", "denoiser", "decoders"});
  manifest.text_encoder = module_of(modules["text_encoder"], manifest);
  manifest.denoiser = module_of(modules["denoiser"], manifest);
  manifest.decoders = decoders_of(modules["decoders"], manifest);
  for (const JsonValue& each : value["tokenizers"].list(1, 8))
    manifest.tokenizers.push_back(tokenizer_of(each, manifest));
  manifest.latent_channels = value["latent_channels"].integer(1, 4096);
  manifest.downscale = value["downscale"].integer(1, 4096);
  read_sizes(value["sizes"], manifest);
  manifest.max_chunks = value["max_chunks"].integer(1, kMostChunks);
  manifest.clip_skip = value["clip_skip"].integer(1, kMostLayers);
  manifest.no_negative_prompt = value["no_negative_prompt"].one_of(kNoNegativePrompts);
  manifest.training_noise = noise_of(value["training_noise"]);
  manifest.defaults = defaults_of(value["defaults"], manifest.training_noise);
  manifest.verified = verified_of(value["verified"], manifest.downscale);
  if (!value["prompts"].is_null()) manifest.prompts = file_key(value["prompts"], manifest);
  read_optional_keys(value, manifest);
  return manifest;
}

std::string read_text(const fs::path& folder) {
  const fs::path path = folder / "model.json";
  std::error_code error;  // a path that cannot be looked up counts as missing
  if (!fs::exists(folder, error)) {
    throw BundleError(folder.string() +
                      ": no such folder; name one with `model` DIR, or make one with "
                      "scripts/export_bundle.py");
  }
  if (!fs::is_regular_file(path, error)) {
    throw BundleError(path.string() +
                      ": is missing; a bundle is a folder with model.json, as "
                      "scripts/export_bundle.py writes it");
  }
  if (fs::file_size(path) > (32 << 20)) throw BundleError(path.string() + ": is larger than 32 MiB");
  std::ifstream stream(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(stream), {}};
  if (!stream) throw BundleError(path.string() + ": can't be read");
  return text;
}

std::string text_of(Manifest::Size size) { return std::to_string(size.width) + "x" + std::to_string(size.height); }

std::string sizes_text(const std::vector<Manifest::Size>& sizes) {
  std::vector<std::string> texts;
  for (const Manifest::Size size : sizes) texts.push_back(text_of(size));
  return joined(texts, ", ");
}

std::string sizes_text(const Manifest& manifest) {
  if (const auto* range = std::get_if<Manifest::SizeRange>(&manifest.allowed_sizes)) {
    return "sides from " + std::to_string(range->min) + " to " + std::to_string(range->max) + ", multiples of " +
           std::to_string(range->multiple);
  }
  return sizes_text(std::get<std::vector<Manifest::Size>>(manifest.allowed_sizes));
}

int64_t elements_of(const Manifest::TensorSpec& tensor) {
  return std::accumulate(tensor.shape.begin(), tensor.shape.end(), int64_t{1}, std::multiplies<>());
}

std::string module_line(const Manifest& manifest, const std::string& name, const Manifest::Module& module) {
  double parameters = 0, bytes = 0;
  std::set<std::string> dtypes;
  for (const auto& [ignored, tensor] : module.tensors) {
    parameters += static_cast<double>(elements_of(tensor));
    dtypes.insert(tensor.dtype);
  }
  for (const std::string& file : module.weights) bytes += static_cast<double>(manifest.files.at(file).size);
  std::ostringstream line;
  line.precision(2);
  line << std::fixed << "  " << name << std::string(name.size() < 18 ? 18 - name.size() : 1, ' ') << parameters / 1e6
       << " M parameters, " << bytes / 1e6 << " MB";
  for (const std::string& dtype : dtypes) line << (dtype == *dtypes.begin() ? " of " : ", ") << dtype;
  line << ", computes in " << module.compute_dtype << "\n";
  return line.str();
}

std::string noise_line(const TrainingNoise& noise) {
  std::ostringstream line;
  if (noise.is_flow()) {
    line << "training noise:   flow, shift " << noise.shift << ", timestep_spacing " << noise.timestep_spacing << "\n";
    return line.str();
  }
  line << "training noise:   " << noise.alphas_cumprod.size() << " timesteps, alphas_cumprod "
       << noise.alphas_cumprod.front() << " to " << noise.alphas_cumprod.back() << ", prediction_type "
       << name_of(noise.prediction_type) << ", timestep_spacing " << noise.timestep_spacing << ", steps_offset "
       << noise.steps_offset << ", final_alpha_cumprod " << noise.final_alpha_cumprod;
  if (noise.clip_sample_range) line << ", x0 clipped to ±" << *noise.clip_sample_range;
  line << "\n";
  return line.str();
}

/// What the exporter tried the bundle with.
std::string verified_line(const Manifest::Verified& verified) {
  const auto numbers = [](const std::vector<int64_t>& list) {
    std::vector<std::string> texts;
    for (const int64_t number : list) texts.push_back(std::to_string(number));
    return joined(texts, ", ");
  };
  return "verified:         batches of " + numbers(verified.batches) + "; sizes " + sizes_text(verified.sizes) +
         "; chunks " + numbers(verified.chunks) + "\n";
}

std::string tokenizer_line(const Manifest::Tokenizer& tokenizer) {
  return "tokenizer:        " + std::string(name_of(tokenizer.kind)) + ", " + counted(tokenizer.length, "token") + "\n";
}

}  // namespace

std::string_view name_of(TokenizerKind kind) { return name_in(kTokenizerKinds, kind); }
std::string_view name_of(NoNegativePrompt rule) { return name_in(kNoNegativePrompts, rule); }

Manifest read_manifest(const fs::path& folder) {
  const std::string file = (folder / "model.json").string();
  const std::string text = read_text(folder);
  try {
    Manifest manifest = manifest_of(file, parse_strict_json(text));
    manifest.sha256 = sha256(text);
    return manifest;
  } catch (const std::invalid_argument& error) {
    throw BundleError(file + ": " + error.what());
  }
}

std::vector<int64_t> latents_shape(const Manifest& manifest, Manifest::Size size) {
  return {1, manifest.latent_channels, size.height / manifest.downscale, size.width / manifest.downscale};
}

void check_size(const Manifest& manifest, Manifest::Size size) {
  if (allows(manifest, size)) return;
  throw UsageError("`size` " + text_of(size) + ": the model '" + manifest.name + "' makes " + sizes_text(manifest));
}

std::vector<std::string> warnings_about(const Manifest& manifest) {
  // Pictures end at 1, so clipping x0 is right for a model of pixels. Latents are about normally distributed: one in
  // 400 is beyond 3 times their root mean square.
  constexpr double kWithinRange = 3;
  const auto& range = manifest.training_noise.clip_sample_range;
  if (manifest.downscale == 1 || !range || *range >= kWithinRange * manifest.x0_rms.value) return {};
  return {"training_noise.clip_sample_range is " + plain(*range) +
          ", so ddim and ddpm cut off x0, whose root mean square is " + plain(manifest.x0_rms.value) +
          (manifest.x0_rms.assumed ? " (assumed)" : "") +
          "; export it again. If the warning stays, set clip_sample to false in the pipeline's scheduler_config.json "
          "first"};
}

std::string describe(const Manifest& manifest) {
  std::ostringstream text;
  text << "name:             " << manifest.name << "\nsource:           " << manifest.source
       << "\nlicence:          " << manifest.licence << "\n";
  if (manifest.family) text << "family:           " << *manifest.family << "\n";
  text << "modules:\n"
       << module_line(manifest, "text_encoder", manifest.text_encoder)
       << module_line(manifest, "denoiser", manifest.denoiser);
  for (const auto& [name, module] : manifest.decoders) text << module_line(manifest, "decoders." + name, module);
  for (const auto& tokenizer : manifest.tokenizers) text << tokenizer_line(tokenizer);
  text << "prompts:          at most " << counted(manifest.max_chunks, "chunk") << " of tokens, clip skip "
       << manifest.clip_skip << "\nlatents:          " << counted(manifest.latent_channels, "channel") << ", 1/"
       << manifest.downscale << " of the picture's sides, rms " << manifest.x0_rms.value
       << (manifest.x0_rms.assumed ? " (assumed)" : "") << "\nsizes:            " << text_of(manifest.default_size)
       << " by default; " << sizes_text(manifest) << "\n"
       << verified_line(manifest.verified) << noise_line(manifest.training_noise)
       << "defaults:         " << counted(manifest.defaults.steps, "step") << ", " << manifest.defaults.sampler
       << ", guidance scale " << manifest.defaults.guidance_scale
       << "\nno negative:      " << name_of(manifest.no_negative_prompt) << "\nSHA-256 of model.json:\n  "
       << manifest.sha256 << "\n";
  return text.str();
}

}  // namespace steplapse
