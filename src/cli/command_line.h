#pragma once

#include <string>
#include <vector>

namespace steplapse {

/// A message of the library with our flags for its settings: "`guidance_scale` -1" is "--guidance-scale -1".
/// What stands in single quotes (base/text.h: in_quotes) is the user's and stays.
std::string with_flag_names(const std::string& message);

/// Runs the command that these arguments (without the program's name) spell.
/// @return the exit code; @throws Error, and what a run throws
int run_command_line(std::vector<std::string> arguments);

}  // namespace steplapse
