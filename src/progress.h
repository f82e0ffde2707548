#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "steplapse/frames.h"
#include "steplapse/plan.h"
#include "steplapse/run.h"
#include "steplapse/run_log.h"

namespace steplapse {

/// What a run came to.
struct Summary {
  std::string status;  ///< done, interrupted
  std::filesystem::path folder;
  int64_t steps;
  int64_t denoiser_calls;
  int64_t frames;
  double network_seconds;
  double frame_seconds;   ///< decoding, encoding and writing, summed over their threads
  double hidden_seconds;  ///< the part of it that the run did not wait for
  double total_seconds;
};

/// Tells the user how a run goes. `frame` comes from another thread than the rest.
class Progress {
 public:
  virtual ~Progress() = default;
  /// What a dry run shows, on stdout.
  virtual void planned(const Plan&, const Manifest&, const std::filesystem::path&, int64_t frames);
  virtual void started(const Plan&, const Manifest&, const std::filesystem::path&) {}
  virtual void step(const StepRow&) {}
  virtual void frame(const Frame&) {}
  virtual void done(const Summary&) {}
  virtual void warning(const std::string& text);  ///< one line on stderr
  virtual void failed(const Failure&) {}
};

/// `automatic` is a bar where stderr is a terminal, else lines. Bar, lines and warnings go to stderr, the closing lines
/// and JSON to stdout.
std::unique_ptr<Progress> make_progress(ProgressMode mode);

}  // namespace steplapse
