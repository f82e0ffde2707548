#pragma once

#include <cstdint>
#include <memory>

#include "runs/options.h"
#include "steplapse/error.h"

namespace steplapse {

/// Shows on stderr how far a race is, counted in the network's answers.
class RaceProgress {
 public:
  virtual ~RaceProgress() = default;
  virtual void answered(int64_t /*answers*/, int64_t /*of*/) {}
  virtual void warning(const std::string& text);  ///< shows a warning of one line
  virtual void done() {}
  virtual void failed(const Failure&) {}
};

/// @param mode  `automatic`: a bar where stderr is a terminal, else lines
std::unique_ptr<RaceProgress> make_race_progress(ProgressMode mode);

}  // namespace steplapse
