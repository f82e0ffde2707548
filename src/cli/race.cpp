#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <limits>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/flag_values.h"
#include "cli/flags.h"
#include "steplapse/error.h"
#include "studies/race_progress.h"
#include "studies/race_setup.h"

namespace steplapse {
namespace {

constexpr int64_t kMostCalls = 1'000'000;

constexpr const char* kRaceAbout = R"(Compares samplers at equal cost: how far each one's picture is from that of a
reference run when all may ask the denoiser equally often, from the same noise
and down the same schedule.

  steplapse race "red apple" heart --samplers euler,heun,dpmpp_2m --calls 10,20
  steplapse race "red apple" --samplers all --strip strip.png
)";

/// The flags, and what they set.
struct RaceFlags {
  RaceOptions options;
  Readers settings_readers, running_readers;
  std::vector<std::string> prompts;
  std::string samplers = kRaceSamplers, calls = "10,20,40", reference, seed = "0", count, within, csv, plot, strip, out;
};

void add_flags(CLI::App& command, RaceFlags& flags) {
  command.description(kRaceAbout);
  const auto add = [&](const char* group, const char* name, std::string& value, const char* type, const char* help) {
    return command.add_option(name, value, help)->type_name(type)->group(group);
  };
  command.set_help_flag();  // groups are listed as they first appear: help comes last
  const char* race = "The race";
  command.add_option("PROMPT,--prompt", flags.prompts, "What to draw, one or more; - reads one from standard input")
      ->type_name("")
      ->group(race)
      ->required();
  add(race, "--samplers", flags.samplers, "LIST", "Which race, or all; steplapse samplers names them")
      ->capture_default_str();
  add(race, "--calls", flags.calls, "LIST", "How often each may ask the denoiser")->capture_default_str();
  add(race, "--reference", flags.reference, "SAMPLER[:CALLS]",
      "What distances are to (dpmpp_2m with 4 times the most calls)");
  add(race, "--seed", flags.seed, "LIST", "Which noise to start from, as 1,2,3")->capture_default_str();
  add(race, "--count", flags.count, "N", "N seeds from --seed on");
  add(race, "--within", flags.within, "LEVELS",
      "Say from how many calls on pictures are this near to the reference's, of 255 (1)");
  Settings& settings = flags.options.settings;
  add_schedule_flags(command, "The schedule of all (karras; normal for flow models)", settings, flags.settings_readers);

  const char* picture = "The picture (defaults are the bundle's)";
  add_picture_flags(command, picture, settings, flags.settings_readers);
  add_guidance_scale(command, picture, settings, flags.settings_readers);
  add_rng(command, picture, settings, flags.settings_readers);

  const char* output = "Output";
  command.add_flag("--json", flags.options.json, "JSON in place of the table")->group(output);
  add(output, "--csv", flags.csv, "FILE", "Write a row for each sampler, number of calls, prompt and seed");
  add(output, "--plot", flags.plot, "FILE", "Draw distance over calls, as .svg or .png");
  add(output, "--strip", flags.strip, "FILE", "Show the pictures, sampler by calls, as .png");
  add(output, "--out", flags.out, "DIR", "Keep each run, the reference's too, in a folder of its own in DIR");
  command.add_flag("--overwrite", flags.options.overwrite, "Replace the files that are there")->group(output);
  const char* running = "Running";
  add_running_flags(command, running, flags.options.running, flags.running_readers);
  command.set_help_flag("-h,--help", "Print the flags that matter most and exit")->group(running);
  command.set_help_all_flag("--help-all", "Print all flags and exit")->group(running);
}

template <typename Item>
void refuse_twice(const std::string& flag, const std::vector<Item>& items, std::string (*text_of)(const Item&)) {
  for (size_t i = 0; i < items.size(); ++i) {
    if (std::find(items.begin(), items.begin() + static_cast<ptrdiff_t>(i), items[i]) ==
        items.begin() + static_cast<ptrdiff_t>(i))
      continue;
    throw UsageError(flag + ": " + text_of(items[i]) + " is given twice");
  }
}

std::string quoted(const std::string& text) { return in_quotes(text); }
template <typename Number>
std::string digits(const Number& number) {
  return std::to_string(number);
}

std::vector<std::string> prompts_of(const std::vector<std::string>& arguments) {
  refuse_twice("PROMPT", arguments, quoted);
  std::vector<std::string> prompts;
  for (const std::string& argument : arguments) prompts.push_back(prompt_of(argument));
  return prompts;
}

std::vector<std::string> samplers_of(const std::string& text) {
  std::vector<std::string> names;
  for (const std::string& name : list_of(text)) {
    if (name == "all") throw UsageError("--samplers " + escaped(text) + ": all stands alone, as --samplers all");
    names.push_back(name_of("--samplers", name, samplers(), {"all"}));
  }
  return names;
}

std::vector<int64_t> calls_of(const std::string& text) {
  std::vector<int64_t> calls;
  for (const std::string& item : list_of(text)) calls.push_back(integer_number("--calls", item, 1, kMostCalls));
  refuse_twice("--calls", calls, digits);
  std::sort(calls.begin(), calls.end());
  return calls;
}

/// SAMPLER:CALLS, where another tool's name of a sampler has a colon too.
RaceOptions::Reference reference_of(const std::string& text) {
  const auto colon = text.rfind(':');
  const std::string after = colon == std::string::npos ? "" : text.substr(colon + 1);
  const bool has_calls =
      !after.empty() && (std::isdigit(static_cast<unsigned char>(after.front())) || after.front() == '-');
  if (!has_calls) return {name_of("--reference", text, samplers()), std::nullopt};
  return {name_of("--reference", text.substr(0, colon), samplers()),
          integer_number("--reference " + text + ", calls", after, 1, kMostCalls)};
}

const RaceOptions& options_of(const CLI::App& command, RaceFlags& flags) {
  const auto given = [&](const char* flag) { return command.count(flag) > 0; };
  RaceOptions& options = flags.options;
  options.prompts = prompts_of(flags.prompts);
  options.all_samplers = flags.samplers == "all";
  if (!options.all_samplers) options.samplers = samplers_of(flags.samplers);
  options.calls = calls_of(flags.calls);
  options.seeds = seeds_from({flags.seed}, flags.count);
  if (given("--reference")) options.reference = reference_of(flags.reference);
  read(flags.settings_readers);
  if (given("--within")) options.within = real_number("--within", flags.within, 0, 255);
  for (const auto& [flag, file] :
       {std::pair("--csv", &flags.csv), std::pair("--plot", &flags.plot), std::pair("--strip", &flags.strip)}) {
    if (given(flag) && file->empty()) throw UsageError(std::string(flag) + " '': expected a file's name");
  }
  if (given("--out") && flags.out.empty()) throw UsageError("--out '': expected a folder's name");
  if (options.overwrite && !given("--csv") && !given("--plot") && !given("--strip") && !given("--out")) {
    throw UsageError("--overwrite: without --csv, --plot, --strip and --out no file is written");
  }
  options.csv = flags.csv;
  options.plot = flags.plot;
  options.strip = flags.strip;
  options.out = flags.out;
  read(flags.running_readers);
  return options;
}

int run_race(const CLI::App& command, RaceFlags& flags) {
  return race(json_errors(command, [&] { return options_of(command, flags); }));
}

}  // namespace

Command race_command() {
  return with_flags<RaceFlags>(
      {.name = "race",
       .arguments = "PROMPT...",
       .about = "Compare samplers at an equal number of denoiser calls",
       .group = CommandGroup::experiments,
       .common = {"--samplers", "--calls", "--reference", "--seed", "--count", "--within", "--schedule", "--csv",
                  "--plot", "--strip", "--out", "--json", "--model", "--device"},
       .exit_codes = kDrawingExitCodes},
      add_flags, run_race);
}

}  // namespace steplapse
