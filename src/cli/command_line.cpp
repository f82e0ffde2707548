#include "cli/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <iostream>
#include <set>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/flag_words.h"
#include "cli/flags.h"
#include "steplapse/bundle.h"
#include "steplapse/error.h"
#include "steplapse/version.h"

namespace steplapse {
namespace {

// ---- help

int print_overview() {
  std::cout << R"(steplapse draws a picture from a prompt and keeps every step of its making.

  steplapse "red apple"                       draw it; its folder is under runs/
  steplapse "red apple" --steps 10 --seed 7   draw it in 10 steps, from seed 7

)" << grouped_command_lines(commands())
            << R"(A prompt that is a command's name needs generate: steplapse generate schedule
)" << wrapped("Exit codes: " + exit_codes_text(kAllExitCodes) + ".", 80)
            << '\n';
  return 0;
}

struct HelpFlags {
  std::vector<std::string> words;
};

void add_flags(CLI::App& command, HelpFlags& flags) {
  command.description("Shows the commands, or what one of them may be told");
  command.add_option("COMMAND", flags.words, "A command's name, as race or model inspect")->type_name("");
}

int help(const CLI::App&, HelpFlags& flags) {
  if (flags.words.empty()) return print_overview();
  const std::string name = joined(flags.words, " ");
  const Command* asked = command_of(commands(), flags.words);
  if (asked && asked->name == name) return asked->run({"--help"});
  const std::string group = command_lines(commands(), name + " ");
  if (group.empty()) {
    std::vector<std::string> names;
    for (const Command& each : commands()) names.push_back(each.name);
    const auto meant = nearest(name, names);
    throw MisfitArguments("no command " + in_quotes(name) +
                          (meant ? ", did you mean: steplapse help " + *meant + "?" : "; steplapse help lists them"));
  }
  std::cout << group;
  return 0;
}

Command help_command() {
  return with_flags<HelpFlags>({.name = "help",
                                .arguments = "[COMMAND]",
                                .about = "Show this, or what a command may be told",
                                .group = CommandGroup::know},
                               add_flags, help);
}

// ---- version

struct VersionFlags {};

void add_flags(CLI::App& command, VersionFlags&) {
  command.description("Prints the versions of steplapse and libtorch");
}

int print_version() {
  std::cout << "steplapse " << STEPLAPSE_VERSION << ", libtorch " << libtorch_version() << '\n';
  return 0;
}

Command version_command() {
  return with_flags<VersionFlags>(
      {.name = "version", .about = "Print the versions of steplapse and libtorch", .group = CommandGroup::know},
      add_flags, [](const CLI::App&, VersionFlags&) { return print_version(); });
}

}  // namespace

const std::vector<Command>& commands() {
  static const std::vector<Command> table{
      generate_command(),      resume_command(),        branch_command(),       replay_command(),
      runs_command(),          render_command(),        export_command(),       explain_command(),
      compare_command(),       film_command(),          report_command(),       sheet_command(),
      spectrum_command(),      paths_command(),         race_command(),         sweep_command(),
      sweep_plan_command(),    sweep_run_command(),     sweep_status_command(), sweep_grid_command(),
      sweep_summary_command(), sweep_merge_command(),   sweep_slurm_command(),  sweep_parallel_command(),
      schedule_command(),      samplers_command(),      tokens_command(),       model_inspect_command(),
      model_verify_command(),  model_prompts_command(), help_command(),         doctor_command(),
      completion_command(),    man_command(),           version_command(),
  };
  return table;
}

namespace {

bool asks_for_version(const std::vector<std::string>& arguments) {
  const auto end = std::find(arguments.begin(), arguments.end(), "--");
  return std::find(arguments.begin(), end, "--version") != end;
}

std::set<std::string> flags_of_all() {
  std::set<std::string> flags;
  for (const Command& command : commands()) {
    command.show_flags([&](const CLI::App& app) {
      const std::vector<std::string> own = flags_of(app);
      flags.insert(own.begin(), own.end());
    });
  }
  return flags;
}

bool asks_for_help(const std::string& argument) {
  return argument == "--help" || argument == "-h" || argument == "--help-all";
}

std::string settings_as_flags(const std::string& message) {
  static const std::set<std::string> flags = flags_of_all();
  std::string text;
  size_t rest = 0;
  for (size_t open = message.find('`'); open != std::string::npos; open = message.find('`', rest)) {
    const size_t close = message.find('`', open + 1);
    if (close == std::string::npos) break;
    const std::string flag = with_dashes("--" + message.substr(open + 1, close - open - 1));
    text += message.substr(rest, open - rest);
    if (flag == "--prompt" || flags.contains(flag)) {
      text += flag == "--prompt" ? "PROMPT" : flag;
      rest = close + 1;
    } else {
      text += '`';  // perhaps one of the user's own
      rest = open + 1;
    }
  }
  return text + message.substr(rest);
}

/// Behind the quote, as in_quotes makes them, that opens here; 0 where none does. An apostrophe inside a word is none.
size_t end_of_quote(const std::string& message, size_t open) {
  const auto in_word = [&](size_t i) {
    return i < message.size() && std::isalnum(static_cast<unsigned char>(message[i]));
  };
  if (open > 0 && in_word(open - 1)) return 0;
  size_t close = message.find('\'', open + 1);
  while (close != std::string::npos && in_word(close + 1)) close = message.find('\'', close + 1);
  return close == std::string::npos ? 0 : close + 1;
}

}  // namespace

std::string with_flag_names(const std::string& message) {
  std::string text;
  size_t rest = 0;
  for (size_t open = message.find('\''); open != std::string::npos;
       open = message.find('\'', std::max(rest, open + 1))) {
    const size_t end = end_of_quote(message, open);
    if (end == 0) continue;
    text += settings_as_flags(message.substr(rest, open - rest)) + message.substr(open, end - open);
    rest = end;
  }
  return text + settings_as_flags(message.substr(rest));
}

int run_command_line(std::vector<std::string> arguments) {
  if (arguments.empty()) throw UsageError("no PROMPT; try steplapse \"red apple\", or steplapse --help");
  if (asks_for_version(arguments)) return print_version();
  if (asks_for_help(arguments.front())) return print_overview();
  if (const Command* command = command_of(commands(), arguments)) return run_command(*command, arguments);
  if (arguments.size() == 2 && asks_for_help(arguments.back()) &&
      !command_lines(commands(), arguments.front() + " ").empty()) {
    return command_of(commands(), {"help"})->run({arguments.front()});
  }
  json_errors(asks_for_json(arguments), [&] { refuse_near_command(commands(), arguments); });
  return commands().front().run(arguments);
}

}  // namespace steplapse
