#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <vector>

#include "runs/run_pictures.h"
#include "studies/report_runs.h"
#include "views/report/page_pictures.h"
#include "views/report/report.h"

namespace steplapse {

/// The pictures of a report's runs. First all are gathered; only then it is known how small they must become.
class ReportPictures {
 public:
  /// Adds a run's pictures, and what is seen in them: its settled map and its spectrum.
  /// @param report  of the run; its pictures have no address yet
  /// @param made    is told after each frame how many there are, and of how many
  void add(RunPictures& run, const FrameChoice& choice, RunReport& report,
           const std::function<void(size_t done, size_t of)>& made);

  /// Gives the report's pictures their addresses, and says in it how they are kept.
  /// @param folder  where they go, beside the page; empty: into it
  /// @throws OutputError  a picture can't be written
  void place(Report& report, const std::filesystem::path& folder, const std::filesystem::path& page) const;

 private:
  void set_sources(Report& report, const std::vector<std::string>& sources) const;

  PagePictures pictures_;
  std::vector<std::vector<size_t>> of_runs_;  // the numbers of a run's pictures, in the order of visit_pictures
};

}  // namespace steplapse
