#include "studies/sweep/sweep_survey.h"

#include <algorithm>
#include <optional>

#include "base/text.h"
#include "studies/sweep/cell_order.h"
#include "studies/sweep/sweep_sharing.h"

namespace steplapse {
namespace {

// ---- what a run leaves on the disk

constexpr int64_t kFilesOfRun = 6;    // run.sqlite, run.lock, run.json, steps.csv, final.png, final.safetensors
constexpr int64_t kFilesOfSweep = 7;  // plan.json, claims, rows, results.lock, results.csv, results.jsonl, grid.png

int64_t bytes_of_run(const Manifest& manifest, const Task& task, int64_t calls, int64_t rows, int64_t frames) {
  const Plan& plan = task.plan;
  int64_t latents = 4;
  for (const int64_t side : latents_shape(manifest, {plan.width, plan.height})) latents *= side;
  constexpr int64_t kLog = 70'000, kOfCall = 700, kOfCell = 3000;  // as measured, beside the numbers themselves
  const int64_t picture = 3 * plan.width * plan.height + 2000;     // at most
  return kLog + rows * latents + calls * kOfCall + latents + (frames + 1) * picture + kOfCell;
}

// ---- what it asks

using Questions = std::vector<SamplerOutline::Question>;

/// A kind of cells as the others of its noise and prompt meet it.
struct Asker {
  size_t cell;
  std::string trajectory, negative;
  int64_t calls, rows;
  std::string first;  ///< what it asks first
};

class Surveyor {
 public:
  Surveyor(const SweepPlan& plan, const Manifest& manifest, const SweepCells& cells, bool by_rows)
      : plan_(plan), manifest_(manifest), cells_(cells), by_rows_(by_rows), kinds_(plan) {}

  SweepSurvey run() {
    found_.cells = cells_.size();
    found_.refused_kinds =
        look_through(plan_, cells_,
                     [this](size_t cell, const CellRequest& request, const Task& task) { look(cell, request, task); });
    found_.refused = found_.refused_kinds.size() * kinds_.cells_each();
    found_.files += kFilesOfSweep;
    for (const auto& [key, askers] : groups_) count_together(askers);
    return std::move(found_);
  }

 private:
  void look(size_t cell, const CellRequest& request, const Task& task) {
    const Recipe& recipe = task.plan.recipe;
    const Sampler& sampler = sampler_named(recipe.sampler);
    Asker asker{.cell = cell,
                .trajectory = trajectory_key(recipe, task.stop_at),
                .negative = negative_key(task.plan.prompts),
                .calls = 0,
                .rows = 0,
                .first = ""};
    count_questions(sampler, task, asker);
    const int64_t steps = std::min(task.stop_at.value_or(INT64_MAX), task.plan.made_steps.value_or(task.plan.steps()));
    const int64_t frames = frames_in(task.frames, recipe, steps), each = static_cast<int64_t>(kinds_.cells_each());
    SizeWork& work = found_.by_size[{task.plan.width, task.plan.height}];
    work.calls += each * asker.calls;
    work.rows += each * asker.rows;
    work.decodes += each * (frames + 1);
    found_.files += each * (frames + kFilesOfRun);
    found_.bytes += each * bytes_of_run(manifest_, task, asker.calls, asker.rows, frames);
    found_.may_stop |= task.stop_when_converged.has_value();
    found_.sampler_decides |= sampler.adaptive;
    found_.decoders.insert(task.decoder);
    if (groups_.empty()) found_.typical_cell = cell;
    groups_[start_key(request, task)].push_back(std::move(asker));
  }

  void count_questions(const Sampler& sampler, const Task& task, Asker& asker) {
    const Recipe& recipe = task.plan.recipe;
    if (sampler.adaptive) {  // which may ask more often, or less
      asker.calls = recipe.schedule.steps();
      asker.rows = asker.calls * recipe.guidance.most_rows();
      return;
    }
    for (const auto& question : questions_of(sampler, recipe)) {
      if (task.stop_at && question.step > *task.stop_at) break;
      const bool cond = recipe.guidance.asks_cond(question.step, question.level),
                 uncond = recipe.guidance.asks_uncond(question.step, question.level);
      if (asker.calls++ == 0 && recipe.options.s_churn == 0)
        asker.first = plain(*question.level.timestep) + (cond ? " c" : " ") + (uncond ? asker.negative : "");
      asker.rows += cond + uncond;
    }
    if (asker.first.empty()) asker.first = asker.trajectory;
  }

  const Questions& questions_of(const Sampler& sampler, const Recipe& recipe) {
    Recipe unguided = recipe;
    unguided.guidance = {};
    const auto [known, is_new] = questions_.try_emplace(trajectory_key(unguided, std::nullopt));
    if (is_new) known->second = outline(sampler, recipe.options, recipe.schedule).questions;
    return known->second;
  }

  /// Cells with equal texts begin alike. Those of a seeds' axis are one kind.
  static std::string start_key(const CellRequest& request, const Task& task) {
    const Plan& plan = task.plan;
    const Recipe& recipe = plan.recipe;
    const std::string noise =
        recipe.init_noise_given
            ? std::to_string(reinterpret_cast<uintptr_t>(request.settings.latents.unsafeGetTensorImpl()))
            : std::to_string(recipe.seed) + (recipe.rng == Rng::cpu ? "c" : "p");
    return noise + " " + std::to_string(plan.width) + "x" + std::to_string(plan.height) + " " +
           prompt_key(plan.prompts);
  }

  /// Adds what cells of one start and prompt ask.
  void count_together(const std::vector<Asker>& askers) {
    std::map<std::pair<std::string, std::string>, const Asker*> different;
    std::vector<const Asker*> in_order;
    std::string key;
    int64_t calls = 0;
    for (const Asker& asker : askers) {
      const auto& [place, is_new] = different.emplace(std::pair(asker.trajectory, asker.negative), &asker);
      if (!is_new) continue;
      in_order.push_back(&asker);
      key += asker.trajectory + asker.negative;
      calls += asker.calls;
    }
    const auto known = together_.find(key);
    const Asked asked = known != together_.end() ? known->second
                        : in_order.size() == 1   ? Asked{in_order[0]->calls, in_order[0]->rows}
                        : calls <= made_up_left_ ? made_up(in_order, calls)
                                                 : at_most(in_order);
    if (in_order.size() > 1) together_.emplace(std::move(key), asked);
    add(askers.front(), asked);
  }

  void add(const Asker& one, const Asked& asked) {
    const Plan plan = cells_.task(one.cell, {}).plan;
    SizeWork& work = found_.by_size[{plan.width, plan.height}];
    work.asked_calls += static_cast<int64_t>(kinds_.cells_each()) * asked.calls;
    work.asked_rows += static_cast<int64_t>(kinds_.cells_each()) * asked.rows;
  }

  Asked made_up(const std::vector<const Asker*>& askers, int64_t calls) {
    made_up_left_ -= calls;
    std::vector<AskingCell> asking;
    for (const Asker* asker : askers) {
      Task task = cells_.task(asker->cell, {});
      asking.push_back({std::move(task.plan.recipe), "", asker->negative, task.stop_at});
    }
    return asked_together(asking, by_rows_);
  }

  /// Without running the samplers: what they ask first is shared.
  Asked at_most(const std::vector<const Asker*>& askers) {
    found_.shares_more = true;
    Asked asked;
    std::set<std::string> firsts;
    for (const Asker* asker : askers) {
      const bool is_new = firsts.insert(asker->first).second;
      asked.calls += asker->calls - !is_new;
      asked.rows += asker->rows - !is_new;
    }
    return asked;
  }

  const SweepPlan& plan_;
  const Manifest& manifest_;
  const SweepCells& cells_;
  const bool by_rows_;
  const CellKinds kinds_;
  SweepSurvey found_;
  std::map<std::string, Questions> questions_;
  std::map<std::string, std::vector<Asker>> groups_;
  std::map<std::string, Asked> together_;
  int64_t made_up_left_ = 40'000;  // questions that are asked of the made-up network: some seconds
};

}  // namespace

SizeWork SweepSurvey::work() const {
  SizeWork all;
  for (const auto& [size, work] : by_size) {
    all.calls += work.calls;
    all.rows += work.rows;
    all.asked_calls += work.asked_calls;
    all.asked_rows += work.asked_rows;
    all.decodes += work.decodes;
  }
  return all;
}

SweepSurvey survey(const SweepPlan& plan, const Manifest& manifest, const SweepCells& cells, bool by_rows) {
  return Surveyor(plan, manifest, cells, by_rows).run();
}

}  // namespace steplapse
