#include "steplapse/engine.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <map>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "base/aten.h"
#include "base/stopwatch.h"
#include "sampling/answer_cache.h"
#include "steplapse/error.h"

namespace steplapse {

struct Engine::Job {
  /// What the network is asked with: a row of a denoiser call.
  struct Row {
    const std::vector<Tensor>* told;  ///< the conditioning
    std::string key;                  ///< rows with equal keys have equal answers
  };

  size_t index;
  Trajectory trajectory;
  GuidanceBySteps guidances;
  Watcher* watcher;
  Outcome outcome = {};
  int64_t calls = 0;
  int64_t steps = 0;
  bool begun = false;
  bool over = false;
  std::vector<Row> rows = {};                                        // of the question, once they are needed
  std::map<const std::vector<Tensor>*, std::string> told_keys = {};  // of the conditioning

  /// Of the step that is being made.
  const Guidance& guidance() const { return std::prev(guidances.upper_bound(steps + 1))->second; }
  bool asks_uncond() const { return guidance().rule.asks_uncond(steps + 1, trajectory.question()->level); }
  bool asks_cond() const { return guidance().rule.asks_cond(steps + 1, trajectory.question()->level); }
  Question question() const { return {calls + 1, steps + 1, trajectory.question()->level, trajectory.question()->x}; }

  /// Answers to the rows, in their order.
  Answer answer_of(const std::vector<Tensor>& answers, double milliseconds) const {
    Answer answer{.cond = {}, .uncond = {}, .milliseconds = milliseconds};
    size_t next = 0;
    if (asks_uncond()) answer.uncond = answers.at(next++);
    if (asks_cond()) answer.cond = answers.at(next++);
    return answer;
  }
  void find_rows();
  void name_rows(bool by_rows);
};

/// Trajectories that are answered together, and the rows that are asked for them.
struct Engine::Batch {
  struct Part {
    Job* job;
    bool asks;  ///< a row that is not known, and that none before it asks
  };
  std::vector<Part> parts = {};
  std::vector<std::pair<Job*, const Job::Row*>> asked = {};
  std::map<std::string, Tensor> answers = {};  ///< by a row's key; undefined until it is asked
  int64_t asking = 0;                          ///< parts that ask
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

void Engine::share_answers(size_t most_bytes, bool by_rows) {
  known_ = std::make_unique<AnswerCache>(most_bytes);
  by_rows_ = by_rows;
}

/// [uncond, cond], or the one that is asked. Their keys are of this question alone.
void Engine::Job::find_rows() {
  const std::string mine = std::to_string(index) + "/";
  if (asks_uncond()) rows.push_back({&guidance().uncond, mine + "0"});
  if (asks_cond()) rows.push_back({&guidance().cond, mine + "1"});
}

/// Names the rows by what the network sees: latents, timestep and conditioning; and where rows are not shared one by one,
/// those beside them.
void Engine::Job::name_rows(bool by_rows) {
  const Trajectory::Question& question = *trajectory.question();
  if (!question.level.timestep) return;
  const auto timestep = static_cast<float>(*question.level.timestep);
  uint32_t bits = 0;
  std::memcpy(&bits, &timestep, sizeof bits);
  const std::string asked = key_of(question.x) + " " + std::to_string(bits) + " ";
  std::string all;
  for (Row& row : rows) {
    std::string& told = told_keys[row.told];
    if (told.empty()) told = key_of(*row.told);
    row.key = asked + told;
    all += row.key;
  }
  if (by_rows) return;
  for (size_t r = 0; r < rows.size(); ++r) rows[r].key = std::to_string(r) + " of " + all;
}

size_t Engine::add(Trajectory trajectory, Guidance guidance, Watcher* watcher) {
  return add_by_steps(std::move(trajectory), {{1, std::move(guidance)}}, watcher);
}

size_t Engine::add_by_steps(Trajectory trajectory, GuidanceBySteps guidance, Watcher* watcher) {
  static Watcher nobody;
  jobs_.push_back({.index = added_,
                   .trajectory = std::move(trajectory),
                   .guidances = std::move(guidance),
                   .watcher = watcher ? watcher : &nobody});
  return added_++;
}

void Engine::run(const Ended& ended, const std::function<bool()>& cut) {
  while (!jobs_.empty()) {
    for (auto job = jobs_.begin(); job != jobs_.end();) {
      if (!std::exchange(job->begun, true)) attempt(*job, [&] { advance(*job); });
      if (known_ && !job->over) attempt(*job, [&] { tell_what_is_known(*job); });
      if (job->over) {
        ended(job->index, std::move(job->outcome));  // it may add jobs: they go to the list's end
        job = jobs_.erase(job);
      } else {
        ++job;
      }
    }
    if (cut && cut()) return;
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
  job.rows.clear();
  job.trajectory.answer(prediction_of(prediction_type_, question.x, output, question.level));
}

std::optional<Answer> Engine::known_answer(Job& job) {
  if (job.rows.empty()) {
    job.find_rows();
    job.name_rows(by_rows_);
  }
  std::vector<Tensor> answers;
  for (const Job::Row& row : job.rows) {
    const auto known = known_->find(row.key);
    if (!known) return std::nullopt;
    answers.push_back(*known);
  }
  return job.answer_of(answers, 0);
}

void Engine::tell_what_is_known(Job& job) {
  while (!job.over) {
    const auto known = known_answer(job);
    if (!known) return;
    ++shared_;
    tell(job, *known);
    advance(job);
  }
}

bool Engine::fits(const Batch& batch, const Job& job) const {
  if (batch.parts.empty()) return true;
  const Job& first = *batch.parts.front().job;
  return have_equal_shapes({first.trajectory.question()->x}, {job.trajectory.question()->x}) &&
         have_equal_shapes(first.guidance().cond, job.guidance().cond);
}

/// The first waiting job, and those whose latents and conditioning have its shapes, so that their rows can be stacked.
Engine::Batch Engine::next_batch() {
  Batch batch;
  for (Job& job : jobs_) {
    if (!known_ && batch.asking == max_batch_) break;
    if (!fits(batch, job)) continue;
    if (job.rows.empty()) job.find_rows();
    const bool asks = std::any_of(job.rows.begin(), job.rows.end(), [&](const Job::Row& row) {
      return !batch.answers.contains(row.key) && !(by_rows_ && known_->has(row.key));
    });
    if (asks && batch.asking == max_batch_) continue;
    batch.parts.push_back({&job, asks});
    batch.asking += asks;
    for (const Job::Row& row : job.rows) {
      const auto [place, is_new] = batch.answers.try_emplace(row.key);
      if (!is_new) continue;
      const auto known = by_rows_ ? known_->find(row.key) : std::nullopt;
      if (known) {
        place->second = *known;
      } else {
        batch.asked.emplace_back(&job, &row);
      }
    }
  }
  return batch;
}

/// Asks the network once for all rows of the batch. @return the milliseconds of it
double Engine::fill(Batch& batch) {
  std::vector<Tensor> latents, timesteps;
  std::vector<std::vector<Tensor>> conditioning(batch.asked.front().second->told->size());
  for (const auto& [job, row] : batch.asked) {
    const Trajectory::Question& question = *job->trajectory.question();
    if (!question.level.timestep) throw std::domain_error("the denoiser was asked at a level without a timestep");
    latents.push_back(question.x);
    timesteps.push_back(at::full({1}, *question.level.timestep, at::kFloat));
    for (size_t i = 0; i < conditioning.size(); ++i) conditioning[i].push_back(row->told->at(i));
  }
  std::vector<Tensor> stacked;
  for (const auto& tensors : conditioning) stacked.push_back(at::cat(tensors));

  const Stopwatch watch;
  const Tensor output = denoiser_(at::cat(latents), at::cat(timesteps), stacked);
  const double milliseconds = watch.milliseconds();

  for (size_t r = 0; r < batch.asked.size(); ++r) {
    const std::string& key = batch.asked[r].second->key;
    batch.answers[key] = row(output, static_cast<int64_t>(r));
    if (known_) known_->keep(key, batch.answers[key]);
  }
  return milliseconds;
}

std::vector<Answer> Engine::answers_to(Batch& batch) {
  const double each = fill(batch) / static_cast<double>(batch.asking);
  std::vector<Answer> answers;
  for (const auto& [job, asks] : batch.parts) {
    std::vector<Tensor> rows;
    for (const Job::Row& row : job->rows) rows.push_back(batch.answers.at(row.key));
    answers.push_back(job->answer_of(rows, asks ? each : 0));
  }
  return answers;
}

void Engine::ask(Batch batch) {
  std::vector<Answer> answers;
  try {
    answers = answers_to(batch);
    largest_batch_run_ = std::max(largest_batch_run_, std::ssize(batch.parts));
    asked_ += batch.asking;
    shared_ += std::ssize(batch.parts) - batch.asking;
  } catch (const std::exception& error) {
    if (batch.asking > 1 && failure_of(error).code == ExitCode::memory) {
      max_batch_ = batch.asking / 2;
      return;
    }
    for (const auto& part : batch.parts) attempt(*part.job, [] { throw; });
    return;
  }
  for (size_t i = 0; i < answers.size(); ++i) {
    Job& job = *batch.parts[i].job;
    attempt(job, [&] {
      tell(job, answers[i]);
      advance(job);
    });
  }
}

}  // namespace steplapse
