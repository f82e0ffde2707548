#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "steplapse/recipe.h"

namespace steplapse {

/// What a frame shows.
enum class FrameKind {
  x0,           ///< the model's estimate of the picture
  xt,           ///< the noisy latents
  diff,         ///< how much x0's picture changed since the frame before, as a heat map
  signed_diff,  ///< that change with its sign, each colour by itself
  cond,         ///< the estimate by the answer to the prompt alone
  uncond,       ///< the estimate by the answer to the negative prompt alone
  final,        ///< the run's result
};
std::string_view name_of(FrameKind kind);

/// Those that a step may have: all but `final`.
const std::vector<FrameKind>& frame_kinds();

/// @throws std::invalid_argument  no kind has this name
FrameKind frame_kind_named(std::string_view name);

/// Whether it compares two pictures of x0.
inline bool is_diff(FrameKind kind) { return kind == FrameKind::diff || kind == FrameKind::signed_diff; }

/// The frames that a run makes.
struct FrameSelection {
  std::set<FrameKind> kinds{FrameKind::x0};  ///< may be empty: no frames
  int64_t every = 1;                         ///< the steps that are multiples of this; 1 or more
  std::optional<int64_t> from, to;           ///< the first and last step with frames; none: those of the run
  std::set<int64_t> at;                      ///< exactly these steps, in place of every, from and to; empty: unused
  bool count_files = false;                  ///< number files 1, 2, 3 without gaps instead of by step

  /// Whether a step is chosen for a kind. The first and the last step are, whatever `every` is. Step 0 is the start: it can
  /// be chosen for xt alone. The first step that is chosen for a diff has no frame, since there is nothing before it.
  /// @param last  whether the run ends with this step
  bool has(FrameKind kind, int64_t step, bool last) const;
};

/// The path of a frame in the run folder: frames/x0/0007.png. `kind` is one of frame_kinds().
std::string frame_file(FrameKind kind, int64_t number);

/// Checks a selection for a run of n steps.
/// @throws UsageError  it names a step that the run does not have, `from` is after `to`, or `every` is below 1
void check_frames(const FrameSelection& selection, int64_t steps);

/// Where cond or uncond frames are chosen and the network is never asked for that answer: a line that says so.
std::optional<std::string> warning_of_unasked(const FrameSelection& selection, const Recipe& recipe);

/// How many frames a run of n steps has.
int64_t frames_in(const FrameSelection& selection, const Recipe& recipe, int64_t steps);

}  // namespace steplapse
