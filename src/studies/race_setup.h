#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "runs/options.h"
#include "steplapse/settings.h"

namespace steplapse {

inline constexpr double kNearLevels = 1;

/// The options of `steplapse race`. Each value has been checked as far as that needs no model.
struct RaceOptions {
  std::vector<std::string> prompts;
  std::vector<uint64_t> seeds;
  std::vector<std::string> samplers;  ///< names of samplers(), or other tools' names
  bool all_samplers = false;          ///< in their place all that make sense for the model
  std::vector<int64_t> calls;         ///< the call budgets, rising
  struct Reference {
    std::string sampler;
    std::optional<int64_t> calls;  ///< its call budget; none: several times the largest of the race
  };
  std::optional<Reference> reference;  ///< none: kRaceReference
  Settings settings;            ///< schedule, size, guidance and rng; its prompt, seed, sampler and steps are not used
  double within = kNearLevels;  ///< levels of 255: how near to the reference a picture should be
  std::filesystem::path csv, plot, strip;  ///< empty: not written
  std::filesystem::path out;               ///< where each run's folder goes (race_record.h); empty: runs are not kept
  bool overwrite = false;
  bool json = false;  ///< prints JSON instead of the table
  RunningOptions running;
};

/// The defaults.
inline constexpr const char* kRaceReference = "dpmpp_2m";
inline constexpr const char* kRaceSamplers = "euler,heun,dpmpp_2m,unipc";
inline constexpr const char *kRaceSchedule = "karras", *kFlowRaceSchedule = "normal";

/// Runs a race, prints the results on stdout and writes the requested files, each whole or not at all.
/// @return the exit code: 0; 1 where runs failed, which the results say; or 130 or 143 where a signal ended the race, and then nothing is printed or written but the
///         runs in `out` as far as they came
/// @throws Error, and what the network or the disk throws
int race(const RaceOptions& options);

}  // namespace steplapse
