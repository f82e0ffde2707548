#include "record/run_state.h"

#include <nlohmann/json.hpp>

#include "record/run_folder.h"
#include "steplapse/run_log.h"

namespace steplapse {

std::string RunState::text() const {
  if (is_being_written) return "is being written";
  if (!has_end()) return "was cut off";
  return ended + (ended_reason.empty() ? "" : ": " + ended_reason);
}

RunState state_of(const std::filesystem::path& folder) {
  const RunLog log = RunLog::open(log_in(folder));
  RunState state{.folder = folder, .facts = log.facts(), .origin = log.origin(), .log_version = log.version()};
  if (!state.facts.recipe.init_noise_given) state.facts.recipe.init_noise.reset();
  const auto logged = nlohmann::json::parse(log.facts_json());
  state.steps = static_cast<int64_t>(log.steps().size());
  state.ended = logged.value("ended", "");
  state.ended_reason = logged.value("ended_reason", "");
  state.is_being_written = is_being_written(folder);
  const std::string named = run_named_in(folder);
  state.is_of_this_folder = named.empty() || log.version() < 5 || named == log.facts_sha256();
  state.resumed = static_cast<int64_t>(log.resumptions().size());
  return state;
}

}  // namespace steplapse
