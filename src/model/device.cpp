#include "model/device.h"

#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>

#include "steplapse/error.h"

namespace steplapse {

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

}  // namespace steplapse
