#include "runs/run_model.h"

#include <nlohmann/json.hpp>
#include <system_error>

#include "base/confinement.h"
#include "base/text.h"
#include "steplapse/error.h"

namespace steplapse {

MadeWith made_with(const std::filesystem::path& run, const std::string& facts_json) {
  const nlohmann::json facts = nlohmann::json::parse(facts_json);
  const auto text = [&](const char* key) {
    return facts.contains(key) && facts.at(key).is_string() ? facts.at(key).get<std::string>() : std::string();
  };
  return {run.string(), text("model"), text("model_sha256"), text("model_path")};
}

void expect_bundle(const MadeWith& made_with) {
  std::error_code unreadable;
  if (!made_with.bundle.empty() && std::filesystem::exists(made_with.bundle / "model.json", unreadable))
    confinement_reads(made_with.bundle);
}

BundleFolder bundle_of(const MadeWith& made_with, const std::filesystem::path& named,
                       const std::filesystem::path& usual) {
  if (!named.empty()) return BundleFolder(named);
  std::string found;
  for (const auto& path : {made_with.bundle, usual}) {
    std::error_code unreadable;
    if (path.empty() || !std::filesystem::exists(path / "model.json", unreadable)) continue;
    BundleFolder folder(path);
    if (folder.manifest().sha256 == made_with.sha256) return folder;
    found = "; " + path.string() + " is another, " + folder.manifest().sha256.substr(0, 12);
  }
  throw UsageError(in_quotes(made_with.place) + ": was made with the model " + in_quotes(made_with.model) + ", " +
                   made_with.sha256.substr(0, 12) + found + "; `model` says where it is, or which to take instead");
}

}  // namespace steplapse
