#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <vector>

#include "studies/sweep/cell_row.h"
#include "studies/sweep/sweep_plan.h"

namespace steplapse {

/// A sweep's folder, as far as it has come.
struct Sweep {
  std::filesystem::path folder;
  SweepPlan plan;
  std::vector<std::optional<CellRow>> rows;  ///< by cell; none where it has none yet
};

/// @throws UsageError  the folder is no sweep's, or its rows are of another plan
Sweep sweep_in(const std::filesystem::path& folder);

/// Of rows that have been read. They get what the plan's axes set besides, as `stop_at`.
Sweep sweep_of(const std::filesystem::path& folder, const SweepPlan& plan, std::vector<std::optional<CellRow>> rows);

/// Whether the cell has a picture: its row says done or stopped.
bool has_end(const std::optional<CellRow>& row);

/// By cell, the one that it is compared with: the one with the most denoiser calls among the deterministic ones whose settings
/// are equal but for the sampler, its options, the steps, what ends a run early and the decoder of frames. A stochastic one is compared with its own sampler's most calls,
/// at equal options. Of several with the most, that of a sampler of higher order, then the first. None: it has no end.
std::vector<std::optional<size_t>> references_of(const std::vector<std::optional<CellRow>>& rows);

/// How far a cell's end is from its reference's.
struct SweepDistance {
  size_t reference;                   ///< a cell, from 0; perhaps the cell itself
  std::optional<double> latents_rms;  ///< of the difference of final latents; none: one of the files can't be read
  std::optional<double> psnr;         ///< of the pixels of final.png, in dB, infinite for equal ones; none: likewise

  bool is_own(size_t cell) const { return reference == cell; }
};

/// By cell; none where references_of says none. What results.jsonl has of pictures that are as they were is taken from there.
std::vector<std::optional<SweepDistance>> distances_in(const Sweep& sweep);

}  // namespace steplapse
