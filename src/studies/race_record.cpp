#include "studies/race_record.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "base/text.h"
#include "runs/origin.h"

namespace steplapse {
namespace {

/// A race shows its own progress.
class OnlyWarnings : public Progress {
 public:
  explicit OnlyWarnings(std::function<void(const std::string&)> warn) : warn_(std::move(warn)) {}
  void warning(const std::string& text) override { warn_(text); }

 private:
  std::function<void(const std::string&)> warn_;
};

FrameSelection no_frames() {
  FrameSelection selection;
  selection.kinds.clear();
  return selection;
}

std::string folder_name(size_t number, const Plan& plan) {
  char padded[32];
  std::snprintf(padded, sizeof padded, "%04zu-", number);
  return padded + plan.recipe.sampler + "-" + std::to_string(plan.steps()) + "-" + slug(plan.prompt) + "-" +
         std::to_string(plan.recipe.seed);
}

}  // namespace

RaceRecord::RaceRecord(const Bundle& bundle, const std::vector<Plan>& plans, const RaceOptions& options, int64_t runs,
                       const std::function<void(const std::string&)>& warn)
    : bundle_(bundle),
      plans_(plans),
      options_(options),
      here_(origin_here(bundle, runs, options.running.max_batch)),
      progress_(std::make_unique<OnlyWarnings>(warn)),
      workers_(FrameWorkers::Decoding::between_steps) {}

RaceRecord::~RaceRecord() = default;

Watcher* RaceRecord::begun(const Recipe& recipe, size_t lane) {
  Plan plan = plans_[lane];
  plan.recipe = recipe;
  plan.made_steps = made_steps(recipe);
  const std::filesystem::path folder = options_.out / folder_name(runs_.size() + 1, plan);
  runs_.push_back(std::make_unique<RecordedRun>(
      std::ssize(runs_) + 1,
      Task{.plan = std::move(plan), .folder = folder, .frames = no_frames(), .overwrite = options_.overwrite}, bundle_,
      here_, workers_, *progress_));
  return runs_.back()->watcher();
}

void RaceRecord::ended(Watcher* watcher, const Outcome& outcome) {
  const auto is_watched = [&](const auto& run) { return run && run->watcher() == watcher; };
  const auto run = std::find_if(runs_.begin(), runs_.end(), is_watched);
  try {
    (*run)->finish(outcome);
  } catch (const std::exception&) {
    if (!outcome.error) throw;  // else the race knows it, and the log does now
  }
  run->reset();  // closes its files
}

}  // namespace steplapse
