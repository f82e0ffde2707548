#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <string>

#include "base/safetensors.h"
#include "model/bundle_folder.h"

namespace steplapse {

/// The tensors of a module, one for one those of model.json, mapped from files whose hashes were checked.
/// @throws BundleError  a file or a tensor that is not as model.json says
NamedTensors map_weights(const BundleFolder& folder, const Manifest::Module& module);

/// @param name  float32, float16 or bfloat16, as Manifest::Module::compute_dtype
/// @throws std::invalid_argument  another
at::ScalarType dtype_named(const std::string& name);

/// Casting copies the weights. A copy larger than memory is not refused: the kernel kills the process. So this checks first.
/// @param path       for the message
/// @param dtype      what floating tensors are cast to
/// @param available  bytes
/// @throws MemoryError  the copies need more than that
void check_cast(const std::string& path, const NamedTensors& tensors, at::ScalarType dtype, int64_t available);

}  // namespace steplapse
