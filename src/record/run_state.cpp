#include "record/run_state.h"

#include <nlohmann/json.hpp>

#include "record/run_folder.h"

namespace steplapse {

RunState state_of(const std::filesystem::path& run_folder, const nlohmann::json& facts) {
  RunState state{.has_end = facts.contains("ended"), .is_being_written = is_being_written(run_folder)};
  if (state.is_being_written) {
    state.text = "is being written";
  } else if (!state.has_end) {
    state.text = "was cut off";
  } else {
    const std::string reason = facts.value("ended_reason", "");
    state.text = facts.at("ended").get<std::string>() + (reason.empty() ? "" : ": " + reason);
  }
  return state;
}

}  // namespace steplapse
