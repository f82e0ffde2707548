#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "runs/options.h"
#include "runs/run_pictures.h"
#include "views/report/report.h"

namespace steplapse {

struct ReportOptions {
  std::vector<std::filesystem::path> paths;  ///< runs' folders, or folders of runs
  std::filesystem::path out;                 ///< the page; empty: beside the one path, or report.html
  std::filesystem::path folder;              ///< where lossless pictures go; empty: all pictures are in the page
  std::optional<std::string> decoder;        ///< as PictureOptions::decoder
  bool overwrite = false;
  RunningOptions running;             ///< as PictureOptions::running
  std::filesystem::path usual_model;  ///< as PictureOptions::usual_model
  /// The command that makes a run again, as the program's users write it.
  std::function<std::vector<CommandPart>(const RunPictures& run)> command;
  std::function<void(const std::string&)> warn;  ///< is told what the user should know beside, a line each
  /// Is told after each picture how much of the work is done, 0 to 1, and of which run it was: "run 2/5, picture 3/40".
  std::function<void(double share, const std::string& what)> made = [](double, const std::string&) {};
};

struct Reported {
  std::filesystem::path page, csv;
  size_t runs = 0, bytes = 0;  ///< bytes: of the page
  std::string about_pictures;  ///< a sentence: how they were kept
};

/// Writes a page of runs, and their numbers as CSV beside it. The network is not asked.
/// @throws UsageError   no run is there, or one has nothing to show; `out` does not end in .html
/// @throws OutputError  a log is damaged; a file is there already or can't be written
Reported report(const ReportOptions& options);

/// What the log of a run says, without its pictures.
RunReport report_of(const RunPictures& run, const ReportOptions& options);

}  // namespace steplapse
