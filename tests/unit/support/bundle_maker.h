#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "base/safetensors.h"
#include "steplapse/tensor.h"
#include "support/archive_maker.h"
#include "support/temporary_folder.h"

namespace steplapse::test_support {

/// A whole bundle whose modules are a line of arithmetic each, so that what they answer is known. Change what a test
/// is about, then `write()`.
///
/// text encoder: [N, 1, 4] ids -> [N, 4, 2], row i of table [8, 2] for id i, times the weights
/// denoiser:     x * gain + timestep / 1000 + mean of the conditioning
/// decoders:     the first three of four channels, each pixel four by four; `linear` the same, negated
class BundleMaker {
 public:
  BundleMaker();

  std::map<std::string, Entries> programs;      ///< by module's name
  std::map<std::string, NamedTensors> weights;  ///< by module's name
  std::map<std::string, std::string> files;     ///< others
  nlohmann::json manifest;                      ///< without `files`, which `write` adds

  /// Puts all into the folder; sizes and hashes are those of the files unless the manifest has some already.
  const std::filesystem::path& write();

  std::filesystem::path path(const std::string& name) const { return folder_ / name; }

 private:
  void add_module(const std::string& name, const std::string& parameter, const Tensor& value,
                  const std::string& forward);
  void describe_tensors(nlohmann::json& module, const std::string& name);

  TemporaryFolder folder_;
};

}  // namespace steplapse::test_support
