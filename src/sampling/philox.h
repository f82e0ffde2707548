#pragma once

#include <array>
#include <cstdint>

#include "steplapse/tensor.h"

namespace steplapse {

/// The counter-based generator Philox 4x32 of 10 rounds: 4 random words for each counter and key.
/// Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
std::array<uint32_t, 4> philox4x32_10(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

/// What PyTorch's CUDA generator gives for its `draw`-th (from 0) float32 randn after manual_seed(seed), made on the
/// CPU.
///
/// On the GPU each element has a thread of its own, and thread i takes the first of the four normal numbers that
/// cuRAND makes of counter (draw, 0, i) and key `seed`. The bits that are drawn are CUDA's. The numbers can differ from
/// it in the last places, where CUDA takes its fast sine; here they are computed in double and rounded once, so they
/// are the same on every machine.
///
/// A GPU holds only so many threads at once: its multiprocessors times 1024 (Turing), 1536 (GeForce since Ampere) or
/// 2048 (data center): 30,720 on a GeForce RTX 2060, 43,008 on an RTX 3060, 196,608 on an RTX 4090, 221,184 on an A100.
/// Larger tensors start over with the threads' second number, so past that size CUDA's own numbers depend on the GPU.
/// What is given here are those of a GPU with enough threads. (512 x 512 pixels are 16,384 latents, 1024 x 1024 are
/// 65,536.)
///
/// Source: PyTorch, ATen/native/cuda/DistributionTemplates.h; cuRAND device API, curand_init and curand_normal4.
Tensor philox_randn(at::IntArrayRef shape, uint64_t seed, uint64_t draw);

}  // namespace steplapse
