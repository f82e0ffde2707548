#include "studies/sweep/known_distances.h"

#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

namespace steplapse {
namespace {

/// What a line of results.jsonl says of a cell.
struct ToldCell {
  std::string final_sha256 = {};
  std::optional<SweepDistance> distance = {};
};

std::optional<double> number_in(const nlohmann::json& json, const char* key) {
  const auto& value = json.at(key);
  return value.is_null() ? std::nullopt : std::optional(value.get<double>());
}

ToldCell told_in(const nlohmann::json& json) {
  return {
      json.at("final_sha256").get<std::string>(),
      SweepDistance{json.at("reference").get<size_t>() - 1, number_in(json, "latents_rms"), number_in(json, "psnr")}};
}

/// By cell. A line that says less, as of a cell that failed, tells nothing.
std::vector<ToldCell> told_cells(const Sweep& sweep) {
  std::vector<ToldCell> cells(sweep.rows.size());
  std::ifstream file(sweep.folder / "results.jsonl", std::ios::binary);
  for (std::string line; std::getline(file, line);) {
    try {
      const auto json = nlohmann::json::parse(line);
      cells.at(json.at("cell").get<size_t>() - 1) = told_in(json);
    } catch (const std::exception&) {
    }
  }
  return cells;
}

/// JSON has null for an infinite PSNR, as of equal pictures, and for one that could not be measured.
bool is_whole(SweepDistance& distance, bool equal_pictures) {
  if (!distance.psnr && equal_pictures) distance.psnr = std::numeric_limits<double>::infinity();
  return distance.latents_rms && distance.psnr;
}

}  // namespace

std::vector<std::optional<SweepDistance>> known_distances(const Sweep& sweep,
                                                          const std::vector<std::optional<size_t>>& references) {
  auto told = told_cells(sweep);
  const auto is_as_told = [&](size_t cell) { return sweep.rows[cell]->final_sha256 == told[cell].final_sha256; };
  std::vector<std::optional<SweepDistance>> known(references.size());
  for (size_t cell = 0; cell < references.size(); ++cell) {
    const auto reference = references[cell];
    auto& distance = told[cell].distance;
    if (!reference || !distance || distance->reference != *reference) continue;
    if (!is_as_told(cell) || !is_as_told(*reference)) continue;
    if (is_whole(*distance, told[cell].final_sha256 == told[*reference].final_sha256)) known[cell] = distance;
  }
  return known;
}

}  // namespace steplapse
