#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "steplapse/step_row.h"
#include "views/plot.h"

namespace steplapse {

/// What became of a branch, in words.
enum class BranchVerdict {
  same,       ///< the final picture is the same: at least 40 dB
  slower,     ///< the same picture, but x0 settles later
  subtle,     ///< subtly different: at least 20 dB
  different,  ///< another picture
};
std::string_view name_of(BranchVerdict verdict);

/// A branch, and how far it is from the run that it goes out from.
struct MeasuredBranch {
  std::filesystem::path folder;
  int64_t at;                   ///< the last step that both have
  std::optional<double> noise;  ///< none: no noise was added
  /// A step of the branch after `at`.
  struct Point {
    int64_t step;
    double ratio;                   ///< sigma / alpha of its level
    std::optional<double> latents;  ///< rms of x0 minus the run's x0 at the same sigma; none: the run was never there
    std::optional<double> pixels;   ///< rms of the difference of their x0 frames, 0 to 255; none: one has no frame
  };
  std::vector<Point> points;
  double end_latents;                  ///< rms of the difference of what both ended with
  std::optional<FrameChange> end;      ///< the difference of their final pictures; none: one has none
  std::optional<int64_t> settles;      ///< the step after which its x0 stays near its end; none: not before the last
  std::optional<int64_t> run_settles;  ///< that of the run
  std::optional<int64_t> settles_later() const;  ///< by how many steps; none: where one of the two does not settle
  std::optional<BranchVerdict> verdict() const;  ///< none without final pictures
};

/// A table for people, with a line that says what the verdicts mean.
std::string branch_table(const std::vector<MeasuredBranch>& branches, double settled_share);
std::string branch_csv(const std::vector<MeasuredBranch>& branches);        ///< a row for each branch
std::string branch_steps_csv(const std::vector<MeasuredBranch>& branches);  ///< a row for each branch and step
Plot branch_plot(const std::vector<MeasuredBranch>& branches);              ///< the distance of x0 over the steps

}  // namespace steplapse
