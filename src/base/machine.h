#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

namespace steplapse {

/// How many cores this process may use, hyperthreads counted once: matrix kernels fill a core, two on one only wait.
/// Where the kernel does not say which cpus are one core, each is.
/// @param cpus  the kernel's folder of them; a parameter for the tests
int physical_cores(const std::filesystem::path& cpus = "/sys/devices/system/cpu");

/// libtorch's threads on the CPU: as many as asked; for 0 one a core, unless OMP_NUM_THREADS says how many.
void set_threads(int asked);

/// Bytes of memory that can be had without swapping, as the kernel guesses, and within the limits (cgroup v2) of the
/// process and of those around it, where cached files make room; the largest number where the kernel says nothing.
/// @param root  where /proc and /sys are; a parameter for the tests
int64_t available_memory(const std::filesystem::path& root = "/");

/// Bytes that can be had at the very most: those, swap, and what this process holds without using it.
int64_t most_memory(const std::filesystem::path& root = "/");

/// Bytes by which the process's memory grew at most while it did the work; 0 where the kernel doesn't say. Memory that it
/// held before without using it is not counted.
int64_t memory_taken_by(const std::function<void()>& work);

/// Memory that is given back to the kernel after each operation is faulted in again by the next, page by page, which
/// takes longer than many an operation. From here on what was once allocated is kept. For main(): it concerns the whole
/// process.
void keep_freed_memory();

}  // namespace steplapse
