#include "studies/report_runs.h"

#include <algorithm>

#include "base/text.h"
#include "record/run_folder.h"
#include "record/run_state.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

constexpr double kForPictures = 6'500'000;  // bytes of a page, before base64 makes them longer by a third

/// One run or those of a folder. @throws UsageError  none is there
std::vector<NamedRun> runs_at(const fs::path& path) {
  const std::vector<fs::path> found = path.filename() == "run.sqlite" ? std::vector<fs::path>{} : runs_in(path);
  if (found.empty() || found == std::vector{path}) return {{existing_run(path), true}};  // which says where none is
  std::vector<NamedRun> runs;
  for (const fs::path& folder : found) runs.push_back({folder, false});
  return runs;
}

/// How many pictures of a size a page has room for: as WebP that is not yet ugly; larger ones are made smaller anyway.
int64_t most_pictures(int64_t area) {
  const double bytes = std::max(1400.0, 0.06 * static_cast<double>(std::min<int64_t>(area, 512 * 512)));
  return static_cast<int64_t>(kForPictures / bytes);
}

/// @param steps  of all runs together
FrameChoice choice_for(int64_t steps, int64_t most) {
  if (3 * steps <= most) return {{FrameKind::x0, FrameKind::xt, FrameKind::diff}, 1};
  if (2 * steps <= most) return {{FrameKind::x0, FrameKind::xt}, 1};
  return {{FrameKind::x0}, (steps + most - 1) / most};
}

/// @throws UsageError  what is said of the runs would be too much, without any picture
void check_room(int64_t runs, int64_t steps) {
  constexpr int64_t kRunBytes = 15'000, kStepBytes = 1'300;  // of HTML, as measured
  if (kRunBytes * runs + kStepBytes * steps < static_cast<int64_t>(kMostPageBytes) * 8 / 10) return;
  throw UsageError(counted(runs, "run") + " of together " + counted(steps, "step") +
                   " are more than a page of 10 MB has room for; name fewer, or a `folder` for the pictures");
}

}  // namespace

fs::path without_slash(const fs::path& path) {
  const fs::path normal = path.lexically_normal();
  return normal.has_filename() || !normal.has_relative_path() ? normal : normal.parent_path();
}

std::vector<NamedRun> report_runs(const std::vector<fs::path>& paths) {
  std::vector<NamedRun> runs;
  std::set<fs::path> known;
  for (const fs::path& path : paths) {
    for (const NamedRun& run : runs_at(without_slash(path))) {
      if (known.insert(fs::weakly_canonical(run.folder)).second) runs.push_back(run);
    }
  }
  return runs;
}

bool FrameChoice::has(FrameKind kind, int64_t step, int64_t steps) const {
  return kinds.contains(kind) && (step % every == 0 || step == steps || (step == 1 && kind == FrameKind::x0));
}

std::string FrameChoice::left_out() const {
  if (every > 1) return " So many runs leave room for x0 alone, at one step in " + std::to_string(every) + ".";
  if (kinds.size() == 1) return " So many runs leave room for x0 alone.";
  return kinds.size() == 2 ? " So many runs leave no room for the differences." : "";
}

FrameChoice frames_with_room(const std::vector<NamedRun>& runs, bool is_beside) {
  if (is_beside) return choice_for(0, 0);
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

}  // namespace steplapse
