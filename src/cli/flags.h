#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/flag_values.h"
#include "plan/presets.h"
#include "runs/batch.h"
#include "steplapse/error.h"
#include "steplapse/settings.h"

namespace steplapse {

// What the commands share of the command line. Values that make no sense are a UsageError.

/// STEPLAPSE_MODEL, or the model that comes with us.
std::filesystem::path default_model();

/// @param common  the flags that --help shows; empty: all
/// @return false where --help or --help-all was asked and answered
bool parse(CLI::App& command, std::vector<std::string> arguments, const std::vector<std::string>& common = {});

/// Whether arguments hold --progress json: who reads JSON gets the errors of the command line so too.
bool asks_for_json(const std::vector<std::string>& arguments);

/// Says an error as an event on standard output, as --progress json does.
void say_in_json(const std::exception& error);

/// What `make` makes; an error of it is said as an event too, where progress is `json`.
template <typename Make>
auto json_errors(const std::string& progress, Make make) {
  try {
    return make();
  } catch (const std::exception& error) {
    if (progress == "json") say_in_json(error);
    throw;
  }
}

/// Completes a command whose flags are kept in a struct.
/// @param add_flags  adds them to a parser, with its description
/// @param act        does what was asked; @return the exit code
template <typename Flags>
Command with_flags(Command command, void (*add_flags)(CLI::App&, Flags&), int (*act)(const CLI::App&, const Flags&)) {
  const std::string title = "steplapse " + command.name;
  command.run = [=, common = command.common](const std::vector<std::string>& arguments) {
    CLI::App app("", title);
    Flags flags;
    add_flags(app, flags);
    const bool is_parsed =
        json_errors(asks_for_json(arguments) ? "json" : "", [&] { return parse(app, arguments, common); });
    return is_parsed ? act(app, flags) : 0;
  };
  command.show_flags = [=](const std::function<void(const CLI::App&)>& visit) {
    CLI::App app("", title);
    Flags flags;
    add_flags(app, flags);
    visit(app);
  };
  return command;
}

std::string standard_input(size_t most);  ///< no more bytes of it than that

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
std::string name_of(const char* flag, const std::string& text, const Table& table, std::vector<std::string> more = {}) {
  for (const auto& row : table) {
    if (row.name == text) return text;
  }
  try {
    if (is_other_tools(text) || is_taken(table, text)) return text;
  } catch (const std::invalid_argument& error) {
    throw UsageError(std::string(flag) + " " + error.what());
  }
  for (const auto& row : table) more.emplace_back(row.name);
  return choice_of(flag, text, more);
}

// Flags as they were written. Each struct has its flags added to a command, in a group of its --help, and is read once the
// command is parsed.

/// --schedule and what bends it.
struct ScheduleFlags {
  std::string schedule, sigma_min, sigma_max, rho, shift;
};
void add_schedule_flags(CLI::App& command, const std::string& group, ScheduleFlags& flags);
void read_schedule(const CLI::App& command, const ScheduleFlags& flags, Settings& settings);

/// Sampler, steps and noise levels.
struct LevelFlags : ScheduleFlags {
  std::string steps, sampler, timesteps, sigmas, levels;
};
void add_level_flags(CLI::App& command, const std::string& group, LevelFlags& flags);
void read_levels(const CLI::App& command, const LevelFlags& flags, Settings& settings);

/// What a picture is made of beside its prompt and seed.
struct PictureFlags {
  std::string negative_prompt, prompt_syntax = "weights", size, width, height, guidance_scale, rng = "cpu";
};
void add_picture_flags(CLI::App& command, const std::string& group, PictureFlags& flags);  ///< but for these:
void add_guidance_scale(CLI::App& command, const std::string& group, PictureFlags& flags);
void add_rng(CLI::App& command, const std::string& group, PictureFlags& flags);
void read_picture(const CLI::App& command, const PictureFlags& flags, Settings& settings);

CLI::Option* add_prompt_syntax(CLI::App& command, std::string& value);
PromptSyntax prompt_syntax_of(const std::string& text);

inline constexpr int64_t kMostPictures = 100'000;  ///< of one command

/// The seeds that --seed lists (each text may be a list), or --count of them from its only one up; empty where neither is given.
std::vector<uint64_t> seeds_from(const std::vector<std::string>& seeds, const std::string& count);

/// Which model runs where.
struct RunningFlags {
  std::string model, device = "auto", threads, max_batch, grace, progress = "auto";
};
void add_running_flags(CLI::App& command, const std::string& group, RunningFlags& flags);
ProgressMode progress_of(const std::string& text);
void check_device(const std::string& device);

template <typename Options>
void read_running(const RunningFlags& flags, Options& options) {
  check_device(flags.device);
  options.device = flags.device == "gpu" ? "cuda" : flags.device;
  if (!flags.threads.empty()) options.threads = static_cast<int>(whole_number("--threads", flags.threads, 1, 1024));
  if (!flags.max_batch.empty()) options.max_batch = whole_number("--max-batch", flags.max_batch, 1, kMostPictures);
  if (!flags.grace.empty())
    options.grace = real_number("--grace", flags.grace, 0, std::numeric_limits<double>::infinity());
  options.progress = progress_of(flags.progress);
  options.model = flags.model.empty() ? default_model() : std::filesystem::path(flags.model);
}

}  // namespace steplapse
