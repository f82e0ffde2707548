#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <string>

#include "base/safetensors.h"

namespace steplapse {

/// Weights that are stored in another dtype become a copy; on a CPU too large a one would not fail but end the process.
/// @param path       for the message
/// @param dtype      what floating tensors are cast to
/// @param available  bytes
/// @throws MemoryError  the copies need more than that
void check_cast(const std::string& path, const NamedTensors& tensors, at::ScalarType dtype, int64_t available);

}  // namespace steplapse
