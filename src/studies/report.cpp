#include "studies/report.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/file_io.h"
#include "base/text.h"
#include "record/run_folder.h"
#include "steplapse/error.h"
#include "views/report/page.h"
#include "views/report/page_pictures.h"
#include "views/report/quantities.h"
#include "views/settled_map.h"
#include "views/spectrum.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostBytes = 10'000'000;   // of a page, so that it can be sent, and opens on a phone
constexpr double kForPictures = 6'500'000;  // of them, before base64 makes them longer by a third
constexpr FrameKind kKinds[] = {FrameKind::x0, FrameKind::xt, FrameKind::diff};

// ---- which runs, and where to

fs::path without_slash(const fs::path& path) {
  const fs::path normal = path.lexically_normal();
  return normal.has_filename() || !normal.has_relative_path() ? normal : normal.parent_path();
}

struct NamedRun {
  fs::path folder;
  bool by_itself;  ///< whether the user named it, and not a folder that it is in
};

/// One run or those of a folder. @throws UsageError  none is there
std::vector<NamedRun> runs_at(const fs::path& path) {
  const std::vector<fs::path> found = path.filename() == "run.sqlite" ? std::vector<fs::path>{} : runs_in(path);
  if (found.empty() || found == std::vector{path}) return {{existing_run(path), true}};  // which says where none is
  std::vector<NamedRun> runs;
  for (const fs::path& folder : found) runs.push_back({folder, false});
  return runs;
}

std::vector<NamedRun> runs_of(const std::vector<fs::path>& paths) {
  std::vector<NamedRun> runs;
  std::set<fs::path> known;
  for (const fs::path& path : paths) {
    for (const NamedRun& run : runs_at(without_slash(path))) {
      if (known.insert(fs::weakly_canonical(run.folder)).second) runs.push_back(run);
    }
  }
  return runs;
}

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

// ---- pictures

/// Which frames of the runs fit into a page.
struct Choice {
  std::set<FrameKind> kinds;
  int64_t every = 1;  ///< the steps that are multiples of this, and each run's last
};

bool is_chosen(const Choice& choice, const RunPictures& run, FrameKind kind, int64_t step) {
  const bool is_last = step == std::ssize(run.history().steps);
  return choice.kinds.contains(kind) && (step % choice.every == 0 || is_last || (step == 1 && kind == FrameKind::x0));
}

/// How many pictures of a size a page has room for: as WebP that is not yet ugly; larger ones are made smaller anyway.
int64_t most_pictures(int64_t area) {
  const double bytes = std::max(1400.0, 0.06 * static_cast<double>(std::min<int64_t>(area, 512 * 512)));
  return static_cast<int64_t>(kForPictures / bytes);
}

/// @param steps  of all runs together
Choice choice_for(int64_t steps, int64_t most) {
  if (3 * steps <= most) return {{std::begin(kKinds), std::end(kKinds)}, 1};
  if (2 * steps <= most) return {{FrameKind::x0, FrameKind::xt}, 1};
  return {{FrameKind::x0}, (steps + most - 1) / most};
}

std::string choice_text(const Choice& choice) {
  if (choice.every > 1)
    return " So many runs leave room for x0 alone, at every " + std::to_string(choice.every) + "th step.";
  if (choice.kinds.size() == 1) return " So many runs leave room for x0 alone.";
  return choice.kinds.size() == 2 ? " So many runs leave no room for the differences." : "";
}

/// Pictures of a page, and where in it each of them goes.
struct Placed {
  PagePictures pictures;
  std::vector<std::vector<size_t>> of_runs;  ///< numbers of a run's pictures, in the order of visit_pictures
};

template <typename Visit>
void visit_pictures(RunReport& run, Visit visit) {
  visit(run.final);
  for (ReportFrame& frame : run.frames) visit(frame.picture);
  if (run.settled_map) visit(*run.settled_map);
}

Chart spectrum_chart(size_t index) {
  return {.id = "spectrum-" + std::to_string(index),
          .title = "Power by spatial frequency",
          .unit = "of the lightness of x0's picture, 0 to 255, squared",
          .meaning =
              "Few cycles across the picture are coarse forms, many are fine details. Each line is a step, later "
              "ones stronger; where lines lie close together, forms of that size have settled.",
          .x = Chart::X::frequency,
          .log_y = true};
}

/// A step's line, without the mean, up to the frequencies that rows and columns can have.
ChartSeries spectrum_line(const Picture& picture, int64_t step, size_t index) {
  ChartSeries line{"step", std::to_string(step), index, {}, {}};
  for (const SpectrumRing& ring : spectrum_of(luminance_of(picture))) {
    if (ring.frequency == 0 || 2 * ring.frequency > std::max(picture.width, picture.height)) continue;
    line.x.push_back(static_cast<double>(ring.frequency));
    line.y.push_back(ring.power);
  }
  return line;
}

struct Chosen {
  FrameKind kind;
  int64_t step;
};

std::vector<Chosen> chosen_frames(const RunPictures& run, const Choice& choice) {
  std::vector<Chosen> frames;
  for (const FrameKind kind : kKinds) {
    for (const int64_t step : run.steps(kind)) {
      if (is_chosen(choice, run, kind, step)) frames.push_back({kind, step});
    }
  }
  return frames;
}

/// @param made  is told after each frame how many there are, and of how many
void add_pictures(RunPictures& run, const Choice& choice, size_t index, RunReport& report, Placed& placed,
                  const std::function<void(size_t done, size_t of)>& made) {
  const fs::path folder = std::to_string(index + 1);
  auto& numbers = placed.of_runs.emplace_back();
  const auto add = [&](const Picture& picture, const fs::path& file) {
    numbers.push_back(placed.pictures.add(picture, folder / file));
    return placed.pictures.shown(numbers.back());
  };
  report.final = add(run.final_picture(), "final.png");
  report.spectrum = spectrum_chart(index);
  std::map<int64_t, size_t> estimates;  // by step, the numbers of x0's pictures
  const std::vector<Chosen> frames = chosen_frames(run, choice);
  for (const auto& [kind, step] : frames) {
    const Picture picture = run.picture(kind, step);
    const fs::path file = fs::path(name_of(kind)) / fs::path(frame_file(kind, step)).filename();
    report.frames.push_back({kind, step, run.level(kind, step), add(picture, file)});
    if (kind == FrameKind::x0) {
      report.spectrum->series.push_back(spectrum_line(picture, step, index));
      estimates[step] = numbers.back();
    }
    made(report.frames.size(), frames.size());
  }
  std::vector<int64_t> steps;
  for (const auto& [step, number] : estimates) steps.push_back(step);
  const SettledMap map =
      settled_map(steps, [&](int64_t step) { return placed.pictures.picture(estimates.at(step)); }, kNearColour);
  report.settled_map = add(picture_of(map), "settled.png");
  report.settled_scale = "Of each pixel, " + std::string(kSettledMapScale) + ".";
}

/// Gives the report's pictures their addresses.
void set_sources(Report& report, const Placed& placed, const std::vector<std::string>& sources) {
  for (size_t i = 0; i < report.runs.size(); ++i) {
    size_t next = 0;
    visit_pictures(report.runs[i],
                   [&](ReportPicture& picture) { picture.source = sources[placed.of_runs[i][next++]]; });
  }
}

/// A path as an address: what is no letter, digit or one of -._~/ becomes %20 and its like.
std::string address_of(const fs::path& path) {
  std::string address;
  for (const char character : path.generic_string()) {
    const auto byte = static_cast<unsigned char>(character);
    if (std::isalnum(byte) || std::string_view("-._~/").find(character) != std::string_view::npos) {
      address += character;
    } else {
      char escaped[4];
      std::snprintf(escaped, sizeof escaped, "%%%02X", byte);
      address += escaped;
    }
  }
  return address;
}

std::vector<std::string> write_pictures(const PagePictures& pictures, const fs::path& folder, const fs::path& page) {
  const fs::path from_page = fs::weakly_canonical(folder).lexically_relative(fs::weakly_canonical(page).parent_path());
  std::vector<std::string> sources;
  for (size_t i = 0; i < pictures.size(); ++i) {
    const fs::path file = folder / pictures.file(i);
    std::error_code error;
    fs::create_directories(file.parent_path(), error);
    if (error) throw OutputError(file.parent_path().string() + ": cannot make the folder: " + error.message());
    write_whole(file, pictures.png(i));
    sources.push_back("./" + address_of(from_page / pictures.file(i)));
  }
  return sources;
}

std::string about_fitted(const PagePictures::Fitted& fitted) {
  if (fitted.quality == PagePictures::kLossless) return "All pictures are lossless.";
  std::string text = "Lossless pictures would make this page larger than 10 MB, so they are WebP of quality " +
                     std::to_string(fitted.quality);
  if (fitted.part > 1) text += ", at 1/" + std::to_string(fitted.part) + " of their width and height";
  return text + "; their colours differ a little from those of the run.";
}

void place_pictures(Report& report, const Placed& placed, const ReportOptions& options, const fs::path& page) {
  if (report.has_folder) {
    report.about_pictures = "All pictures are lossless; they lie beside this page in the folder " +
                            escaped(options.folder.filename().string(), 200) + ", which must go where the page goes.";
    return set_sources(report, placed, write_pictures(placed.pictures, options.folder, page));
  }
  const size_t without = report_page(report).size() + 1000;  // the sentence on the pictures is to come
  const auto fitted = placed.pictures.fitted(kMostBytes - std::min(without, kMostBytes));
  set_sources(report, placed, fitted.sources);
  report.about_pictures = about_fitted(fitted) + report.about_pictures;
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

/// @throws UsageError  what is said of the runs would be too much, without any picture
void check_room(int64_t runs, int64_t steps) {
  constexpr int64_t kRunBytes = 15'000, kStepBytes = 1'300;  // of HTML, as measured
  if (kRunBytes * runs + kStepBytes * steps < static_cast<int64_t>(kMostBytes) * 8 / 10) return;
  throw UsageError(counted(runs, "run") + " of together " + counted(steps, "step") +
                   " are more than a page of 10 MB has room for; name fewer, or a `folder` for the pictures");
}

/// What of these runs a page has room for. @throws UsageError  as check_room
Choice choice_of(const std::vector<NamedRun>& runs, bool has_folder) {
  if (has_folder) return choice_for(0, 0);
  int64_t steps = 0, area = 0;
  for (const NamedRun& run : runs) {
    try {
      const RunState state = state_of(run.folder);
      steps += state.steps;
      area = std::max(area, state.facts.width * state.facts.height);
    } catch (const std::exception&) {  // said when it is to be shown
    }
  }
  check_room(std::ssize(runs), steps);
  return choice_for(steps, most_pictures(area));
}

/// The last part of its path, where that tells each run from the others; else the path.
void name_runs(std::vector<RunReport>& runs) {
  std::set<std::string> names;
  for (const RunReport& run : runs) names.insert(fs::path(run.name).filename().string());
  if (names.size() < runs.size() || names.contains("") || names.contains(".") || names.contains("..")) return;
  for (RunReport& run : runs) run.name = fs::path(run.name).filename().string();
}

/// One run after the other, so that one decoder is in memory at a time.
void add_runs(const std::vector<NamedRun>& named, const ReportOptions& options, Report& report, Placed& placed) {
  const Choice choice = choice_of(named, report.has_folder);
  for (const NamedRun& each : named) {
    std::optional<RunPictures> run = readable_run(each, options);
    if (!run) continue;
    const size_t index = report.runs.size();
    report.runs.push_back(report_of(*run, options));
    add_pictures(*run, choice, index, report.runs.back(), placed, [&](size_t done, size_t of) {
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
  report.about_pictures = choice_text(choice);
}

}  // namespace

Reported report(const ReportOptions& options) {
  const fs::path page = page_of(options), csv = fs::path(page).replace_extension(".csv");
  const std::vector<NamedRun> named = runs_of(options.paths);
  for (const fs::path& file : {page, csv}) check_writable(file, options.overwrite);
  check_folder(options);
  Report report{.runs = {}, .shows_all = options.paths.size() > 1, .has_folder = !options.folder.empty()};
  Placed placed;
  add_runs(named, options, report, placed);
  place_pictures(report, placed, options, page);
  const std::string text = report_page(report);
  write_whole(csv, report_csv(report));
  write_whole(page, text);
  return {page, csv, report.runs.size(), text.size(), report.about_pictures};
}

}  // namespace steplapse
