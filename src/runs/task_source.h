#pragma once

#include <cstdint>
#include <exception>
#include <filesystem>
#include <optional>
#include <vector>

#include "runs/progress.h"
#include "runs/task.h"

namespace steplapse {

/// Where the runs of a batch come from, and who is told how each ends. A run's number counts those that were taken, from 1.
class TaskSource {
 public:
  virtual ~TaskSource() = default;

  virtual int64_t runs() const = 0;  ///< that there are at most
  /// Whether they are several: each is told by itself, and one that fails leaves the others alone.
  virtual bool several() const { return runs() > 1; }
  /// The next run; none: no more are to be begun.
  virtual std::optional<Task> next() = 0;

  /// How a run ended; `interrupted` too. Its files are closed. What it throws, the run failed with.
  /// The watchdog of signals calls it too, on its thread, when the grace is over; the other functions are not called then.
  virtual void ended(int64_t /*run*/, const Summary&) {}
  virtual void failed(int64_t /*run*/, const Failure&) {}
};

/// Runs that are known from the start.
class TaskList : public TaskSource {
 public:
  explicit TaskList(const std::vector<Task>& tasks) : tasks_(tasks) {}
  int64_t runs() const override { return static_cast<int64_t>(tasks_.size()); }
  std::optional<Task> next() override { return next_ < tasks_.size() ? std::optional(tasks_[next_++]) : std::nullopt; }

 private:
  const std::vector<Task>& tasks_;
  size_t next_ = 0;
};

}  // namespace steplapse
