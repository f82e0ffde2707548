#include "studies/branch_report.h"

#include <cmath>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/names.h"
#include "base/text.h"

namespace steplapse {
namespace {

// PSNR of the final pictures, in dB. At 40 one has to look for the difference; below 20 the forms are others.
constexpr double kSame = 40, kSubtle = 20;

constexpr ValueNames<BranchVerdict, 4> kVerdicts{{{"the same", BranchVerdict::same},
                                                  {"only slower", BranchVerdict::slower},
                                                  {"subtly different", BranchVerdict::subtle},
                                                  {"another picture", BranchVerdict::different}}};

std::string fixed(const std::optional<double>& number, int decimals) {
  if (!number) return "-";
  std::ostringstream text;
  text << std::fixed << std::setprecision(decimals) << *number;
  return text.str();
}

std::string field(const std::optional<double>& number) { return number ? nlohmann::json(*number).dump() : ""; }
std::string field(const std::optional<int64_t>& number) { return number ? std::to_string(*number) : ""; }

std::string settles_text(const MeasuredBranch& branch) {
  if (!branch.settles) return "at the end";
  const auto later = branch.settles_later();
  const std::string change = !later || *later == 0 ? "" : (*later > 0 ? " (+" : " (") + std::to_string(*later) + ")";
  return "step " + std::to_string(*branch.settles) + change;
}

std::optional<double> psnr_of(const MeasuredBranch& branch) {
  return branch.end ? std::optional(branch.end->psnr) : std::nullopt;
}

}  // namespace

std::string_view name_of(BranchVerdict verdict) { return name_in(kVerdicts, verdict); }

std::optional<int64_t> MeasuredBranch::settles_later() const {
  return settles && run_settles ? std::optional(*settles - *run_settles) : std::nullopt;
}

std::optional<BranchVerdict> MeasuredBranch::verdict() const {
  if (!end) return std::nullopt;
  if (end->psnr >= kSame) return settles_later().value_or(0) > 0 ? BranchVerdict::slower : BranchVerdict::same;
  return end->psnr >= kSubtle ? BranchVerdict::subtle : BranchVerdict::different;
}

std::string branch_table(const std::vector<MeasuredBranch>& branches, double settled_share) {
  std::ostringstream out;
  out << std::left << std::setw(5) << "at" << std::setw(8) << "noise" << std::right << std::setw(9) << "latents"
      << std::setw(10) << "picture" << std::setw(9) << "PSNR" << "  " << std::left << std::setw(16) << "settles after"
      << "verdict\n";
  for (const MeasuredBranch& branch : branches) {
    const auto verdict = branch.verdict();
    out << std::left << std::setw(5) << branch.at << std::setw(8) << (branch.noise ? plain(*branch.noise) : "-")
        << std::right << std::setw(9) << fixed(branch.end_latents, 4) << std::setw(10)
        << fixed(branch.end ? std::optional(branch.end->mean_abs) : std::nullopt, 2) << std::setw(9)
        << fixed(psnr_of(branch), 1) << "  " << std::left << std::setw(16) << settles_text(branch)
        << (verdict ? name_of(*verdict) : "no final picture") << '\n';
  }
  out << wrapped(
             "latents: rms of the difference at the end; picture: mean difference, 0 to 255; PSNR in dB: the same "
             "from " +
                 plain(kSame) + ", subtly different from " + plain(kSubtle) + ". Settled: x0 stays within " +
                 plain(settled_share) + " of the rms of its end.",
             80)
      << '\n';
  return out.str();
}

std::string branch_csv(const std::vector<MeasuredBranch>& branches) {
  std::ostringstream out;
  out << "folder,at,noise,latents_distance,picture_mean_abs,picture_psnr,settles_after,run_settles_after,verdict\n";
  for (const MeasuredBranch& branch : branches) {
    const auto verdict = branch.verdict();
    out << branch.folder.filename().string() << ',' << branch.at << ',' << field(branch.noise) << ','
        << field(std::optional(branch.end_latents)) << ','
        << field(branch.end ? std::optional(branch.end->mean_abs) : std::nullopt) << ','
        << (branch.end && std::isinf(branch.end->psnr) ? "inf" : field(psnr_of(branch))) << ',' << field(branch.settles)
        << ',' << field(branch.run_settles) << ',' << (verdict ? name_of(*verdict) : "") << '\n';
  }
  return out.str();
}

std::string branch_steps_csv(const std::vector<MeasuredBranch>& branches) {
  std::ostringstream out;
  out << "folder,at,noise,step,noise_ratio,latents_distance,pixels_distance\n";
  for (const MeasuredBranch& branch : branches) {
    for (const auto& point : branch.points) {
      out << branch.folder.filename().string() << ',' << branch.at << ',' << field(branch.noise) << ',' << point.step
          << ',' << field(std::optional(point.ratio)) << ',' << field(point.latents) << ',' << field(point.pixels)
          << '\n';
    }
  }
  return out.str();
}

Plot branch_plot(const std::vector<MeasuredBranch>& branches) {
  Plot plot{.title = "How far each branch is from the run it goes out from",
            .x = {"step"},
            .y = {"x0: rms of the difference", true},
            .series = {}};
  for (const MeasuredBranch& branch : branches) {
    Plot::Series series{.name = branch.folder.filename().string(), .x = {}, .y = {}};
    for (const auto& point : branch.points) {
      if (!point.latents) continue;
      series.x.push_back(static_cast<double>(point.step));
      series.y.push_back(*point.latents);
    }
    plot.series.push_back(std::move(series));
  }
  return plot;
}

}  // namespace steplapse
