#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace steplapse {

struct SweepMergeOptions {
  std::vector<std::filesystem::path> sweeps;  ///< folders of one plan's shards, or one that all of them share
  std::filesystem::path out;  ///< the whole sweep's folder; empty: of one folder, which is checked and stays
};

struct SweepMergeResult {
  std::vector<std::string>
      problems;  ///< lines for people: what is missing or different. Where there are any, nothing is written
  size_t cells = 0, made = 0, failed = 0, skipped = 0;
  size_t twice = 0;  ///< cells that two folders have, with equal pictures
  std::string note;  ///< as write_sweep_results
};

/// Puts the shards of a sweep together: rows in one file, and run folders whose files are hard links to those of the shards,
/// or copies where the file system has none, as of logs. It appears whole or not at all; the shards stay as they are. Then its
/// results are written.
/// @throws UsageError   no sweep is there, the plans differ, or the shards are not of one number
/// @throws OutputError  `out` is there already, or can't be written
SweepMergeResult merge_sweeps(const SweepMergeOptions& options);

}  // namespace steplapse
