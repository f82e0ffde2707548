#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace steplapse {

/// A queue of work that one thread beside the caller's does in order. The queue is bounded: `push` waits while it is
/// full.
///
/// The work done is always a prefix of the work pushed. After work that threw, the rest is dropped, and every later
/// push and drain throws that exception.
class WorkQueue {
 public:
  /// @param capacity  pieces of work that may wait, beside the one being done; at least 1
  /// @throws std::invalid_argument  capacity 0
  explicit WorkQueue(size_t capacity);
  WorkQueue(const WorkQueue&) = delete;
  WorkQueue& operator=(const WorkQueue&) = delete;
  ~WorkQueue();  ///< finishes the piece being done and drops those that wait; `drain` first to have them done

  void push(std::function<void()> work);        ///< waits while the queue is full; must not be called from work
  void drain();                                 ///< waits until all work is done
  void drain(std::chrono::milliseconds limit);  ///< waits no longer than this and throws nothing; from any thread

 private:
  void run();
  template <typename Condition>
  void wait_until(std::unique_lock<std::mutex>& lock, Condition condition);

  const size_t capacity_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> waiting_;
  bool busy_ = false;
  bool stopping_ = false;
  std::exception_ptr error_;
  std::thread worker_;
};

}  // namespace steplapse
