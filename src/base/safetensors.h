#pragma once

#include <filesystem>
#include <map>
#include <stdexcept>
#include <string>

#include "steplapse/tensor.h"

namespace steplapse {

/// A safetensors file that is not what it says. The text is one line that begins with the file's path; who reads the
/// file knows whether that makes it a UsageError or a BundleError.
struct SafetensorsError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

using NamedTensors = std::map<std::string, Tensor>;

/// The tensors of a safetensors file, by name, on the CPU. Its header is checked whole before anything is made of it:
/// JSON, known dtypes, sizes that match the shapes, and data that is covered exactly once from its first byte to its
/// last.
///
/// The file is mapped, not read: tensors are views of a private mapping that lives as long as any of them.
/// @throws SafetensorsError
NamedTensors read_safetensors(const std::filesystem::path& path);

/// The same of an open file, which may be closed afterwards. `path` is for messages.
NamedTensors map_safetensors(int descriptor, const std::string& path);

/// The bytes of a safetensors file with these tensors, any device and strides; the same tensors give the same bytes.
std::string to_safetensors(const NamedTensors& tensors);

/// A dtype as safetensors spells it: F32, F16, BF16, I64 ...
/// @throws std::invalid_argument  for one the format lacks
std::string safetensors_dtype(at::ScalarType dtype);

}  // namespace steplapse
