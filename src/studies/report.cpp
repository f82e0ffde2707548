#include "studies/report.h"

#include <set>

#include "base/confinement.h"
#include "base/file_io.h"
#include "base/text.h"
#include "record/run_folder.h"
#include "runs/run_model.h"
#include "steplapse/error.h"
#include "steplapse/run_log.h"
#include "studies/report_pictures.h"
#include "studies/report_runs.h"
#include "views/report/page.h"
#include "views/report/quantities.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

// ---- where to

fs::path page_of(const ReportOptions& options) {
  if (options.out.empty())
    return options.paths.size() > 1 ? fs::path("report.html")
                                    : fs::path(without_slash(fs::absolute(options.paths.front())).string() + ".html");
  if (options.out.extension() != ".html")
    throw UsageError("`out` " + in_quotes(options.out.string()) + ": expected the name of a .html");
  return options.out;
}

void check_folder(const ReportOptions& options) {
  std::error_code none;
  if (options.folder.empty() || !fs::exists(options.folder, none)) return;
  if (!fs::is_directory(options.folder, none))
    throw OutputError(options.folder.string() + ": is no folder; name another `folder`");
  if (!options.overwrite && !fs::is_empty(options.folder, none))
    throw OutputError(options.folder.string() +
                      ": is not empty; name another `folder`, or `overwrite` to replace the pictures there");
}

// ---- reading

/// A run; none where it can't be read and is one of a folder, which is said then. @throws Error  the user named it
std::optional<RunPictures> readable_run(const NamedRun& run, const ReportOptions& options) {
  try {
    return RunPictures(run.folder, {options.decoder, options.running, options.usual_model});
  } catch (const std::exception& error) {  // what is read of a log may be damaged anywhere
    if (run.by_itself) throw;
    options.warn(failure_of(error).message + "; it is left out");
    return std::nullopt;
  }
}

/// The last part of its path, where that tells each run from the others; else the path.
void name_runs(std::vector<RunReport>& runs) {
  std::set<std::string> names;
  for (const RunReport& run : runs) names.insert(fs::path(run.name).filename().string());
  if (names.size() < runs.size() || names.contains("") || names.contains(".") || names.contains("..")) return;
  for (RunReport& run : runs) run.name = fs::path(run.name).filename().string();
}

void expect_bundles(const std::vector<NamedRun>& runs) {
  for (const NamedRun& run : runs) {
    try {
      expect_bundle(made_with(run.folder, RunLog::open(log_in(run.folder)).facts_json()));
    } catch (const std::exception&) {  // said when it is to be shown
    }
  }
}

/// One run after the other, so that one decoder is in memory at a time.
void add_runs(const std::vector<NamedRun>& named, const ReportOptions& options, Report& report,
              ReportPictures& pictures) {
  const FrameChoice choice = frames_with_room(named, report.has_folder);
  expect_bundles(named);
  for (const NamedRun& each : named) {
    std::optional<RunPictures> run = readable_run(each, options);
    if (!run) continue;
    report.runs.push_back(report_of(*run, options));
    pictures.add(*run, choice, report.runs.back(), [&](size_t done, size_t of) {
      const size_t number = static_cast<size_t>(&each - named.data());
      options.made((static_cast<double>(number) + static_cast<double>(done) / static_cast<double>(of)) /
                       static_cast<double>(named.size()),
                   "run " + std::to_string(number + 1) + "/" + std::to_string(named.size()) + ", picture " +
                       std::to_string(done) + "/" + std::to_string(of));
    });
  }
  if (report.runs.empty())
    throw UsageError(in_quotes(options.paths.front().string()) + ": none of its runs can be shown");
  name_runs(report.runs);
  report.about_pictures = choice.left_out();
}

}  // namespace

Reported report(const ReportOptions& options) {
  const fs::path page = page_of(options), csv = fs::path(page).replace_extension(".csv");
  const std::vector<NamedRun> named = report_runs(options.paths);
  for (const fs::path& file : {page, csv}) check_writable(file, options.overwrite);
  check_folder(options);
  if (!options.folder.empty()) confinement_writes(options.folder);
  Report report{.runs = {}, .shows_all = options.paths.size() > 1, .has_folder = !options.folder.empty()};
  ReportPictures pictures;
  add_runs(named, options, report, pictures);
  pictures.place(report, options.folder, page);
  const std::string text = report_page(report);
  write_whole(csv, report_csv(report));
  write_whole(page, text);
  return {page, csv, report.runs.size(), text.size(), report.about_pictures};
}

}  // namespace steplapse
