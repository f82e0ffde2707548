#pragma once

#include <string>
#include <vector>

namespace steplapse {

/// Runs the command that these arguments (without the program's name) spell.
/// @return the exit code; @throws Error, and what a run throws
int run_command_line(std::vector<std::string> arguments);

}  // namespace steplapse
