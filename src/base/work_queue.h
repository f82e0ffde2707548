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

/// Work done in order by one thread beside the caller's, with a bound on how far it may lag behind.
///
/// What is done is always a prefix of what was pushed: after work that threw, nothing more is done, and its exception
/// comes out of every later push and drain.
class WorkQueue {
 public:
  /// @param capacity  how many pieces may wait, beside the one being done; at least 1
  explicit WorkQueue(size_t capacity);
  WorkQueue(const WorkQueue&) = delete;
  WorkQueue& operator=(const WorkQueue&) = delete;
  ~WorkQueue();  ///< lets the piece being done end and drops those that wait; drain first to have them done

  void push(std::function<void()> work);        ///< waits while the queue is full; not to be called from inside work
  void drain();                                 ///< waits until all is done
  void drain(std::chrono::milliseconds limit);  ///< or that long; from any thread, and no exception comes out

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
