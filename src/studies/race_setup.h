#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "runs/options.h"
#include "steplapse/settings.h"

namespace steplapse {

/// All that `steplapse race` was asked, each value checked as far as it can be without the model.
struct RaceOptions {
  std::vector<std::string> prompts;
  std::vector<uint64_t> seeds;
  std::vector<std::string> samplers;  ///< ours, or other tools' names
  std::vector<int64_t> calls;         ///< rising
  struct Reference {
    std::string sampler;
    std::optional<int64_t> calls;
  };
  std::optional<Reference> reference;  ///< none: kRaceReference
  Settings settings;                   ///< the rest: schedule, size, guidance, rng; no prompt, seed, sampler, steps
  std::filesystem::path csv, plot;     ///< empty: not written
  bool overwrite = false;
  bool json = false;  ///< in place of the table
  RunningOptions running;
};

/// Where nothing else is asked.
inline constexpr const char* kRaceReference = "dpmpp_2m";
inline constexpr const char *kRaceSchedule = "karras", *kFlowRaceSchedule = "normal";

/// Runs the race and shows it on stdout; writes the files that are asked for, whole or not at all.
/// @return the exit code: 0, or 130 / 143 where a signal ended it, and nothing is shown or written
/// @throws Error and what else the network or the disk throws
int race(const RaceOptions& options);

}  // namespace steplapse
