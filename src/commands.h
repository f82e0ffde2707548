#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "steplapse/error.h"

namespace steplapse {

/// A row of the table that dispatch, the overview and "did you mean" are made from.
struct Command {
  std::string_view name;       ///< one word or two, "model inspect"
  std::string_view arguments;  ///< "PROMPT...", "[DIR]"
  std::string_view about;      ///< one line
  int (*run)(const std::vector<std::string>& arguments);  ///< what follows the name; @return the exit code
};

/// Arguments that a command has no place for, or lacks. Perhaps its name was meant as a prompt.
struct MisfitArguments : UsageError {
  using UsageError::UsageError;
};

/// The command whose name the arguments begin with, or null.
const Command* command_of(const std::vector<Command>& commands, const std::vector<std::string>& arguments);

/// Runs the command that the arguments begin with. A MisfitArguments of it becomes a UsageError that also says how to draw
/// the words.
int run_command(const Command& command, const std::vector<std::string>& arguments);

/// A line for each command; of those alone that begin with `group`.
std::string command_lines(const std::vector<Command>& commands, std::string_view group = "");

/// For arguments that begin with no command, before they are drawn.
/// @throws UsageError where the first was probably meant as one: a misspelt name, what other tools and other versions have,
///     or the first word of two. It names both ways out. A name of four letters is not taken for misspelt: "face" is no "race".
void refuse_near_command(const std::vector<Command>& commands, const std::vector<std::string>& arguments);

}  // namespace steplapse
