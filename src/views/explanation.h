#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "record/history.h"

namespace steplapse {

// What a run's log says of how its picture came about, in numbers. docs/runs.md defines each.

/// A part has settled at the first step from which on it stays this near to its end: as a share of its size there.
inline constexpr double kSettled = 0.1;
/// The two answers are alike above this cosine. (Castillo et al. 2024, arXiv:2312.12487, leave the second one out there.)
inline constexpr double kAlike = 0.99;
/// Leaving it out changes little where the final latents would move by at most this share of their rms.
inline constexpr double kLittle = 0.05;
/// x0 goes straight on where its second difference is at most this share of x0's rms at the end.
inline constexpr double kStraight = 0.01;

/// A part of x0, and the step from which on it stayed near to its end; none: it was further away at the last step.
struct Settling {
  std::string part;  ///< colours, coarse form, middle, details
  std::optional<int64_t> step;
};

/// A region of the picture, in pixels.
struct Region {
  std::string name;  ///< top left, centre
  int64_t x = 0, y = 0, width = 0, height = 0;
  std::optional<int64_t> step;  ///< as of a Settling
};

/// When what of a sequence of images comes near to its end.
struct Settlings {
  std::vector<Settling> parts;  ///< those that an image of this size has
  Region last;                  ///< of a grid of 3 x 3, what settled last; the furthest away before, of several
};

/// @param images  one a step, [C, h, w]
/// @param end     what they come to
/// @param width,height  of the picture in pixels, for the region
Settlings settlings_of(const std::vector<Tensor>& images, const Tensor& end, int64_t width, int64_t height);

/// A step in numbers. "rms" is the root of the mean square over the latents' elements.
struct StepNumbers {
  int64_t step = 0;
  NoiseLevel level;
  double x0_to_final = 0;                        ///< rms of x0 minus the end
  std::optional<double> x0_change = {};          ///< rms of x0 minus the last step's; none at step 1
  std::optional<double> second_difference = {};  ///< rms of x0 - 2 x0 before + x0 before that; none at steps 1 and 2
  std::optional<double> cosine = {};             ///< of the two answers, as eps; none where only one was asked
  std::optional<double> guidance = {};           ///< rms of x0 with guidance minus x0 by cond alone; as cosine
  /// How far from the run's the final latents would be, as rms, had the second answer been left out from this step on. An
  /// estimate, mostly too high: docs/runs.md says which. None where no step from here on asked for it.
  std::optional<double> left_out = {};
};

/// From which step on the second answer, that to the negative prompt, could have been left out by a rule.
struct LeavingOut {
  std::string rule;     ///< alike: all cosines are kAlike or more; little: all left_out are kLittle of end_rms or less
  int64_t from = 0;     ///< the first such step that asked for it
  int64_t spared = 0;   ///< steps from there on that asked for it
  double estimate = 0;  ///< that step's left_out
};

struct Explanation {
  std::vector<StepNumbers> steps;
  int64_t guided = 0;                   ///< the steps that asked for both answers
  std::vector<LeavingOut> leaving_out;  ///< by each rule that names a step
  std::vector<int64_t> straight;        ///< the steps whose second difference is small
  double end_rms = 0;                   ///< of what the run came to
};

Explanation explain(const History& history);

double rms_of(const Tensor& x);

/// The first step, from 1, from which on `holds` holds to the end; none: not at the last one.
std::optional<int64_t> holds_from(int64_t steps, const std::function<bool(int64_t step)>& holds);

/// The angle of a cosine, in degrees.
double degrees_of(double cosine);

}  // namespace steplapse
