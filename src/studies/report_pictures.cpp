#include "studies/report_pictures.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <map>

#include "base/file_io.h"
#include "base/text.h"
#include "steplapse/error.h"
#include "views/report/page.h"
#include "views/settled_map.h"
#include "views/spectrum.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

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

std::vector<Chosen> chosen_frames(const RunPictures& run, const FrameChoice& choice) {
  std::vector<Chosen> frames;
  const int64_t steps = std::ssize(run.history().steps);
  for (const FrameKind kind : {FrameKind::x0, FrameKind::xt, FrameKind::diff}) {
    for (const int64_t step : run.steps(kind)) {
      if (choice.has(kind, step, steps)) frames.push_back({kind, step});
    }
  }
  return frames;
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
  // Of a relative path nothing of which is there, weakly_canonical makes a relative one.
  const fs::path real_folder = fs::weakly_canonical(fs::absolute(folder)),
                 real_page = fs::weakly_canonical(fs::absolute(page)),
                 from_page = real_folder.lexically_relative(real_page.parent_path());
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

}  // namespace

void ReportPictures::add(RunPictures& run, const FrameChoice& choice, RunReport& report,
                         const std::function<void(size_t done, size_t of)>& made) {
  const size_t index = of_runs_.size();
  const fs::path folder = std::to_string(index + 1);
  auto& numbers = of_runs_.emplace_back();
  const auto add = [&](const Picture& picture, const fs::path& file) {
    numbers.push_back(pictures_.add(picture, folder / file));
    return pictures_.shown(numbers.back());
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
      settled_map(steps, [&](int64_t step) { return pictures_.picture(estimates.at(step)); }, kNearColour);
  report.settled_map = add(picture_of(map), "settled.png");
  report.settled_scale = "Of each pixel, " + std::string(kSettledMapScale) + ".";
}

void ReportPictures::place(Report& report, const fs::path& folder, const fs::path& page) const {
  if (report.has_folder) {
    report.about_pictures = "All pictures are lossless; they lie beside this page in the folder " +
                            escaped(folder.filename().string(), 200) + ", which must go where the page goes.";
    return set_sources(report, write_pictures(pictures_, folder, page));
  }
  const size_t without = report_page(report).size() + 1000;  // the sentence on the pictures is to come
  const auto fitted = pictures_.fitted(kMostPageBytes - std::min(without, kMostPageBytes));
  set_sources(report, fitted.sources);
  report.about_pictures = about_fitted(fitted) + report.about_pictures;
}

void ReportPictures::set_sources(Report& report, const std::vector<std::string>& sources) const {
  for (size_t i = 0; i < report.runs.size(); ++i) {
    size_t next = 0;
    visit_pictures(report.runs[i], [&](ReportPicture& picture) { picture.source = sources[of_runs_[i][next++]]; });
  }
}

}  // namespace steplapse
