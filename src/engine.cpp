#include "steplapse/engine.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <sstream>
#include <stdexcept>

namespace steplapse {

struct Engine::Job {
  Trajectory trajectory;
  Guidance guidance;
  Watcher* watcher;
  Outcome outcome;
  int64_t calls = 0;
  int64_t steps = 0;
  bool over = false;

  bool asks_uncond() const { return guidance.rule.asks_uncond(steps + 1, trajectory.question()->level); }
  Question question() const { return {calls + 1, steps + 1, trajectory.question()->level, trajectory.question()->x}; }
};

namespace {

bool alike(const std::vector<Tensor>& left, const std::vector<Tensor>& right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [](const Tensor& l, const Tensor& r) { return l.sizes() == r.sizes(); });
}

/// Without a watcher's answer to be checked, a NaN would run on to a wrong picture.
void refuse_what_is_not_finite(const Question& question, const Tensor& answer) {
  if (at::isfinite(answer).all().item<bool>()) return;
  std::ostringstream text;
  text << "step " << question.step << ": the denoiser answered " << (at::isnan(answer).any().item<bool>() ? "NaN" : "infinity");
  if (question.level.timestep) text << " at timestep " << *question.level.timestep;
  text << ", sigma " << question.level.sigma << "; a smaller guidance scale or another compute dtype may help";
  throw std::runtime_error(text.str());
}

/// Row r of a batched answer, as [1, ...] of its own (a view would keep the whole batch alive).
Tensor row(const Tensor& rows, int64_t r) { return rows.narrow(0, r, 1).clone(); }

}  // namespace

bool GuidanceRule::asks_uncond(int64_t step, const NoiseLevel& level) const {
  const double sigma = noise_ratio(level);
  return guides() && step >= first_step && step <= last_step && sigma > sigma_low && sigma <= sigma_high;
}

Tensor GuidanceRule::combined(const Tensor& cond, const Tensor& uncond) const {
  const Tensor guided = uncond + scale * (cond - uncond);
  if (rescale == 0) return guided;
  const double wanted = cond.std().item<double>(), found = guided.std().item<double>();
  return found == 0 ? guided : guided * (rescale * wanted / found + 1 - rescale);
}

/// Questions go into one call where their rows can be stacked: latents and conditioning of equal shapes.
bool Engine::stack(const Job& a, const Job& b) {
  return a.asks_uncond() == b.asks_uncond() && a.trajectory.question()->x.sizes() == b.trajectory.question()->x.sizes() &&
         alike(a.guidance.cond, b.guidance.cond) && alike(a.guidance.uncond, b.guidance.uncond);
}

Engine::Engine(Denoiser denoiser, PredictionType prediction_type, int64_t max_batch)
    : denoiser_(std::move(denoiser)), prediction_type_(prediction_type), max_batch_(max_batch) {}

Engine::~Engine() = default;

void Engine::add(Trajectory trajectory, Guidance guidance, Watcher* watcher) {
  static Watcher nobody;
  jobs_.push_back({std::move(trajectory), std::move(guidance), watcher ? watcher : &nobody, {}});
}

std::vector<Outcome> Engine::run() {
  for (Job& job : jobs_) attempt(job, [&] { advance(job); });
  for (;;) {
    std::vector<Job*> waiting;
    for (Job& job : jobs_) {
      if (!job.over) waiting.push_back(&job);
    }
    if (waiting.empty()) break;

    const Job& first = *waiting.front();
    std::erase_if(waiting, [&](const Job* job) { return !stack(first, *job); });
    if (waiting.size() > static_cast<size_t>(max_batch_)) waiting.resize(static_cast<size_t>(max_batch_));
    ask(waiting);
  }

  std::vector<Outcome> outcomes;
  for (Job& job : jobs_) outcomes.push_back(std::move(job.outcome));
  jobs_.clear();
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
  job.watcher->answered(question, answer);
  const Tensor output = job.asks_uncond() ? job.guidance.rule.combined(answer.cond, answer.uncond) : answer.cond;
  refuse_what_is_not_finite(question, output);
  ++job.calls;
  job.trajectory.answer(prediction_of(prediction_type_, question.x, output, question.level));
}

void Engine::ask(const std::vector<Job*>& batch) {
  const bool guided = batch.front()->asks_uncond();
  const auto rows_each = guided ? 2 : 1;
  std::vector<Answer> answers(batch.size());
  try {
    std::vector<Tensor> latents, timesteps;
    std::vector<std::vector<Tensor>> conditioning(batch.front()->guidance.cond.size());
    for (const Job* job : batch) {
      const Trajectory::Question& question = *job->trajectory.question();
      if (!question.level.timestep) throw std::domain_error("the denoiser was asked at a level without a timestep");
      for (int branch = 0; branch < rows_each; ++branch) {
        const bool uncond = guided && branch == 0;
        latents.push_back(question.x);
        timesteps.push_back(at::full({1}, *question.level.timestep, at::kFloat));
        for (size_t i = 0; i < conditioning.size(); ++i) {
          conditioning[i].push_back(uncond ? job->guidance.uncond.at(i) : job->guidance.cond.at(i));
        }
      }
    }
    std::vector<Tensor> stacked;
    for (const auto& tensors : conditioning) stacked.push_back(at::cat(tensors));

    const auto start = std::chrono::steady_clock::now();
    const Tensor output = denoiser_(at::cat(latents), at::cat(timesteps), stacked);
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;

    for (size_t i = 0; i < batch.size(); ++i) {
      const auto first_row = static_cast<int64_t>(i) * rows_each;
      answers[i] = {row(output, first_row + rows_each - 1), guided ? row(output, first_row) : Tensor(), took.count()};
    }
  } catch (...) {
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
