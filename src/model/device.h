#pragma once

#include <c10/core/Device.h>

#include <string>

namespace steplapse {

/// The device of this name.
/// @param name  `auto` (CUDA where there is a GPU, else the CPU), `cpu`, `cuda`, `cuda:1`
/// @throws UsageError  another name, or the device does not exist
at::Device device_named(const std::string& name);

}  // namespace steplapse
