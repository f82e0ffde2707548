#pragma once

#include <c10/core/Device.h>

#include <string>

namespace steplapse {

/// @param name  `auto` (CUDA where there is one), `cpu`, `cuda`, `cuda:1`
/// @throws UsageError  another name, or a device that is not there
at::Device device_named(const std::string& name);

}  // namespace steplapse
