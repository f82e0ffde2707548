#include "studies/sweep/sweep_distances.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <compare>
#include <exception>
#include <span>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "base/aten.h"
#include "base/safetensors.h"
#include "steplapse/sampler.h"
#include "studies/comparison.h"
#include "studies/sweep/known_distances.h"
#include "studies/sweep/planned_settings.h"
#include "studies/sweep/sweep_rows.h"
#include "views/picture_file.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kPairsAtOnce = 64;  // that a thread measures, at least

constexpr std::array kEndsAndFrames{"steps", "stop_at", "stop_when_converged", "would_stop", "decoder"};
constexpr std::array kSamplerSettings{"sampler", "eta", "s_churn", "s_tmin", "s_tmax", "s_noise", "clip_sample_range"};

/// All settings in which cells that are compared are equal, as one text.
std::string compared_group(const CellRow& row) {
  const auto is_one_of = [](const auto& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  std::string group = row.stochastic ? "~" : "";
  for (const auto& [name, value] : row.settings.items()) {
    if (is_one_of(kEndsAndFrames, name) || (!row.stochastic && is_one_of(kSamplerSettings, name))) continue;
    group += name + value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  }
  return group;
}

int order_of_sampler(const CellRow& row) {
  const auto name = row.settings.find("sampler");
  for (const Sampler& sampler : samplers()) {
    if (name != row.settings.end() && *name == std::string(sampler.name)) return sampler.order;
  }
  return 0;
}

bool is_better_reference(const CellRow& row, const CellRow& than) {
  return std::tuple(row.denoiser_calls.value_or(0), order_of_sampler(row)) >
         std::tuple(than.denoiser_calls.value_or(0), order_of_sampler(than));
}

/// What a run ended with, as far as its files can be read.
struct CellEnd {
  std::optional<Tensor> latents;
  std::optional<Picture> picture;
};

CellEnd end_in(const fs::path& folder) {
  CellEnd end;
  try {
    end.latents = read_safetensors(folder / "final.safetensors").at("latents");
  } catch (const std::exception&) {
  }
  try {
    end.picture = read_picture(folder / "final.png");
  } catch (const std::exception&) {
  }
  return end;
}

SweepDistance distance_between(const CellEnd& end, const CellEnd& reference, size_t number) {
  SweepDistance distance{.reference = number, .latents_rms = {}, .psnr = {}};
  if (end.latents && reference.latents && end.latents->sizes() == reference.latents->sizes())
    distance.latents_rms = rms(*end.latents - *reference.latents);
  if (end.picture && reference.picture && end.picture->rgb.size() == reference.picture->rgb.size())
    distance.psnr = change_between(*reference.picture, *end.picture, 0).psnr;
  return distance;
}

struct CellPair {
  size_t reference, cell;
  auto operator<=>(const CellPair&) const = default;
};

/// Measures pairs that are sorted, so that each reference is read once.
void measure(const Sweep& sweep, std::span<const CellPair> pairs,
             std::vector<std::optional<SweepDistance>>& distances) {
  const auto end_of = [&](size_t cell) { return end_in(sweep.folder / sweep.rows[cell]->folder); };
  std::optional<size_t> known;
  CellEnd reference;
  for (const CellPair& pair : pairs) {
    if (known != pair.reference) reference = end_of(pair.reference);
    known = pair.reference;
    distances[pair.cell] =
        distance_between(pair.cell == pair.reference ? reference : end_of(pair.cell), reference, pair.reference);
  }
}

}  // namespace

Sweep sweep_in(const fs::path& folder) {
  const SweepPlan plan = plan_in(folder);
  return sweep_of(folder, plan, rows_in(folder, plan));
}

Sweep sweep_of(const fs::path& folder, const SweepPlan& plan, std::vector<std::optional<CellRow>> rows) {
  Sweep sweep{.folder = folder, .plan = plan, .rows = std::move(rows)};
  for (size_t cell = 0; cell < sweep.rows.size(); ++cell) {
    auto& row = sweep.rows[cell];
    if (row && !row->settings.is_null()) add_planned_settings(row->settings, plan, cell);
  }
  return sweep;
}

bool has_end(const std::optional<CellRow>& row) { return row && row->is_made(); }

std::vector<std::optional<size_t>> references_of(const std::vector<std::optional<CellRow>>& rows) {
  std::unordered_map<std::string, size_t> references;
  std::vector<const size_t*> of_cells(rows.size());
  for (size_t cell = 0; cell < rows.size(); ++cell) {
    if (!has_end(rows[cell])) continue;
    size_t& reference = references.try_emplace(compared_group(*rows[cell]), cell).first->second;
    if (is_better_reference(*rows[cell], *rows[reference])) reference = cell;
    of_cells[cell] = &reference;
  }
  std::vector<std::optional<size_t>> found(rows.size());
  for (size_t cell = 0; cell < rows.size(); ++cell) {
    if (of_cells[cell]) found[cell] = *of_cells[cell];
  }
  return found;
}

std::vector<std::optional<SweepDistance>> distances_in(const Sweep& sweep) {
  const auto references = references_of(sweep.rows);
  auto distances = known_distances(sweep, references);
  std::vector<CellPair> pairs;
  for (size_t cell = 0; cell < references.size(); ++cell) {
    if (references[cell] && !distances[cell]) pairs.push_back({*references[cell], cell});
  }
  std::sort(pairs.begin(), pairs.end());
  at::parallel_for(0, std::ssize(pairs), kPairsAtOnce, [&](int64_t begin, int64_t end) {
    const auto part = std::span(pairs).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
    measure(sweep, part, distances);
  });
  return distances;
}

}  // namespace steplapse
