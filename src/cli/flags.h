#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "cli/binder.h"
#include "cli/commands.h"
#include "cli/flag_values.h"
#include "plan/presets.h"
#include "runs/options.h"
#include "steplapse/error.h"
#include "steplapse/settings.h"

namespace steplapse {

// What the commands share of the command line. Values that make no sense are a UsageError.

/// STEPLAPSE_MODEL, or the model that comes with us.
std::filesystem::path default_model();

/// @param common  the flags that --help shows; empty: all
/// @return false where --help or --help-all was asked and answered
bool parse(CLI::App& command, std::vector<std::string> arguments, const std::vector<std::string>& common = {});

/// --steps, --sampler, ...: the long names of a command's flags.
std::vector<std::string> flags_of(const CLI::App& command);

/// A warning for people, on stderr; settings are named by their flags.
void warn(const std::string& text);

/// Whether arguments hold --progress json: who reads JSON gets the errors of the command line so too.
bool asks_for_json(const std::vector<std::string>& arguments);

/// Says an error as an event on standard output, as --progress json does.
void say_in_json(const std::exception& error);

/// What `make` makes; an error of it is said as an event too, for who reads JSON.
template <typename Make>
auto json_errors(bool reads_json, Make make) {
  try {
    return make();
  } catch (const std::exception& error) {
    if (reads_json) say_in_json(error);
    throw;
  }
}

/// The same once a command is parsed.
template <typename Make>
auto json_errors(const CLI::App& command, Make make) {
  return json_errors(command.count("--progress") > 0 && command["--progress"]->as<std::string>() == "json", make);
}

/// Plans the sandbox of a command that has --no-sandbox and was not given it: what the command line names can be read from
/// within.
void plan_sandbox(const CLI::App& command);

/// Completes a command whose flags are kept in a struct.
/// @param add_flags  adds them to a parser, with its description
/// @param act        does what was asked; @return the exit code
template <typename Flags>
Command with_flags(Command command, void (*add_flags)(CLI::App&, Flags&), int (*act)(const CLI::App&, Flags&)) {
  const std::string title = "steplapse " + command.name;
  command.run = [=, common = command.common, codes = command.exit_codes](const std::vector<std::string>& arguments) {
    CLI::App app("", title);
    Flags flags;
    add_flags(app, flags);
    const std::string footer = app.get_footer();
    app.footer("Exit codes: " + exit_codes_text(codes) + (footer.empty() ? "" : "\n\n" + footer));
    const bool is_parsed = json_errors(asks_for_json(arguments), [&] { return parse(app, arguments, common); });
    if (!is_parsed) return 0;
    plan_sandbox(app);
    return act(app, flags);
  };
  command.show_flags = [=](const std::function<void(const CLI::App&)>& visit) {
    CLI::App app("", title);
    Flags flags;
    add_flags(app, flags);
    visit(app);
  };
  return command;
}

/// The text of the file that a flag names. @throws UsageError, also where it is larger than `most` bytes
std::string text_in(const std::string& flag, const std::string& path, size_t most);

/// The argument, or standard input where it is -.
std::string prompt_of(const std::string& argument);

// Whether it is a name in any case, with or without a tool's name; the plan says what it is taken for.
inline bool is_taken(const std::vector<Sampler>&, const std::string& word) {
  return sampler_taken_for(word).has_value();
}
inline bool is_taken(const std::vector<ScheduleRule>&, const std::string& word) {
  return schedule_taken_for(word).has_value();
}

/// A name of the table's or of `more`, or another tool's, which the plan knows.
template <typename Table>
std::string name_of(const std::string& flag, const std::string& text, const Table& table,
                    std::vector<std::string> more = {}) {
  for (const auto& row : table) {
    if (row.name == text) return text;
  }
  try {
    if (is_other_tools(text) || is_taken(table, text)) return text;
  } catch (const std::invalid_argument& error) {
    throw UsageError(flag + " " + error.what());
  }
  for (const auto& row : table) more.emplace_back(row.name);
  return choice_of(flag, text, more);
}

// Flags that several commands have. Each is added to a group of a command's help, and sets its field when the readers run.

/// --schedule and its options.
void add_schedule_flags(CLI::App& command, const std::string& group, Settings& settings, Readers& readers);

/// Sampler, steps and noise levels.
void add_level_flags(CLI::App& command, const std::string& group, Settings& settings, Readers& readers);

/// What a picture is made of beside its prompt and seed, but for the two flags below.
void add_picture_flags(CLI::App& command, const std::string& group, Settings& settings, Readers& readers);
void add_guidance_scale(CLI::App& command, const std::string& group, Settings& settings, Readers& readers);
void add_rng(CLI::App& command, const std::string& group, Settings& settings, Readers& readers);
void add_prompt_syntax(CLI::App& command, const std::string& group, Settings& settings, Readers& readers);

/// All that --help of generate has under sampling: levels, guidance, fresh noise, start.
void add_sampling_flags(CLI::App& command, const std::string& group, Settings& settings, Readers& readers);
void add_decoder(CLI::App& command, const std::string& group, std::string& decoder, Readers& readers);

/// --stop-at, --stop-when-converged and --would-stop.
void add_stop_flags(CLI::App& command, const std::string& group, std::optional<int64_t>& stop_at,
                    std::optional<double>& stop_when_converged, std::optional<double>& would_stop, Readers& readers);

/// The model that default_model() names; empty where there is none.
std::filesystem::path usual_model();

/// --no-sandbox, for commands that load programs of a bundle. Where it is not given, they run in a sandbox.
void add_no_sandbox(CLI::App& command, const std::string& group);

/// --model, --device and --threads, for commands on runs that name their model themselves.
void add_model_flags(CLI::App& command, const std::string& group, RunningOptions& running, Readers& readers);

/// What the readers do where --model is not given: they ask default_model(), or leave the model empty.
enum class UsualModel { asked, left_open };

/// --model alone, for commands that load none of its networks. The readers ask default_model() where it is not given.
void add_model(CLI::App& command, const std::string& group, RunningOptions& running, Readers& readers);

/// Which model runs where.
void add_running_flags(CLI::App& command, const std::string& group, RunningOptions& running, Readers& readers,
                       UsualModel usual = UsualModel::asked);

inline constexpr int64_t kMostPictures = 100'000;  ///< of one command

/// The seeds that --seed lists (each text may be a list), or --count of them from its only one up; empty where neither is given.
std::vector<uint64_t> seeds_from(const std::vector<std::string>& seeds, const std::string& count);

}  // namespace steplapse
