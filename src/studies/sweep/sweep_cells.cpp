#include "studies/sweep/sweep_cells.h"

#include <utility>

#include "base/text.h"
#include "runs/batch.h"
#include "steplapse/error.h"
#include "studies/sweep/sweep_words.h"

namespace steplapse {

SweepCells::SweepCells(const SweepPlan& plan, const Manifest& manifest, ReadSetting read_setting)
    : plan_(plan), manifest_(manifest), read_setting_(std::move(read_setting)) {}

size_t SweepCells::size() const { return plan_.cells(); }

CellRequest SweepCells::request(size_t cell) const {
  const SweepSettings settings = plan_.settings_of(cell);
  CellRequest request;
  for (const auto& [name, text] : settings) {
    if (!changes_words(name)) read_setting_(request, name, text);
  }
  for (const char* change : {"replace", "weight", "repeat"}) {
    for (const auto& [name, text] : settings) {
      if (name == change) change_words(request.settings, name, text);
    }
  }
  if (!request.settings.seed) request.settings.seed = kUsualSeed;
  return request;
}

Task SweepCells::task(size_t cell, const std::filesystem::path& out) const { return task_of(cell, request(cell), out); }

Task SweepCells::task_of(size_t cell, const CellRequest& request, const std::filesystem::path& out) const {
  Plan plan = make_plan(manifest_, request.settings, StartNoise::drawn_later);
  check_decoder(manifest_, request.decoder);
  if (request.stop_when_converged && request.would_stop)
    throw UsageError("`would_stop`: can't be together with `stop_when_converged`; leave one out");
  if (plan.made_steps) check_frames(plan_.frames, *plan.made_steps);
  if (request.stop_at && plan.made_steps && *request.stop_at > *plan.made_steps)
    throw UsageError("`stop_at` " + std::to_string(*request.stop_at) + ": the run has " +
                     counted(*plan.made_steps, "step"));
  const std::filesystem::path folder = out / "runs" / numbered_folder(cell + 1, plan);
  return {.source = "cell " + std::to_string(cell + 1),
          .plan = std::move(plan),
          .folder = folder,
          .frames = plan_.frames,
          .decoder = request.decoder,
          .stop_at = request.stop_at,
          .stop_when_converged = request.stop_when_converged,
          .would_stop = request.would_stop};
}

}  // namespace steplapse
