#include "steplapse/engine.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "base/stopwatch.h"
#include "steplapse/error.h"

namespace steplapse {

struct Engine::Job {
  size_t index;
  Trajectory trajectory;
  GuidanceBySteps guidances;
  Watcher* watcher;
  Outcome outcome;
  int64_t calls = 0;
  int64_t steps = 0;
  bool begun = false;
  bool over = false;

  /// Of the step that is being made.
  const Guidance& guidance() const { return std::prev(guidances.upper_bound(steps + 1))->second; }
  bool asks_uncond() const { return guidance().rule.asks_uncond(steps + 1, trajectory.question()->level); }
  bool asks_cond() const { return guidance().rule.asks_cond(steps + 1, trajectory.question()->level); }
  Question question() const { return {calls + 1, steps + 1, trajectory.question()->level, trajectory.question()->x}; }
};

namespace {

bool have_equal_shapes(const std::vector<Tensor>& left, const std::vector<Tensor>& right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [](const Tensor& l, const Tensor& r) { return l.sizes() == r.sizes(); });
}

/// Refuses NaN and infinity here; otherwise sampling goes on and ends in a broken picture.
void check_finite(const Question& question, const Tensor& answer) {
  if (at::isfinite(answer).all().item<bool>()) return;
  std::ostringstream text;
  text << "step " << question.step << ": the denoiser answered "
       << (at::isnan(answer).any().item<bool>() ? "NaN" : "infinity");
  if (question.level.timestep) text << " at timestep " << *question.level.timestep;
  text << ", sigma " << question.level.sigma << "; a smaller guidance scale or another compute dtype may help";
  throw std::runtime_error(text.str());
}

/// A copy of row r of a batched answer, [1, ...]. (A view would keep the whole batch alive.) It lies in memory as a logged
/// answer does, whatever the network's layout: sums over another order of the same numbers differ in their last bits.
Tensor row(const Tensor& rows, int64_t r) { return rows.narrow(0, r, 1).clone(at::MemoryFormat::Contiguous); }

}  // namespace

bool GuidanceRule::asks_uncond(int64_t step, const NoiseLevel& level) const {
  const double sigma = noise_ratio(level);
  return guides() && step >= first_step && step <= last_step && sigma > sigma_low && sigma <= sigma_high;
}

bool GuidanceRule::asks_cond(int64_t step, const NoiseLevel& level) const {
  return needs_cond() || !asks_uncond(step, level);
}

Tensor GuidanceRule::combined(const Tensor& cond, const Tensor& uncond) const {
  const Tensor guided = uncond + scale * (cond - uncond);
  if (rescale == 0) return guided;
  const double expected = cond.std().item<double>(), found = guided.std().item<double>();
  return found == 0 ? guided : guided * (rescale * expected / found + 1 - rescale);
}

Engine::Engine(Denoiser denoiser, PredictionType prediction_type, int64_t max_batch)
    : denoiser_(std::move(denoiser)), prediction_type_(prediction_type), max_batch_(max_batch) {}

Engine::~Engine() = default;

size_t Engine::add(Trajectory trajectory, Guidance guidance, Watcher* watcher) {
  return add_by_steps(std::move(trajectory), {{1, std::move(guidance)}}, watcher);
}

size_t Engine::add_by_steps(Trajectory trajectory, GuidanceBySteps guidance, Watcher* watcher) {
  static Watcher nobody;
  jobs_.push_back({added_, std::move(trajectory), std::move(guidance), watcher ? watcher : &nobody, {}});
  return added_++;
}

void Engine::run(const Ended& ended) {
  while (!jobs_.empty()) {
    for (auto job = jobs_.begin(); job != jobs_.end();) {
      if (!std::exchange(job->begun, true)) attempt(*job, [&] { advance(*job); });
      if (job->over) {
        ended(job->index, std::move(job->outcome));  // it may add jobs: they go to the list's end
        job = jobs_.erase(job);
      } else {
        ++job;
      }
    }
    if (!jobs_.empty()) ask(next_batch());
  }
}

std::vector<Outcome> Engine::run() {
  const size_t first = added_ - jobs_.size();
  std::vector<Outcome> outcomes(jobs_.size());
  run([&](size_t index, Outcome outcome) { outcomes.at(index - first) = std::move(outcome); });
  return outcomes;
}

void Engine::attempt(Job& job, const std::function<void()>& work) {
  try {
    work();
  } catch (...) {
    job.outcome.error = std::current_exception();
    job.over = true;
  }
}

void Engine::advance(Job& job) {
  job.trajectory.resume();
  while (!job.over) {
    if (job.trajectory.finished()) {
      job.outcome.latents = job.trajectory.result();
      job.over = true;
    } else if (const Step* step = job.trajectory.step()) {
      job.steps = step->number;
      const Verdict verdict = job.watcher->stepped(*step);
      job.watcher->decided(*step, verdict);
      if (verdict.stop) {
        job.outcome.latents = step->x0;
        job.outcome.stopped = true;
        job.over = true;
        return;
      }
      if (verdict.x.defined()) job.trajectory.continue_with(verdict.x);
      job.trajectory.resume();
    } else {
      const auto recalled = job.watcher->recall(job.question());
      if (!recalled) return;  // the network has to be asked
      tell(job, *recalled);
      job.trajectory.resume();
    }
  }
}

void Engine::tell(Job& job, const Answer& answer) {
  const Question question = job.question();
  const bool cond = job.asks_cond(), uncond = job.asks_uncond();
  if ((cond && !answer.cond.defined()) || (uncond && !answer.uncond.defined())) {
    throw std::runtime_error("step " + std::to_string(question.step) + ": the answer to one of the prompts is missing");
  }
  const Tensor output = cond && uncond ? job.guidance().rule.combined(answer.cond, answer.uncond)
                        : cond         ? answer.cond
                                       : answer.uncond;
  check_finite(question, output);
  job.watcher->answered(question, answer);
  ++job.calls;
  job.trajectory.answer(prediction_of(prediction_type_, question.x, output, question.level));
}

/// The first waiting job, and those whose latents and conditioning have its shapes, so that their rows can be stacked.
std::vector<Engine::Job*> Engine::next_batch() {
  std::vector<Job*> batch;
  for (Job& job : jobs_) {
    if (batch.size() == static_cast<size_t>(max_batch_)) break;
    const bool fits = batch.empty() ||
                      (have_equal_shapes({batch.front()->trajectory.question()->x}, {job.trajectory.question()->x}) &&
                       have_equal_shapes(batch.front()->guidance().cond, job.guidance().cond));
    if (fits) batch.push_back(&job);
  }
  return batch;
}

/// Asks the network once for all jobs of the batch.
std::vector<Answer> Engine::answers_to(const std::vector<Job*>& batch) {
  std::vector<Tensor> latents, timesteps;
  std::vector<std::vector<Tensor>> conditioning(batch.front()->guidance().cond.size());
  const auto add_row = [&](const Trajectory::Question& question, const std::vector<Tensor>& told) {
    latents.push_back(question.x);
    timesteps.push_back(at::full({1}, *question.level.timestep, at::kFloat));
    for (size_t i = 0; i < conditioning.size(); ++i) conditioning[i].push_back(told.at(i));
  };
  for (const Job* job : batch) {
    const Trajectory::Question& question = *job->trajectory.question();
    if (!question.level.timestep) throw std::domain_error("the denoiser was asked at a level without a timestep");
    if (job->asks_uncond()) add_row(question, job->guidance().uncond);
    if (job->asks_cond()) add_row(question, job->guidance().cond);
  }
  std::vector<Tensor> stacked;
  for (const auto& tensors : conditioning) stacked.push_back(at::cat(tensors));

  const Stopwatch watch;
  const Tensor output = denoiser_(at::cat(latents), at::cat(timesteps), stacked);
  const double milliseconds = watch.milliseconds() / static_cast<double>(batch.size());

  std::vector<Answer> answers;
  int64_t next = 0;
  for (const Job* job : batch) {
    Answer answer{.cond = {}, .uncond = {}, .milliseconds = milliseconds};
    if (job->asks_uncond()) answer.uncond = row(output, next++);
    if (job->asks_cond()) answer.cond = row(output, next++);
    answers.push_back(std::move(answer));
  }
  return answers;
}

void Engine::ask(const std::vector<Job*>& batch) {
  std::vector<Answer> answers;
  try {
    answers = answers_to(batch);
    largest_batch_run_ = std::max(largest_batch_run_, static_cast<int64_t>(batch.size()));
  } catch (const std::exception& error) {
    if (batch.size() > 1 && failure_of(error).code == ExitCode::memory) {
      max_batch_ = static_cast<int64_t>(batch.size()) / 2;
      return;
    }
    for (Job* job : batch) attempt(*job, [] { throw; });
    return;
  }
  for (size_t i = 0; i < batch.size(); ++i) {
    attempt(*batch[i], [&] {
      tell(*batch[i], answers[i]);
      advance(*batch[i]);
    });
  }
}

}  // namespace steplapse
