#include "studies/race_progress.h"

#include <unistd.h>

#include <cmath>
#include <iomanip>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/progress_line.h"
#include "base/stopwatch.h"
#include "base/text.h"

namespace steplapse {
namespace {

using nlohmann::ordered_json;

/// Shows the state at most once per interval of seconds.
class Counting : public RaceProgress {
 public:
  explicit Counting(double interval) : interval_(interval) {}

  void answered(int64_t answers, int64_t of) override {
    if (since_shown_.seconds() < interval_ && answers < of) return;
    since_shown_.restart();
    show(answers, of);
  }

 protected:
  virtual void show(int64_t answers, int64_t of) = 0;

  std::vector<std::string> state(int64_t answers, int64_t of) const {
    const double left = since_start_.seconds() * static_cast<double>(of - answers) / static_cast<double>(answers);
    const auto seconds = static_cast<long>(std::ceil(left));
    std::ostringstream clock;
    clock << seconds / 60 << ':' << std::setw(2) << std::setfill('0') << seconds % 60;
    return {"answer " + std::to_string(answers) + "/" + std::to_string(of), clock.str() + " left"};
  }

 private:
  double interval_;
  Stopwatch since_start_, since_shown_;
};

class Lines : public Counting {
 public:
  Lines() : Counting(10) {}

 protected:
  void show(int64_t answers, int64_t of) override {
    if (answers < of) std::cerr << joined(state(answers, of), ", ") << std::endl;
  }
};

class Bar : public Counting {
 public:
  Bar() : Counting(0.1) {}
  void warning(const std::string& text) override { line_.say("steplapse: warning: " + text); }
  void done() override { line_.end(); }
  void failed(const Failure&) override { line_.end(); }

 protected:
  void show(int64_t answers, int64_t of) override {
    line_.show(static_cast<double>(answers) / static_cast<double>(of), state(answers, of));
  }

 private:
  ProgressLine line_;
};

class Json : public RaceProgress {
 public:
  void answered(int64_t answers, int64_t of) override { say({{"event", "answer"}, {"answers", answers}, {"of", of}}); }
  void warning(const std::string& text) override { say({{"event", "warning"}, {"message", text}}); }
  void done() override { say({{"event", "done"}}); }
  void failed(const Failure& failure) override {
    say({{"event", "error"}, {"message", failure.message}, {"exit_code", static_cast<int>(failure.code)}});
  }

 private:
  static void say(const ordered_json& event) {
    std::cerr << event.dump(-1, ' ', false, ordered_json::error_handler_t::replace) << std::endl;
  }
};

}  // namespace

void RaceProgress::warning(const std::string& text) { std::cerr << "steplapse: warning: " << text << std::endl; }

std::unique_ptr<RaceProgress> make_race_progress(ProgressMode mode) {
  if (mode == ProgressMode::automatic) mode = isatty(STDERR_FILENO) ? ProgressMode::bar : ProgressMode::lines;
  switch (mode) {
    case ProgressMode::bar: return std::make_unique<Bar>();
    case ProgressMode::lines: return std::make_unique<Lines>();
    case ProgressMode::json: return std::make_unique<Json>();
    default: return std::make_unique<RaceProgress>();
  }
}

}  // namespace steplapse
