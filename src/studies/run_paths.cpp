#include "studies/run_paths.h"

#include <ATen/core/Tensor.h>

#include "base/shape_text.h"
#include "base/text.h"
#include "runs/run_title.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

void check_shape(const RunPictures& run, const RunPictures& first) {
  const auto found = run.history().start.sizes(), wanted = first.history().start.sizes();
  if (found == wanted) return;
  throw UsageError(in_quotes(run.folder().string()) + ": its latents are " + shape_text(found) + ", those of " +
                   in_quotes(first.folder().string()) + " are " + shape_text(wanted) +
                   "; only latents of one shape lie in one space");
}

void check_number(const std::vector<RunPictures>& runs) {
  int64_t steps = 0;
  for (const RunPictures& run : runs) steps += std::ssize(run.history().steps);
  if (steps > kMostOfPaths)
    throw UsageError("the runs have " + std::to_string(steps) + " steps together; at most " +
                     std::to_string(kMostOfPaths) + " can be projected, so name fewer runs");
}

std::vector<RunPictures> opened(const std::vector<std::filesystem::path>& folders) {
  std::vector<RunPictures> runs;
  for (const std::filesystem::path& folder : folders) {
    runs.emplace_back(folder, PictureOptions{});
    check_shape(runs.back(), runs.front());
  }
  check_number(runs);
  return runs;
}

}  // namespace

RunPaths paths_of_runs(const std::vector<std::filesystem::path>& folders) {
  const std::vector<RunPictures> runs = opened(folders);
  std::vector<std::vector<Tensor>> latents;
  RunPaths paths;
  for (const RunPictures& run : runs) {
    RunPath path{run.folder(), run.facts().prompt, settings_line(run), {}, {}};
    latents.emplace_back();
    for (const HistoryStep& step : run.history().steps) {
      latents.back().push_back(step.step.x0);
      path.levels.push_back(step.level());
    }
    paths.runs.push_back(std::move(path));
  }
  const Paths found = paths_of(latents);
  paths.shares = found.shares;
  for (size_t i = 0; i < runs.size(); ++i) paths.runs[i].points = found.runs[i];
  return paths;
}

}  // namespace steplapse
