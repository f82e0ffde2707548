#include <CLI/CLI.hpp>
#include <iostream>
#include <map>
#include <sstream>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/flag_values.h"
#include "cli/flags.h"

// Completion for shells: commands, their flags, and the values of flags that have few. Everything else is a file's name or
// the user's own words.

namespace steplapse {
namespace {

struct FlagEntry {
  std::string name;  ///< --steps
  std::string about;
  bool takes_value;
};

std::vector<FlagEntry> entries_of(const Command& command) {
  std::vector<FlagEntry> flags;
  command.show_flags([&](const CLI::App& app) {
    for (const CLI::Option* option : app.get_options()) {
      for (const std::string& name : option->get_lnames()) {
        flags.push_back({"--" + name, option->get_description(), option->get_items_expected_min() > 0});
      }
    }
  });
  return flags;
}

template <typename Table>
std::string names_in(const Table& table) {
  std::vector<std::string> names;
  for (const auto& row : table) names.emplace_back(row.name);
  return joined(names, " ");
}

/// The values of flags that have few.
const std::map<std::string, std::string>& known_values() {
  static const std::map<std::string, std::string> values{
      {"--sampler", names_in(samplers())},
      {"--samplers", names_in(samplers())},
      {"--reference", names_in(samplers())},
      {"--schedule", "bundle ays " + names_in(schedules())},
      {"--frames", "x0 xt x0,xt diff signed_diff cond uncond none"},
      {"--number", "steps frames"},
      {"--device", "auto cpu cuda"},
      {"--rng", "cpu philox"},
      {"--prompt-syntax", "weights plain"},
      {"--progress", "auto bar lines json none"},
      {"--kind", "x0 xt both diff"},
      {"--pace", "step sigma change"},
      {"--label", "step recipe none"},
      {"--codec", "h264 vp9 av1 ffv1"},
  };
  return values;
}

std::string values_of(const std::string& flag) {
  const auto found = known_values().find(flag);
  return found == known_values().end() ? "" : found->second;
}

/// The first words of all.
std::string command_names() {
  std::vector<std::string> names;
  for (const Command& command : commands()) {
    const std::string first = command.name.substr(0, command.name.find(' '));
    if (names.empty() || names.back() != first) names.push_back(first);
  }
  return joined(names, " ");
}

/// In single quotes, for all three shells.
std::string single_quoted(const std::string& text) {
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

std::string bash_script() {
  std::ostringstream script;
  script << "# steplapse's completion for bash: source <(steplapse completion bash)\n"
            "_steplapse() {\n"
            "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} flags\n"
            "  COMPREPLY=()\n"
            "  case $previous in\n";
  for (const auto& [flag, values] : known_values()) {
    script << "    " << flag << ") COMPREPLY=($(compgen -W " << single_quoted(values)
           << " -- \"$current\")); return ;;\n";
  }
  script << "  esac\n"
            "  case \"${COMP_WORDS[1]} ${COMP_WORDS[2]}\" in\n";
  for (const Command& command : commands()) {
    if (command.name == "generate") continue;
    std::vector<std::string> flags;
    for (const FlagEntry& flag : entries_of(command)) flags.push_back(flag.name);
    script << "    " << single_quoted(command.name + (command.name.find(' ') == std::string::npos ? " " : ""))
           << "*) flags=" << single_quoted(joined(flags, " ")) << " ;;\n";
  }
  std::vector<std::string> flags;
  for (const FlagEntry& flag : entries_of(commands().front())) flags.push_back(flag.name);
  script << "    *) flags=" << single_quoted(joined(flags, " "))
         << " ;;\n"
            "  esac\n"
            "  if [[ $current == -* ]]; then\n"
            "    COMPREPLY=($(compgen -W \"$flags\" -- \"$current\"))\n"
            "  elif ((COMP_CWORD == 1)); then\n"
            "    COMPREPLY=($(compgen -W "
         << single_quoted(command_names())
         << " -- \"$current\"))\n"
            "  elif ((COMP_CWORD == 2)) && [[ ${COMP_WORDS[1]} == model ]]; then\n"
            "    COMPREPLY=($(compgen -W 'inspect verify prompts' -- \"$current\"))\n"
            "  fi\n"
            "}\n"
            "complete -o default -F _steplapse steplapse\n";
  return script.str();
}

/// What _arguments would take for syntax is left out of its texts.
std::string zsh_text(std::string text) {
  for (char& c : text) {
    if (c == '[' || c == ']' || c == ':') c = ' ';
  }
  return text;
}

std::string zsh_flags(const Command& command) {
  std::string specs;
  for (const FlagEntry& flag : entries_of(command)) {
    std::string spec = flag.name + "[" + zsh_text(flag.about) + "]";
    if (flag.takes_value) {
      const std::string values = values_of(flag.name);
      spec += ":value:" + (values.empty() ? "_files" : "(" + values + ")");
    }
    specs += " " + single_quoted(spec);
  }
  return specs;
}

std::string zsh_script() {
  std::ostringstream script;
  script << "#compdef steplapse\n"
            "# steplapse's completion for zsh: source <(steplapse completion zsh), or as _steplapse in a folder of "
            "$fpath.\n"
            "_steplapse() {\n"
            "  local -a commands flags\n"
            "  commands=(";
  for (const Command& command : commands()) {
    if (command.name.find(' ') == std::string::npos)
      script << " " << single_quoted(command.name + ":" + zsh_text(command.about));
  }
  script << " 'model:Look at a bundle')\n"
            "  if ((CURRENT == 2)) && [[ $words[2] != -* ]]; then\n"
            "    _describe command commands\n"
            "    return\n"
            "  fi\n"
            "  if ((CURRENT == 3)) && [[ $words[2] == model ]]; then\n"
            "    compadd inspect verify prompts\n"
            "    return\n"
            "  fi\n"
            "  case \"$words[2] $words[3]\" in\n";
  for (const Command& command : commands()) {
    if (command.name == "generate") continue;
    script << "    " << single_quoted(command.name + (command.name.find(' ') == std::string::npos ? " " : ""))
           << "*) flags=(" << zsh_flags(command) << ") ;;\n";
  }
  script << "    *) flags=(" << zsh_flags(commands().front())
         << ") ;;\n"
            "  esac\n"
            "  _arguments $flags '*: :_files'\n"
            "}\n"
            "if [[ $funcstack[1] == _steplapse ]]; then _steplapse \"$@\"; else compdef _steplapse steplapse; fi\n";
  return script.str();
}

std::string fish_script() {
  std::ostringstream script;
  script << "# steplapse's completion for fish: steplapse completion fish | source\n";
  std::string others;
  for (const Command& command : commands()) {
    const std::string first = command.name.substr(0, command.name.find(' '));
    if (first != "generate" && others.find(first) == std::string::npos) others += " " + first;
  }
  for (const Command& command : commands()) {
    const size_t blank = command.name.find(' ');
    const std::string first = command.name.substr(0, blank);
    const std::string second = blank == std::string::npos ? "" : command.name.substr(blank + 1);
    const std::string about = " -d " + single_quoted(command.about);
    if (second.empty()) {
      script << "complete -c steplapse -n __fish_use_subcommand -a " << single_quoted(first) << about << "\n";
    } else {
      script << "complete -c steplapse -n __fish_use_subcommand -a " << single_quoted(first) << "\n"
             << "complete -c steplapse -n '__fish_seen_subcommand_from " << first << "' -a " << single_quoted(second)
             << about << "\n";
    }
    const std::string where =
        first == "generate" ? "not __fish_seen_subcommand_from" + others
        : second.empty()    ? "__fish_seen_subcommand_from " + first
                            : "__fish_seen_subcommand_from " + first + "; and __fish_seen_subcommand_from " + second;
    for (const FlagEntry& flag : entries_of(command)) {
      script << "complete -c steplapse -n " << single_quoted(where) << " -l " << flag.name.substr(2) << " -d "
             << single_quoted(flag.about);
      if (flag.takes_value) script << " -r";
      if (const std::string values = values_of(flag.name); !values.empty())
        script << " -f -a " << single_quoted(values);
      script << "\n";
    }
  }
  return script.str();
}

struct CompletionFlags {
  std::string shell;
};

void add_flags(CLI::App& command, CompletionFlags& flags) {
  command.description("Prints a shell's completion script: source <(steplapse completion bash)");
  command.add_option("SHELL", flags.shell, "bash, zsh or fish")->type_name("")->required();
}

int print_script(const CLI::App&, CompletionFlags& flags) {
  choice_of("SHELL", flags.shell, {"bash", "zsh", "fish"});
  std::cout << (flags.shell == "bash" ? bash_script() : flags.shell == "zsh" ? zsh_script() : fish_script());
  return 0;
}

}  // namespace

Command completion_command() {
  return with_flags<CompletionFlags>({.name = "completion",
                                      .arguments = "SHELL",
                                      .about = "Print the completion script of bash, zsh or fish",
                                      .group = CommandGroup::know},
                                     add_flags, print_script);
}

}  // namespace steplapse
