#pragma once

#include <filesystem>
#include <string>

#include "model/bundle_folder.h"

namespace steplapse {

/// The model that a run or picture says it was made with.
struct MadeWith {
  std::string place;             ///< the run folder or file, for messages
  std::string model, sha256;     ///< its name, and the hash of its model.json
  std::filesystem::path bundle;  ///< where it was then; empty: not known
};

/// What a run's log says of its model. @param facts_json  of RunLog
MadeWith made_with(const std::filesystem::path& run, const std::string& facts_json);

/// Keeps the bundle readable from within the sandbox (base/confinement.h), for who looks at runs of several bundles: the
/// first that is loaded closes it.
void expect_bundle(const MadeWith& made_with);

/// The bundle to ask again.
/// @param named  the user's own choice, whatever its hash; empty: none
/// @param usual  the one that is asked where nobody names one
/// @throws UsageError  none is named, and neither the bundle where it was nor `usual` has the hash
/// @throws BundleError  as BundleFolder does
BundleFolder bundle_of(const MadeWith& made_with, const std::filesystem::path& named,
                       const std::filesystem::path& usual);

}  // namespace steplapse
