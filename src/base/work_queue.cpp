#include "base/work_queue.h"

#include <chrono>
#include <stdexcept>
#include <utility>

namespace steplapse {
namespace {

/// Does the work, then destroys it with all that it holds.
std::exception_ptr error_of(std::function<void()> work) {
  try {
    work();
    return nullptr;
  } catch (...) {
    return std::current_exception();
  }
}

}  // namespace

WorkQueue::WorkQueue(size_t capacity) : capacity_(capacity) {
  if (capacity == 0) throw std::invalid_argument("work queue: capacity 0, expected at least 1");
  worker_ = std::thread(&WorkQueue::run, this);
}

WorkQueue::~WorkQueue() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  worker_.join();
}

void WorkQueue::push(std::function<void()> work) {
  std::unique_lock lock(mutex_);
  wait_until(lock, [&] { return waiting_.size() < capacity_; });
  waiting_.push_back(std::move(work));
  changed_.notify_all();
}

void WorkQueue::drain() {
  std::unique_lock lock(mutex_);
  wait_until(lock, [&] { return waiting_.empty() && !busy_; });
}

void WorkQueue::drain(std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, limit, [&] { return waiting_.empty() && !busy_; });
}

template <typename Condition>
void WorkQueue::wait_until(std::unique_lock<std::mutex>& lock, Condition condition) {
  changed_.wait(lock, condition);  // an error empties the queue, so every condition holds then
  if (error_) std::rethrow_exception(error_);
}

void WorkQueue::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stopping_ || !waiting_.empty(); });
    if (stopping_) return;
    std::function<void()> work = std::move(waiting_.front());
    waiting_.pop_front();
    busy_ = true;
    changed_.notify_all();

    lock.unlock();
    std::exception_ptr error = error_of(std::move(work));
    lock.lock();

    busy_ = false;
    if (error) {
      error_ = std::move(error);
      waiting_.clear();
      stopping_ = true;
    }
    changed_.notify_all();
  }
}

}  // namespace steplapse
