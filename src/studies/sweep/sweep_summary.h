#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "studies/race.h"
#include "studies/sweep/sweep_distances.h"

namespace steplapse {

struct SweepSummaryOptions {
  /// How near to its reference a picture must come, as PSNR in dB. 30 dB is an rms of 8 of 255: side by side people tell two
  /// pictures of one motif apart below it, and hardly above it.
  double within = 30;
  double share = 0.95;                     ///< of the pictures that must come so near
  std::vector<std::string> samplers = {};  ///< these alone, stochastic ones too; empty: all that are deterministic
  std::vector<std::string> by = {};        ///< settings to tell apart too
};

/// The pictures of one sampler and schedule with one number of steps, over seeds, prompts and what else there is.
struct SummaryLine {
  int64_t steps = 0;      ///< that were asked for
  size_t pictures = 0;    ///< that have a distance
  size_t references = 0;  ///< of them, those that others are compared with; they are left out of both spreads
  size_t equal = 0;       ///< of the others, those whose pixels are the reference's; they are left out of `psnr`
  size_t near = 0;        ///< how many are within the tolerance
  Spread psnr = {};       ///< dB; NaN where no picture differs
  Spread latents_rms = {};
  double calls = 0;                    ///< means over the pictures
  std::optional<double> seconds = {};  ///< in the network, had no answers been shared; none: unknown

  double share_near() const { return static_cast<double>(near) / static_cast<double>(pictures); }
  bool is_reference() const { return references == pictures; }
};

/// A sampler on a schedule, with the options and settings that tell groups apart.
struct SummaryGroup {
  std::vector<std::pair<std::string, std::string>> settings;  ///< sampler and schedule first
  bool stochastic = false;
  std::vector<SummaryLine> lines;       ///< by steps
  std::optional<size_t> smallest = {};  ///< the first line of which the wanted share is near

  const std::string& sampler() const { return settings.front().second; }
};

/// More steps made the pictures of a prompt worse.
struct WorseAfter {
  size_t group;
  std::string prompt;
  int64_t best, later;  ///< steps
  double fall;          ///< dB, mean over seeds. What is nearer than a level of 255 counts as equal
  size_t pictures;      ///< that both have
};

struct SweepSummary {
  double within, share;
  size_t cells = 0, missing = 0, failed = 0, skipped = 0;
  std::vector<std::string> left_out = {};  ///< stochastic samplers
  std::vector<SummaryGroup> groups = {};   ///< in the plan's order
  std::vector<size_t> answers = {};        ///< a group for each sampler: its best schedule; the best of all first
  std::vector<WorseAfter> worse = {};
};

/// @param rows,distances  by cell
/// @throws UsageError  a sampler or setting that no cell has; no cell has a picture yet
SweepSummary summary_of(const std::vector<std::optional<CellRow>>& rows,
                        const std::vector<std::optional<SweepDistance>>& distances,
                        const SweepSummaryOptions& options = {});

}  // namespace steplapse
