#include "studies/comparison.h"

#include <cmath>

#include "base/aten.h"

namespace steplapse {
namespace {

constexpr double kSameRatio = 1e-6;  // of schedules that mean the same level and round it otherwise

bool is_same_level(double a, double b) { return a == b || std::abs(std::log(a / b)) < kSameRatio; }

/// The x0 of a run that stands beside the first run's at a point.
std::optional<EstimateAt> beside(const Estimate& first, const ComparedRun& other, Alignment alignment) {
  if (alignment == Alignment::sigma) return estimate_at(other.estimates, noise_ratio(first.level));
  for (const Estimate& estimate : other.estimates) {
    if (estimate.step == first.step) return EstimateAt{estimate.x0, static_cast<double>(estimate.step)};
  }
  return std::nullopt;
}

std::optional<size_t> parts_at(const std::vector<Comparison::Point>& points, size_t other, double above) {
  for (size_t i = 0; i < points.size(); ++i) {
    const Comparison::Other& found = points[i].others[other];
    if (found.at && found.distance > above) return i;
  }
  return std::nullopt;
}

std::optional<int64_t> settles_at(const ComparedRun& run, double within) {
  std::optional<int64_t> step;
  for (auto estimate = run.estimates.rbegin(); estimate != run.estimates.rend(); ++estimate) {
    if (rms(estimate->x0 - run.end) > within) break;
    step = estimate->step;
  }
  return step;
}

}  // namespace

double rms(const Tensor& x) { return x.to(at::kDouble).square().mean().sqrt().item<double>(); }

std::optional<EstimateAt> estimate_at(const std::vector<Estimate>& estimates, double ratio) {
  for (size_t i = estimates.size(); i-- > 0;) {
    const double low = noise_ratio(estimates[i].level);
    if (is_same_level(low, ratio)) return EstimateAt{estimates[i].x0, static_cast<double>(estimates[i].step)};
    if (i == 0 || low > ratio) continue;
    const double high = noise_ratio(estimates[i - 1].level);
    if (high <= ratio || is_same_level(high, ratio) || !std::isfinite(high) || low <= 0) continue;
    const double part = std::log(high / ratio) / std::log(high / low);
    return EstimateAt{estimates[i - 1].x0 + part * (estimates[i].x0 - estimates[i - 1].x0),
                      static_cast<double>(estimates[i - 1].step) + part, true};
  }
  return std::nullopt;
}

Comparison compare_runs(const std::vector<ComparedRun>& runs, Alignment alignment, double share) {
  const ComparedRun& first = runs.front();
  Comparison comparison;
  comparison.parts_above = share * rms(first.end);
  for (const Estimate& estimate : first.estimates) {
    Comparison::Point point{estimate, {}};
    for (size_t run = 1; run < runs.size(); ++run) {
      Comparison::Other other{beside(estimate, runs[run], alignment)};
      if (other.at) other.distance = rms(other.at->x0 - estimate.x0);
      point.others.push_back(std::move(other));
    }
    comparison.points.push_back(std::move(point));
  }
  for (size_t run = 1; run < runs.size(); ++run) {
    comparison.ends.push_back(rms(runs[run].end - first.end));
    comparison.parts.push_back(parts_at(comparison.points, run - 1, comparison.parts_above));
  }
  for (const ComparedRun& run : runs) comparison.settles.push_back(settles_at(run, share * rms(run.end)));
  return comparison;
}

}  // namespace steplapse
