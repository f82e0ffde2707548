#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "steplapse/error.h"
#include "steplapse/other_tools.h"
#include "steplapse/plan.h"
#include "steplapse/run.h"
#include "flag_values.h"

namespace steplapse {

// What the commands share of the command line. Values that make no sense are a UsageError.

/// STEPLAPSE_MODEL, or the model that comes with us.
std::filesystem::path default_model();

/// @return false where --help was asked and answered
bool parse(CLI::App& command, std::vector<std::string> arguments);

/// Whether arguments hold --progress json: who reads JSON gets the errors of the command line so too.
bool asks_for_json(const std::vector<std::string>& arguments);

std::string standard_input(size_t most);  ///< no more bytes of it than that

/// The argument, or standard input where it is -.
std::string prompt_of(const std::string& argument);

// Whether it is a name in any case, with or without a tool's name; the plan says what it is taken for.
inline bool is_taken(const std::vector<Sampler>&, const std::string& word) { return sampler_taken_for(word).has_value(); }
inline bool is_taken(const std::vector<ScheduleRule>&, const std::string& word) { return schedule_taken_for(word).has_value(); }

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
  if (!flags.grace.empty()) options.grace = real_number("--grace", flags.grace, 0, std::numeric_limits<double>::infinity());
  options.progress = progress_of(flags.progress);
  options.model = flags.model.empty() ? default_model() : std::filesystem::path(flags.model);
}

}  // namespace steplapse
