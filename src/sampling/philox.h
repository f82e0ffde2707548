#pragma once

#include <cstdint>

#include "steplapse/tensor.h"

namespace steplapse {

/// The float32 tensor that PyTorch's CUDA generator gives for randn number `draw` (from 0) after manual_seed(seed),
/// computed on the CPU.
///
/// On the GPU each element has a thread of its own. Thread i takes the first of the four normal numbers that cuRAND
/// makes from Philox 4x32-10 with counter (draw, i) and key `seed`. The random bits here are equal to CUDA's. The
/// normal numbers can differ in their last digits, since CUDA uses a fast sine; here they are computed in double and
/// rounded once, so they are equal on every machine.
///
/// A GPU runs a limited number of threads at once: its multiprocessors times 1024 (Turing), 1536 (GeForce since Ampere)
/// or 2048 (data center), so 30,720 on a GeForce RTX 2060, 43,008 on an RTX 3060, 196,608 on an RTX 4090 and 221,184 on
/// an A100. For larger tensors each thread goes on with its second number, so beyond that size CUDA's numbers depend on
/// the GPU. The numbers here are those of a GPU with enough threads. (512 x 512 pixels are 16,384 latents, 1024 x 1024
/// are 65,536.)
///
/// Source: PyTorch, ATen/native/cuda/DistributionTemplates.h; cuRAND device API, curand_init and curand_normal4; Salmon
/// et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
Tensor philox_randn(at::IntArrayRef shape, uint64_t seed, uint64_t draw);

}  // namespace steplapse
