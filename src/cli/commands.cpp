#include "cli/commands.h"

#include <algorithm>
#include <iomanip>
#include <map>
#include <sstream>

#include "base/text.h"

namespace steplapse {
namespace {

/// Words that other tools have as commands, or that say what a command here does.
struct OtherWord {
  std::string_view word, ours;  ///< ours: "" where no command does that
};
constexpr OtherWord kOtherWords[] = {
    {"grid", "sweep"},
    {"xyz", "sweep"},
    {"img2img", ""},
    {"inpaint", ""},
    {"upscale", ""},
    {"convert", ""},
    {"txt2img", "generate"},
    {"schedulers", "schedule"},
    {"tokenize", "tokens"},
    {"inspect", "model inspect"},
    {"verify", "model verify"},
    {"prompts", "model prompts"},
};

std::vector<std::string> words_of(std::string_view name) {
  std::istringstream text{std::string(name)};
  std::vector<std::string> words;
  for (std::string word; text >> word;) words.push_back(word);
  return words;
}

std::string line_of(const Command& command) {
  std::ostringstream line;
  const std::string usage = command.name + (command.arguments.empty() ? "" : " ") + command.arguments;
  line << "  " << std::left << std::setw(22) << usage << ' ' << command.about << '\n';
  return line.str();
}

/// The words before the first flag, had they been meant as a prompt.
std::string way_to_draw(const std::vector<std::string>& arguments) {
  const auto flag =
      std::find_if(arguments.begin(), arguments.end(), [](const std::string& text) { return text.starts_with('-'); });
  const std::string prompt = joined({arguments.begin(), flag}, " ");
  return "(to draw the prompt " + in_quotes(prompt) + ": steplapse generate " + shell_quoted(escaped(prompt)) + ")";
}

/// The command that `word` misspells or is another word for; "" for another tool's that none here is like.
std::optional<std::string> probably_meant(const std::vector<Command>& commands, const std::string& word) {
  for (const OtherWord& other : kOtherWords) {
    if (other.word == word) return std::string(other.ours);
  }
  for (const Command& command : commands) {
    const std::string name = words_of(command.name).front();
    if (edit_distance(word, name) <= name.size() / 5 && word.starts_with(name.front())) return name;
  }
  return std::nullopt;
}

/// "inspect [DIR], verify [DIR]": the commands of two words that begin with this one.
std::string members_of_group(const std::vector<Command>& commands, const std::string& first) {
  std::string members;
  for (const Command& command : commands) {
    if (!command.name.starts_with(first + " ")) continue;
    members += (members.empty() ? "" : ", ") + command.name.substr(first.size() + 1) + " " + command.arguments;
  }
  return members;
}

/// Whether it is sweep plan where there is sweep.
bool is_part(const std::vector<Command>& commands, const Command& command) {
  const std::string first = words_of(command.name).front();
  return first != command.name &&
         std::any_of(commands.begin(), commands.end(), [&](const Command& other) { return other.name == first; });
}

}  // namespace

const Command* command_of(const std::vector<Command>& commands, const std::vector<std::string>& arguments) {
  const Command* longest = nullptr;
  for (const Command& command : commands) {
    const auto name = words_of(command.name);
    const bool begins = name.size() <= arguments.size() && std::equal(name.begin(), name.end(), arguments.begin());
    if (begins && (!longest || command.name.size() > longest->name.size())) longest = &command;
  }
  return longest;
}

int run_command(const Command& command, const std::vector<std::string>& arguments) {
  const auto name = static_cast<ptrdiff_t>(words_of(command.name).size());
  try {
    return command.run({arguments.begin() + name, arguments.end()});
  } catch (const MisfitArguments& error) {
    // Nobody begins a prompt with two words of a command.
    if (command.name == "generate" || name > 1) throw;
    throw UsageError(std::string(error.what()) + " " + way_to_draw(arguments));
  }
}

std::string exit_codes_text(const std::vector<int>& codes) {
  static const std::map<int, std::string> meanings{
      {0, "done"},           {1, "run failed"},        {2, "usage"},
      {3, "bundle refused"}, {4, "output or disk"},    {5, "memory"},
      {6, "differs"},        {130, "ended by Ctrl-C"}, {143, "by another signal"}};
  std::vector<std::string> texts;
  for (const int code : codes) texts.push_back(std::to_string(code) + " " + meanings.at(code));
  return joined(texts, ", ");
}

std::string command_lines(const std::vector<Command>& commands, std::string_view beginning) {
  std::string lines;
  for (const Command& command : commands) {
    if (command.name.starts_with(beginning)) lines += line_of(command);
  }
  return lines;
}

std::string grouped_command_lines(const std::vector<Command>& commands) {
  constexpr std::pair<CommandGroup, std::string_view> kHeadings[] = {{CommandGroup::draw, "Draw"},
                                                                     {CommandGroup::go_on, "Go on from a run"},
                                                                     {CommandGroup::look, "Look at runs"},
                                                                     {CommandGroup::experiments, "Experiments"},
                                                                     {CommandGroup::know, "Know"}};
  std::string lines;
  for (const auto& [group, heading] : kHeadings) {
    std::string section;
    for (const Command& command : commands) {
      if (command.group == group && !is_part(commands, command)) section += line_of(command);
    }
    if (!section.empty()) lines += std::string(heading) + ":\n" + section;
  }
  return lines;
}

void refuse_near_command(const std::vector<Command>& commands, const std::vector<std::string>& arguments) {
  const std::string& first = arguments.front();
  const std::string members = members_of_group(commands, first);
  if (!members.empty()) {
    const std::string unknown =
        arguments.size() > 1 ? "unknown command " + in_quotes(first + " " + arguments[1]) + "; " : "";
    throw UsageError(unknown + "steplapse " + first + " wants one of: " + members + " " + way_to_draw(arguments));
  }
  const auto ours = probably_meant(commands, first);
  if (!ours) return;
  throw UsageError((ours->empty()
                        ? in_quotes(first) + " is not a command of this version; steplapse help lists them "
                        : "unknown command " + in_quotes(first) + ", did you mean: steplapse " + *ours + "? ") +
                   way_to_draw(arguments));
}

}  // namespace steplapse
