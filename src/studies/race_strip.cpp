#include "studies/race_strip.h"

#include <algorithm>

#include "base/number_text.h"
#include "base/text.h"
#include "steplapse/error.h"
#include "views/canvas.h"
#include "views/contact_sheet.h"

namespace steplapse {
namespace {

/// A run's place in the strip, or that of a run to come.
SheetCell strip_cell(const Contender& contender, const RaceRun* run) {
  SheetCell cell;
  cell.label = contender.call_budget ? counted(contender.calls_total, "call")
               : run                 ? counted(run->calls_total, "call")
                                     : "";
  if (!run) return cell;
  cell.picture = run->picture;
  cell.detail = run->failed() ? "failed" : "picture " + rounded_text(run->distance.picture, 3);
  return cell;
}

class RaceStrip {
 public:
  /// @param result  null: the race is yet to be run
  RaceStrip(const Race& race, const RaceResult* result) : race_(race), result_(result) {
    sheet_.notes = {"picture: root mean square of the difference of pixels to the reference's, 0 to 255."};
  }

  /// @param prompt  of the lane
  void add_lane(size_t lane, const std::string& prompt, uint64_t seed) {
    const Contender& reference = race_.reference;
    SheetCell cell{.picture = {}, .label = counted(reference.calls_total, "call")};
    if (result_) cell.picture = result_->reference_pictures[lane];
    sheet_.rows.push_back(
        {prompt + ", seed " + std::to_string(seed) + ": the reference, " + reference.sampler, {cell}});
    for (const std::string& sampler : strip_samplers()) sheet_.rows.push_back(row_of(sampler, lane));
  }

  ContactSheet sheet() && { return std::move(sheet_); }

 private:
  std::vector<std::string> strip_samplers() const {
    std::vector<std::string> names;
    for (const Contender& contender : race_.contenders) {
      if (std::find(names.begin(), names.end(), contender.sampler) == names.end()) names.push_back(contender.sampler);
    }
    return names;
  }

  SheetRow row_of(const std::string& sampler, size_t lane) const {
    SheetRow row{sampler, {}};
    for (size_t i = 0; i < race_.contenders.size(); ++i) {
      const Contender& contender = race_.contenders[i];
      if (contender.sampler != sampler) continue;
      // The result has its runs by contender, then by lane.
      const size_t lanes = result_ ? result_->reference_errors.size() : 0;
      row.cells.push_back(strip_cell(contender, result_ ? &result_->runs[i * lanes + lane] : nullptr));
    }
    return row;
  }

  const Race& race_;
  const RaceResult* result_;
  ContactSheet sheet_;
};

}  // namespace

std::string race_strip(const RaceReport& report) {
  RaceStrip strip(report.race, &report.result);
  for (size_t lane = 0; lane < report.race.lanes.size(); ++lane)
    strip.add_lane(lane, report.race.lanes[lane].prompt, report.race.lanes[lane].recipe.seed);
  return png_of(std::move(strip).sheet());
}

void check_strip(const Race& race, const std::vector<Plan>& plans) {
  check_fonts();
  RaceStrip strip(race, nullptr);
  for (size_t lane = 0; lane < plans.size(); ++lane) strip.add_lane(lane, plans[lane].prompt, plans[lane].recipe.seed);
  ContactSheet sheet = std::move(strip).sheet();
  const Picture blank{plans.front().width, plans.front().height, {}};
  for (SheetRow& row : sheet.rows) {
    for (SheetCell& cell : row.cells) {
      cell.picture = blank;
      cell.detail = "picture";
    }
  }
  check_size(sheet, "a `strip` wants fewer `samplers`, `calls`, prompts or seeds");
}

void check_strip_name(const std::filesystem::path& path) {
  if (path.extension() == ".png") return;
  throw UsageError(path.string() + ": expected a file's name that ends in .png");
}

}  // namespace steplapse
