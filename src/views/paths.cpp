#include "views/paths.h"

#include <algorithm>
#include <cmath>

#include "base/aten.h"

namespace steplapse {
namespace {

/// [n, d]: a row for each latent, minus the mean of all, as rms.
Tensor centred(const std::vector<std::vector<Tensor>>& runs) {
  std::vector<Tensor> rows;
  for (const auto& run : runs) {
    for (const Tensor& latents : run) rows.push_back(latents.to(at::kDouble).flatten());
  }
  const Tensor all = at::stack(rows);
  return (all - all.mean(0, true)) / std::sqrt(static_cast<double>(all.size(1)));
}

/// An eigenvector may point either way. Ours points to where the first run ends.
Tensor turned(const Tensor& places, int64_t steps_of_first) {
  const Tensor way = places[steps_of_first - 1] - places[0];
  const Tensor furthest = places[places.abs().argmax().item<int64_t>()];
  const double sign = way.item<double>() != 0 ? way.item<double>() : furthest.item<double>();
  return sign < 0 ? -places : places;
}

}  // namespace

Paths paths_of(const std::vector<std::vector<Tensor>>& runs) {
  const Tensor rows = centred(runs);
  const auto [variances, vectors] = at::linalg_eigh(rows.mm(rows.t()));  // rising
  const int64_t n = rows.size(0);
  const double total = variances.clamp_min(0).sum().item<double>();
  Paths paths;
  for (const auto& run : runs) paths.runs.emplace_back(run.size());
  for (int64_t component = 0; component < std::min<int64_t>(2, n) && total > 0; ++component) {
    const double variance = std::max(0.0, variances[n - 1 - component].item<double>());
    const auto index = static_cast<size_t>(component);
    paths.shares[index] = variance / total;
    const Tensor places =
        turned(vectors.select(1, n - 1 - component) * std::sqrt(variance), std::ssize(runs.front())).contiguous();
    const double* next = places.const_data_ptr<double>();
    for (auto& run : paths.runs) {
      for (Paths::Point& point : run) point[index] = *next++;
    }
  }
  return paths;
}

}  // namespace steplapse
