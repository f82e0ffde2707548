#pragma once

#include <cstdint>
#include <filesystem>

namespace steplapse {

/// How many cores this process may use, hyperthreads counted once: matrix kernels fill a core, two on one only wait.
/// @param cpus  the kernel's folder of them; a parameter for the tests
int physical_cores(const std::filesystem::path& cpus = "/sys/devices/system/cpu");

/// Bytes of memory that can be had without swapping, as the kernel guesses; the largest number where it says nothing.
int64_t available_memory();

/// Memory that is given back to the kernel after each operation is faulted in again by the next, page by page, which
/// takes longer than many an operation. From here on what was once allocated is kept. For main(): it concerns the process.
void keep_freed_memory();

}  // namespace steplapse
