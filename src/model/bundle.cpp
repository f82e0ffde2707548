#include "steplapse/bundle.h"

#include <ATen/ATen.h>
#include <ATen/DeviceAccelerator.h>
#include <ATen/Parallel.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/version.h>

#include <atomic>
#include <chrono>
#include <future>
#include <new>

#include "base/machine.h"
#include "base/safetensors.h"
#include "base/shape_text.h"
#include "base/text.h"
#include "model/bundle_file.h"
#include "model/cast_memory.h"
#include "model/program.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;
namespace jit = torch::jit;

// ---- What libtorch says when something fails

/// libtorch's interpreter turns every error into text of many lines, the reason last; a device's lack of memory too.
std::string reason_in(const std::string& text) {
  const size_t at = text.rfind("RuntimeError: ");
  const std::string reason = at == std::string::npos ? text : text.substr(at + 14);
  return reason.substr(0, reason.find('\n'));
}

/// Runs a task and says in our own errors what libtorch throws from it.
template <class Task>
auto with_errors(const std::string& place, const Task& task) {
  const auto fail = [&](const std::string& text) {
    if (is_lack_of_memory(text)) throw out_of_memory(place, text);
    throw Error(ExitCode::run_failed, place + ": " + reason_in(text));
  };
  try {
    return task();
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc& error) {
    throw out_of_memory(place, error.what());
  } catch (const c10::Error& error) {
    fail(error.what_without_backtrace());
    throw;
  } catch (const std::exception& error) {
    fail(error.what());
    throw;
  }
}

// ---- Devices

at::Device device_named(const std::string& name) {
  if (name == "cpu" || (name == "auto" && !at::hasCUDA())) return at::kCPU;
  if (name == "auto") return {at::kCUDA, 0};
  const bool numbered = name.size() > 5 && name.size() < 9 && name.compare(0, 5, "cuda:") == 0 &&
                        name.find_first_not_of("0123456789", 5) == std::string::npos;
  if (name != "cuda" && !numbered) throw UsageError("`device` " + name + ": expected auto, cpu, cuda or cuda:N");
  if (!at::hasCUDA()) {
    throw UsageError("`device` " + name + ": this libtorch sees no CUDA device; use `device` cpu");
  }
  const int index = numbered ? std::stoi(name.substr(5)) : 0;
  if (index >= at::accelerator::deviceCount()) {
    throw UsageError("`device` " + name + ": there are " + std::to_string(at::accelerator::deviceCount()) +
                     " CUDA devices, counted from 0");
  }
  return {at::kCUDA, static_cast<c10::DeviceIndex>(index)};
}

/// A device's tensor on the CPU, in memory that the device writes to directly.
Tensor to_pinned(const Tensor& tensor) {
  const Tensor pinned = at::empty(tensor.sizes(), tensor.options().device(at::kCPU).pinned_memory(true));
  return pinned.copy_(tensor);
}

// ---- Weights

/// What is in a file must be as model.json says.
void check_tensors(const std::string& path, const NamedTensors& tensors, const Manifest::Module& module) {
  for (const auto& [name, tensor] : tensors) {
    const auto known = module.tensors.find(name);
    if (known == module.tensors.end()) throw BundleError(path + ": " + in_quotes(name) + " is not in model.json");
    const Manifest::TensorSpec& wanted = known->second;
    if (tensor.sizes() != at::IntArrayRef(wanted.shape)) {
      throw BundleError(path + ": " + in_quotes(name) + " is " + shape_text(tensor.sizes()) + ", model.json asks for " +
                        shape_text(wanted.shape));
    }
    if (safetensors_dtype(tensor.scalar_type()) != wanted.dtype) {
      throw BundleError(path + ": " + in_quotes(name) + " is " + safetensors_dtype(tensor.scalar_type()) +
                        ", model.json asks for " + wanted.dtype);
    }
  }
}

/// The files of a module's weights, hashed side by side: that takes longer than all else in loading.
std::vector<std::unique_ptr<BundleFile>> open_weights(const fs::path& folder, const Manifest& manifest,
                                                      const Manifest::Module& module) {
  const size_t count = module.weights.size();
  std::vector<std::unique_ptr<BundleFile>> files(count);
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t i = next++; i < count; i = next++) {
      files[i] = std::make_unique<BundleFile>(folder, module.weights[i], manifest.files.at(module.weights[i]));
    }
  };
  std::vector<std::future<void>> workers;
  for (size_t i = 1; i < std::min<size_t>(count, at::get_num_threads()); ++i) {
    workers.push_back(std::async(std::launch::async, work));
  }
  work();
  for (auto& worker : workers) worker.get();
  return files;
}

/// The tensors of model.json, one for one.
NamedTensors map_weights(const fs::path& folder, const Manifest& manifest, const Manifest::Module& module) {
  NamedTensors tensors;
  for (const auto& file : open_weights(folder, manifest, module)) {
    try {
      NamedTensors part = map_safetensors(file->descriptor(), file->path());
      check_tensors(file->path(), part, module);
      tensors.merge(part);
      if (part.empty()) continue;
      throw BundleError(file->path() + ": " + in_quotes(part.begin()->first) + " is in another file too");
    } catch (const SafetensorsError& error) {
      throw BundleError(error.what());
    }
  }
  for (const auto& [name, ignored] : module.tensors) {
    if (tensors.contains(name)) continue;
    throw BundleError((folder / module.weights.back()).string() + ": " + in_quotes(name) +
                      " is missing, model.json asks for it");
  }
  return tensors;
}

at::ScalarType dtype_named(const std::string& name) {
  return name == "float16" ? at::kHalf : name == "bfloat16" ? at::kBFloat16 : at::kFloat;
}

/// Puts each tensor where the program has its name, and takes it out of `tensors`.
void place_weights(const std::string& path, jit::Module& module, const std::string& prefix, NamedTensors& tensors) {
  const auto type = module.type();
  for (size_t i = 0; i < type->numAttributes(); ++i) {
    const std::string name = prefix + type->getAttributeName(i);
    if (auto slot = module._ivalue()->getSlot(i); slot.isModule()) {
      jit::Module child = slot.toModule();
      place_weights(path, child, name + ".", tensors);
    } else if (slot.isTensor()) {
      const auto found = tensors.find(name);
      if (found == tensors.end()) throw BundleError(path + ": its " + in_quotes(name) + " has no tensor in model.json");
      module._ivalue()->setSlot(i, found->second);
    }
  }
}

/// Every tensor of the weights must have a place in the program.
void check_places(const std::string& path, const jit::Module& module, const NamedTensors& tensors) {
  std::set<std::string> places;
  for (const auto& parameter : module.named_attributes(/*recurse=*/true)) {
    if (parameter.value.isTensor()) places.insert(parameter.name);
  }
  for (const auto& [name, ignored] : tensors) {
    if (!places.contains(name))
      throw BundleError(path + ": has no " + in_quotes(name) + ", model.json has a tensor for it");
  }
}

jit::Module load_module(const fs::path& folder, const Manifest& manifest, const Manifest::Module& spec,
                        at::Device device) {
  const std::string program_path = (folder / spec.program).string();
  const std::string program = read_bundle_file(folder, spec.program, manifest.files.at(spec.program));
  auto weights = std::async(std::launch::async, [&] { return map_weights(folder, manifest, spec); });  // meanwhile
  jit::Module module = read_program(program_path, program, device);
  NamedTensors tensors = weights.get();
  const at::ScalarType dtype = dtype_named(spec.compute_dtype);
  if (device.is_cpu()) check_cast(program_path, tensors, dtype, available_memory());
  for (auto& [name, tensor] : tensors) {
    tensor = tensor.to(device, tensor.is_floating_point() ? dtype : tensor.scalar_type());
  }
  check_places(program_path, module, tensors);
  place_weights(program_path, module, "", tensors);
  module.eval();
  return module;
}

/// The same answers from the first call on: no profiling runs, no fusion.
void settle_executor() {
  jit::getExecutorMode() = true;
  jit::getProfilingMode() = false;
}

}  // namespace

struct Bundle::Loaded {
  Manifest manifest;
  fs::path folder;
  at::Device device = at::kCPU;
  std::map<std::string, double> load_seconds;
  mutable jit::Module text_encoder, denoiser;
  mutable std::map<std::string, jit::Module> decoders;

  /// Calls a module with tensors, on the device.
  c10::IValue call(const std::string& name, jit::Module& module, const std::vector<Tensor>& inputs) const {
    return with_errors(name, [&] {
      const c10::InferenceMode inference;
      std::vector<c10::IValue> moved;
      for (const Tensor& input : inputs) {
        // From pinned memory a copy goes on by itself, in the order of the device's own work.
        moved.emplace_back(device.is_cpu() ? input : input.pin_memory().to(device, /*non_blocking=*/true));
      }
      return module.forward(std::move(moved));
    });
  }

  /// What came out: it must be float32, and leaves as an ordinary tensor on the CPU.
  Tensor tensor(const std::string& name, const c10::IValue& value) const {
    const std::string found = value.isTensor() ? at::toString(value.toTensor().scalar_type()) : value.tagKind();
    if (found != "Float")
      throw Error(ExitCode::run_failed, name + ": answered " + found + ", expected a float32 tensor");
    return with_errors(name, [&] {
      const Tensor answer = device.is_cpu() ? value.toTensor() : to_pinned(value.toTensor());
      return answer.is_inference() ? answer.clone() : answer;  // the clone is made outside of inference mode
    });
  }
};

Bundle::Bundle(std::unique_ptr<Loaded> loaded) : loaded_(std::move(loaded)) {}
Bundle::Bundle(Bundle&&) noexcept = default;
Bundle& Bundle::operator=(Bundle&&) noexcept = default;
Bundle::~Bundle() = default;

const Manifest& Bundle::manifest() const { return loaded_->manifest; }
const std::map<std::string, double>& Bundle::load_seconds() const { return loaded_->load_seconds; }
const fs::path& Bundle::folder() const { return loaded_->folder; }
std::string Bundle::device() const { return loaded_->device.str(); }

std::vector<Tensor> Bundle::encode_text(const std::vector<Tensor>& ids, const std::vector<Tensor>& weights) const {
  std::vector<Tensor> inputs;
  for (size_t i = 0; i < ids.size(); ++i) inputs.insert(inputs.end(), {ids[i], weights.at(i)});
  const c10::IValue answer = loaded_->call("text encoder", loaded_->text_encoder, inputs);
  if (!answer.isTuple()) throw Error(ExitCode::run_failed, "text encoder: answered no tuple but " + answer.tagKind());
  std::vector<Tensor> conditioning;
  for (const c10::IValue& each : answer.toTupleRef().elements()) {
    conditioning.push_back(loaded_->tensor("text encoder", each));
  }
  return conditioning;
}

Tensor Bundle::denoise(const Tensor& latents, const Tensor& timesteps, const std::vector<Tensor>& conditioning) const {
  std::vector<Tensor> inputs = {latents, timesteps};
  inputs.insert(inputs.end(), conditioning.begin(), conditioning.end());
  return loaded_->tensor("denoiser", loaded_->call("denoiser", loaded_->denoiser, inputs));
}

Tensor Bundle::decode(const std::string& decoder, const Tensor& latents) const {
  const std::string name = "decoder '" + decoder + "'";
  const auto module = loaded_->decoders.find(decoder);
  if (module == loaded_->decoders.end()) throw std::invalid_argument(name + " was not loaded");
  return loaded_->tensor(name, loaded_->call(name, module->second, {latents}));
}

std::string Bundle::read_file(const std::string& name) const {
  return read_bundle_file(loaded_->folder, name, loaded_->manifest.files.at(name));
}

Bundle load_bundle(const fs::path& folder, const std::string& device, const std::vector<std::string>& decoders) {
  auto loaded = std::make_unique<Bundle::Loaded>();
  loaded->manifest = read_manifest(folder);
  const Manifest& manifest = loaded->manifest;
  std::set<std::string> wanted(decoders.begin(), decoders.end());
  wanted.insert("full");
  for (const std::string& name : wanted) {
    if (manifest.decoders.contains(name)) continue;
    std::string there;
    for (const auto& [each, ignored] : manifest.decoders) there += (there.empty() ? "" : ", ") + each;
    throw UsageError("`decoder` " + name + ": the model '" + manifest.name + "' has " + there);
  }
  loaded->folder = folder;
  loaded->device = device_named(device);
  settle_executor();
  return with_errors(folder.string(), [&] {
    const auto load = [&](const std::string& name, const Manifest::Module& spec) {
      const auto began = std::chrono::steady_clock::now();
      jit::Module module = load_module(folder, manifest, spec, loaded->device);
      loaded->load_seconds[name] += std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
      return module;
    };
    loaded->text_encoder = load("text_encoder", manifest.text_encoder);
    loaded->denoiser = load("denoiser", manifest.denoiser);
    for (const std::string& name : wanted) loaded->decoders[name] = load("decoders", manifest.decoders.at(name));
    return Bundle(std::move(loaded));
  });
}

std::string libtorch_version() { return TORCH_VERSION; }

}  // namespace steplapse
