#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "steplapse/error.h"

namespace steplapse {

/// What people want of a command: the sections of the overview, in this order.
enum class CommandGroup { draw, go_on, look, experiments, know };

/// A row of the table that dispatch, help, completions, the man page and "did you mean" are made from.
struct Command {
  std::string name;            ///< one word or two, "model inspect"
  std::string arguments = {};  ///< "PROMPT...", "[DIR]"
  std::string about;           ///< one line
  CommandGroup group = CommandGroup::know;
  std::vector<std::string> common =
      {};  ///< the flags that --help shows, and --help-all the others too; empty: it shows all
  std::vector<int> exit_codes = {0, 2};  ///< with which it may end, beside 4 where its output can't be written
  /// Runs it with the arguments after its name. @return the exit code
  std::function<int(const std::vector<std::string>& arguments)> run = {};
  /// Shows its flags to a visitor, and runs nothing.
  std::function<void(const std::function<void(const CLI::App&)>& visit)> show_flags = {};
};

// The commands, a file each.
Command generate_command();
Command resume_command();
Command runs_command();
Command race_command();
Command sweep_command();
Command sweep_plan_command();
Command sweep_run_command();
Command sweep_status_command();
Command branch_command();
Command sweep_grid_command();
Command sweep_summary_command();
Command sweep_merge_command();
Command sweep_slurm_command();
Command sweep_parallel_command();
Command replay_command();
Command render_command();
Command export_command();
Command explain_command();
Command compare_command();
Command film_command();
Command sheet_command();
Command spectrum_command();
Command paths_command();
Command report_command();
Command schedule_command();
Command samplers_command();
Command tokens_command();
Command model_inspect_command();
Command model_verify_command();
Command model_prompts_command();
Command doctor_command();
Command completion_command();
Command man_command();

/// Arguments that a command has no place for, or lacks. Perhaps its name was meant as a prompt.
struct MisfitArguments : UsageError {
  using UsageError::UsageError;
};

/// All of them, in the order of help.
const std::vector<Command>& commands();

/// The command whose name the arguments begin with, the longest of several, or null.
const Command* command_of(const std::vector<Command>& commands, const std::vector<std::string>& arguments);

/// Runs the command that the arguments begin with. A MisfitArguments of it becomes a UsageError that also says how to draw
/// the words.
int run_command(const Command& command, const std::vector<std::string>& arguments);

/// "0 done, 2 usage": what exit codes mean.
std::string exit_codes_text(const std::vector<int>& codes);

inline const std::vector<int> kAllExitCodes{0, 1, 2, 3, 4, 5, 6, 130, 143};
inline const std::vector<int> kDrawingExitCodes{0, 1, 2, 3, 4, 5, 130, 143};

/// A line for each command; of those alone whose name has this beginning.
std::string command_lines(const std::vector<Command>& commands, std::string_view beginning = "");

/// The same under a heading for each CommandGroup that has commands. Commands that are a part of another, as sweep plan is,
/// stand in that one's help.
std::string grouped_command_lines(const std::vector<Command>& commands);

/// For arguments that begin with no command, before they are drawn.
/// @throws UsageError where the first was probably meant as one: a misspelt name, what other tools and other versions have,
///     or the first word of two. It names both ways out. A name of four letters is not taken for misspelt: "face" is no "race".
void refuse_near_command(const std::vector<Command>& commands, const std::vector<std::string>& arguments);

}  // namespace steplapse
