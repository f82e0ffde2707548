#include "model/weights.h"

#include <ATen/Parallel.h>

#include <atomic>
#include <future>
#include <memory>
#include <sstream>
#include <stdexcept>

#include "base/aten.h"
#include "base/shape_text.h"
#include "base/text.h"
#include "model/bundle_file.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

/// Checks that the tensors of a file are those of model.json.
void check_tensors(const std::string& path, const NamedTensors& tensors, const Manifest::Module& module) {
  for (const auto& [name, tensor] : tensors) {
    const auto known = module.tensors.find(name);
    if (known == module.tensors.end()) throw BundleError(path + ": " + in_quotes(name) + " is not in model.json");
    const Manifest::TensorSpec& expected = known->second;
    if (tensor.sizes() != at::IntArrayRef(expected.shape)) {
      throw BundleError(path + ": " + in_quotes(name) + " is " + shape_text(tensor.sizes()) + ", model.json asks for " +
                        shape_text(expected.shape));
    }
    if (safetensors_dtype(tensor.scalar_type()) != expected.dtype) {
      throw BundleError(path + ": " + in_quotes(name) + " is " + safetensors_dtype(tensor.scalar_type()) +
                        ", model.json asks for " + expected.dtype);
    }
  }
}

/// The files of a module's weights. They are hashed in parallel, since hashing takes most of the time of loading.
std::vector<std::unique_ptr<BundleFile>> open_weights(const BundleFolder& folder, const Manifest::Module& module) {
  const size_t count = module.weights.size();
  std::vector<std::unique_ptr<BundleFile>> files(count);
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t i = next++; i < count; i = next++) {
      files[i] = folder.open(module.weights[i]);
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

}  // namespace

NamedTensors map_weights(const BundleFolder& folder, const Manifest::Module& module) {
  NamedTensors tensors;
  for (const auto& file : open_weights(folder, module)) {
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
    throw BundleError((folder.path() / module.weights.back()).string() + ": " + in_quotes(name) +
                      " is missing, model.json asks for it");
  }
  return tensors;
}

at::ScalarType dtype_named(const std::string& name) {
  if (name == "float32") return at::kFloat;
  if (name == "float16") return at::kHalf;
  if (name == "bfloat16") return at::kBFloat16;
  throw std::invalid_argument("unknown dtype " + in_quotes(name) + ", expected float32, float16 or bfloat16");
}

void check_cast(const std::string& path, const NamedTensors& tensors, at::ScalarType dtype, int64_t available) {
  int64_t needed = 0;
  for (const auto& [name, tensor] : tensors) {
    if (tensor.is_floating_point() && tensor.scalar_type() != dtype) {
      needed += tensor.numel() * static_cast<int64_t>(at::elementSize(dtype));
    }
  }
  if (needed <= available) return;
  std::ostringstream text;
  text.precision(3);
  text << path << ": its weights need " << static_cast<double>(needed) / 1e9 << " GB of memory as "
       << at::toString(dtype) << ", there are " << static_cast<double>(available) / 1e9
       << "; export the model with a smaller dtype";
  throw MemoryError(text.str());
}

}  // namespace steplapse
