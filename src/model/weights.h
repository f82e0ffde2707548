#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <string>

#include "base/safetensors.h"
#include "model/bundle_folder.h"

namespace steplapse {

/// The tensors of a module, mapped from files whose hashes were checked. They are exactly those that model.json lists.
/// @throws BundleError  a file or a tensor differs from model.json
NamedTensors map_weights(const BundleFolder& folder, const Manifest::Module& module);

/// The dtype of Manifest::Module::compute_dtype.
/// @param name  float32, float16 or bfloat16
/// @throws std::invalid_argument  another name
at::ScalarType dtype_named(const std::string& name);

/// Checks that the weights can be cast. Casting copies them, and the kernel kills a process whose copy is larger than
/// memory.
/// @param path       names the bundle's file in the message
/// @param dtype      the dtype that floating-point tensors are cast to
/// @param available  bytes of memory
/// @throws MemoryError  the copies need more
void check_cast(const std::string& path, const NamedTensors& tensors, at::ScalarType dtype, int64_t available);

}  // namespace steplapse
