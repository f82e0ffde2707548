#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

namespace steplapse {

/// The number of cores that this process may use. Hyperthreads of one core count once, since one matrix kernel fills a
/// core. Where the kernel does not say which cpus share a core, each cpu counts.
/// @param cpus  the kernel's folder of cpus; a parameter for the tests
int physical_cores(const std::filesystem::path& cpus = "/sys/devices/system/cpu");

/// What /proc/cpuinfo says after "name : " of the first CPU, such as its "model name"; none where it does not say.
std::optional<std::string> cpu_info(const std::string& name);

/// Sets the number of libtorch's threads on the CPU.
/// @param count  0: one per core, unless OMP_NUM_THREADS gives a number
void set_threads(int count);

/// Bytes of memory that can be allocated without swapping: the kernel's estimate, and no more than the limits (cgroup
/// v2) of the process and of the groups around it leave. Cached files count as free. The largest int64 where the kernel
/// says nothing.
/// @param root  the folder of /proc and /sys; a parameter for the tests
int64_t available_memory(const std::filesystem::path& root = "/");

/// An upper bound in bytes: available_memory, swap, and memory that this process holds without using it.
int64_t most_memory(const std::filesystem::path& root = "/");

/// Runs the work and returns the bytes by which the process's resident memory grew at its peak; 0 where the kernel does
/// not say. Memory that the process held before without using it is not counted.
int64_t memory_taken_by(const std::function<void()>& work);

/// From now on the process keeps memory that it frees. Otherwise memory goes back to the kernel after an operation, and
/// the next operation faults it in again page by page, which can take longer than the operation itself. For main(): it
/// concerns the whole process.
void keep_freed_memory();

}  // namespace steplapse
