#pragma once

#include <filesystem>
#include <map>
#include <stdexcept>
#include <string>

#include "steplapse/tensor.h"

namespace steplapse {

/// A safetensors file that breaks its format. The text is one line and begins with the file's path. The caller decides
/// whether this is a UsageError or a BundleError.
struct SafetensorsError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

using NamedTensors = std::map<std::string, Tensor>;

/// The tensors of a safetensors file, by name, on the CPU. The whole header is checked first: it must be JSON with
/// known dtypes, each size must match its shape, and the tensors must cover each byte of the data exactly once.
///
/// The file is mapped, not read. The tensors are views of a private mapping, which lives as long as any of them.
/// @throws SafetensorsError  the file cannot be opened or mapped, or breaks the format
///
/// Source: https://github.com/huggingface/safetensors#format
NamedTensors read_safetensors(const std::filesystem::path& path);

/// As read_safetensors, from an open file, which may be closed afterwards.
/// @param path  names the file in messages
NamedTensors map_safetensors(int descriptor, const std::string& path);

/// The bytes of a safetensors file with these tensors, whatever their device and strides. Equal tensors give equal
/// bytes. The largest elements come first, so each tensor is aligned to its own.
/// @param metadata  texts by name, for the file's `__metadata__`; UTF-8
std::string to_safetensors(const NamedTensors& tensors, const std::map<std::string, std::string>& metadata = {});

/// The safetensors name of a dtype: F32, F16, BF16, I64 ...
/// @throws std::invalid_argument  the format has no such dtype
std::string safetensors_dtype(at::ScalarType dtype);

}  // namespace steplapse
