#include "cli.h"

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli_flags.h"
#include "cli_race.h"
#include "commands.h"
#include "doctor.h"
#include "flag_values.h"
#include "levels_json.h"
#include "progress.h"
#include "prompts_file.h"
#include "show_tokens.h"
#include "terminal.h"
#include "strict_json.h"
#include "steplapse/bundle.h"
#include "steplapse/error.h"
#include "steplapse/file_io.h"
#include "steplapse/other_tools.h"
#include "steplapse/plot.h"
#include "steplapse/prompts.h"
#include "steplapse/run.h"
#include "steplapse/safetensors.h"
#include "steplapse/text.h"
#include "version.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

constexpr size_t kLargestLevels = 4 << 20;  // bytes of a file of levels
constexpr size_t kLargestPrompts = 64 << 20;  // and of one of prompts
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// ---- generate ----------------------------------------------------------------------------------------------------

/// What `generate` and `schedule` both are told of noise levels and sampler, as it was written.
struct LevelFlags : ScheduleFlags {
  std::string steps, sampler, timesteps, sigmas, levels;
};

void add_level_flags(CLI::App& command, const std::string& group, LevelFlags& flags) {
  const auto add = [&](const char* name, std::string& value, const char* type, const char* help) {
    command.add_option(name, value, help)->type_name(type)->group(group);
  };
  add("--steps", flags.steps, "N", "Steps from noise to picture");
  add("--sampler", flags.sampler, "NAME", "How to get from one noise level to the next");
  add_schedule_flags(command, group, flags);
  add("--timesteps", flags.timesteps, "LIST", "The timesteps themselves, as 999,750,500,250");
  add("--sigmas", flags.sigmas, "LIST", "The sigmas themselves, as 14.6,3.9,0.9,0");
  add("--levels", flags.levels, "FILE", "The levels themselves, as steplapse schedule --json prints them");
}

/// The flags as they were written.
struct GenerateFlags : PictureFlags, RunningFlags {
  LevelFlags level;
  std::vector<std::string> seeds;
  std::string prompt, prompts, count, frames = "x0", number = "steps", every, at, from, to, decoder = "full", out, latents, eta, s_churn, s_tmin,
      s_tmax, s_noise, guidance_interval, guidance_sigmas, guidance_rescale;
  bool dry_run = false, overwrite = false, version = false;
};

constexpr const char *kPicture = "The picture", *kSampling = "Sampling (defaults are the bundle's)";

void add_flags(CLI::App& command, GenerateFlags& flags) {
  const auto add = [&](const char* group, const char* name, std::string& value, const char* type, const char* help) {
    return command.add_option(name, value, help)->type_name(type)->group(group);
  };
  command.set_help_flag();  // groups are listed as they first appear: help comes last
  add(kPicture, "PROMPT,--prompt", flags.prompt, "", "What to draw; - reads it from standard input, \"\" draws without one");
  add(kPicture, "--prompts", flags.prompts, "FILE", "One prompt a line, or a line of JSON with its own settings; - for standard input");
  command.add_option("--seed", flags.seeds, "Which noise to start from (random, printed and recorded); N,M draws one of each")
      ->type_name("N")
      ->group(kPicture)
      ->allow_extra_args(false);  // what follows may be the prompt
  add(kPicture, "--count", flags.count, "N", "N pictures, with seeds from --seed up");
  add_picture_flags(command, kPicture, flags);

  add_level_flags(command, kSampling, flags.level);
  add_guidance_scale(command, kSampling, flags);
  add(kSampling, "--guidance-interval", flags.guidance_interval, "A..B", "Guidance in these steps alone; the others cost half");
  add(kSampling, "--guidance-sigmas", flags.guidance_sigmas, "LOW..HIGH", "Guidance at these sigmas alone (Kynkäänniemi et al. 2024)");
  add(kSampling, "--guidance-rescale", flags.guidance_rescale, "X", "Against overexposure, 0 to 1 (Lin et al. 2023)");
  add(kSampling, "--eta", flags.eta, "X", "Share of fresh noise: 0 deterministic, 1 full");
  add(kSampling, "--s-churn", flags.s_churn, "X", "Noise added before steps, over the run (Karras et al. 2022)");
  add(kSampling, "--s-tmin", flags.s_tmin, "X", "No churn below this sigma");
  add(kSampling, "--s-tmax", flags.s_tmax, "X", "No churn above this sigma");
  add(kSampling, "--s-noise", flags.s_noise, "X", "Scale of all fresh noise");
  add_rng(command, kSampling, flags);
  add(kSampling, "--latents", flags.latents, "FILE", "Start from the noise in this safetensors file, tensor 'latents'");

  const char* frames = "Frames";
  add(frames, "--frames", flags.frames, "KINDS", "x0 (what the model thinks the picture is), xt (the noisy latents), x0,xt or none")
      ->capture_default_str();
  add(frames, "--every", flags.every, "N", "A frame every N steps, and of the first and the last one");
  add(frames, "--at", flags.at, "LIST", "Frames of these steps alone, as 1,5,30");
  add(frames, "--from", flags.from, "N", "No frames before this step");
  add(frames, "--to", flags.to, "N", "No frames after this step");
  add(frames, "--number", flags.number, "HOW", "What a frame's file is numbered by: steps, or frames (1, 2, 3 without gaps, for films)")
      ->capture_default_str();
  add(frames, "--decoder", flags.decoder, "NAME", "Which of the bundle's decoders makes the frames")->capture_default_str();

  const char* running = "Running";
  add(running, "--out", flags.out, "DIR", "The run folder (runs/DATE-PROMPT-SEED), or that of several runs' folders; x.png: the picture, with the folder x beside it");
  command.add_flag("--overwrite", flags.overwrite, "Replace the run that is there")->group(running);
  add_running_flags(command, running, flags);
  command.add_flag("--dry-run", flags.dry_run, "Say what would be done, and do nothing")->group(running);
  command.add_flag("--version", flags.version, "Print the version")->group(running);
  command.set_help_flag("-h,--help", "Print this and exit")->group(running);
}

Tensor latents_in(const std::string& path) {
  try {
    const auto tensors = read_safetensors(path);
    const auto found = tensors.find("latents");
    if (found != tensors.end()) return found->second;
  } catch (const SafetensorsError& error) {
    throw UsageError(std::string("--latents: ") + error.what());
  }
  throw UsageError("--latents: " + path + ": no tensor 'latents' in it");
}

FrameSelection frames_of(const CLI::App& command, const GenerateFlags& flags) {
  FrameSelection frames;
  frames.x0 = false;
  for (const std::string& kind : list_of(flags.frames)) {
    choice_of("--frames", kind, {"x0", "xt", "none"});
    if (kind == "x0") frames.x0 = true;
    if (kind == "xt") frames.xt = true;
  }
  const bool none = list_of(flags.frames) == std::vector<std::string>{"none"};
  if (!none && flags.frames.find("none") != std::string::npos) throw UsageError("--frames " + in_quotes(flags.frames) + ": none stands alone");
  for (const char* flag : {"--every", "--at", "--from", "--to", "--number"}) {
    if (none && command.count(flag) > 0) throw UsageError(std::string(flag) + ": there are no frames with --frames none");
    if (command.count("--at") > 0 && std::string(flag) != "--at" && std::string(flag) != "--number" && command.count(flag) > 0) {
      throw UsageError("--at names the steps already; leave out " + std::string(flag));
    }
  }
  if (!flags.every.empty()) frames.every = whole_number("--every", flags.every, 1, kAnyNumber);
  if (!flags.from.empty()) frames.from = whole_number("--from", flags.from, 0, kAnyNumber);
  if (!flags.to.empty()) frames.to = whole_number("--to", flags.to, 0, kAnyNumber);
  frames.count_files = choice_of("--number", flags.number, {"steps", "frames"}) == "frames";
  if (command.count("--at") > 0) frames.at = steps_of("--at", flags.at);
  return frames;
}

/// The text of the file that a flag names.
std::string text_in(const std::string& flag, const std::string& path, size_t most) {
  try {
    return read_whole(path, most);
  } catch (const UsageError& error) {  // which begins with the path
    throw UsageError(flag + " " + error.what());
  }
}

/// What `steplapse schedule --json` printed, or others wrote like it.
Schedule levels_in(const std::string& path) {
  const std::string text = text_in("--levels", path, kLargestLevels);
  try {
    return schedule_from_json(parse_strict_json(text));
  } catch (const nlohmann::json::exception&) {
    throw UsageError("--levels " + in_quotes(path) + ": wanted what steplapse schedule --json prints, "
                     "{\"init_scale\": 1, \"levels\": [{\"timestep\": 999, \"alpha\": 0.1, \"sigma\": 0.995}, …]}");
  } catch (const std::exception& error) {
    throw UsageError("--levels " + in_quotes(path) + ": " + error.what());
  }
}

void read_levels(const CLI::App& command, const LevelFlags& flags, Settings& settings) {
  const auto given = [&](const char* flag) { return command.count(flag) > 0; };
  if (given("--steps")) settings.steps = whole_number("--steps", flags.steps, 1, kAnyNumber);
  if (given("--sampler")) settings.sampler = name_of("--sampler", flags.sampler, samplers());
  read_schedule(command, flags, settings);
  if (given("--timesteps")) settings.timesteps = numbers_of("--timesteps", flags.timesteps, "999,750,500,250");
  if (given("--sigmas")) settings.sigmas = numbers_of("--sigmas", flags.sigmas, "14.6,3.9,0.9,0");
  if (given("--levels")) settings.levels = levels_in(flags.levels);
}

Settings settings_of(const CLI::App& command, const GenerateFlags& flags) {
  const auto given = [&](const char* flag) { return command.count(flag) > 0; };
  Settings settings;
  settings.prompt = flags.prompt;
  read_picture(command, flags, settings);
  read_levels(command, flags.level, settings);
  if (given("--guidance-interval")) {
    settings.guidance_interval = interval_of("--guidance-interval", flags.guidance_interval, "steps A..B, as 3..20");
  }
  if (given("--guidance-sigmas")) {
    settings.guidance_sigmas = interval_of("--guidance-sigmas", flags.guidance_sigmas, "sigmas LOW..HIGH, as 0.28..5.42");
  }
  if (given("--guidance-rescale")) settings.guidance_rescale = real_number("--guidance-rescale", flags.guidance_rescale, 0, 1);
  if (given("--eta")) settings.eta = real_number("--eta", flags.eta, 0, 1);
  if (given("--s-churn")) settings.s_churn = real_number("--s-churn", flags.s_churn, 0, kInfinity);
  if (given("--s-tmin")) settings.s_tmin = real_number("--s-tmin", flags.s_tmin, 0, kInfinity);
  if (given("--s-tmax")) settings.s_tmax = real_number("--s-tmax", flags.s_tmax, 0, kInfinity);
  if (given("--s-noise")) settings.s_noise = real_number("--s-noise", flags.s_noise, 0, kInfinity);
  if (given("--latents")) settings.latents = latents_in(flags.latents);
  return settings;
}

/// One prompt with all its seeds.
void add_requests(const CLI::App& command, const GenerateFlags& flags, const std::string& place, std::vector<Request>& requests) {
  Settings settings = settings_of(command, flags);
  const std::vector<uint64_t> seeds = seeds_from(flags.seeds, flags.count);
  if (settings.latents.defined() && seeds.size() > 1) {
    throw UsageError("--latents: is one start, " + std::to_string(seeds.size()) + " seeds would all begin there; leave one out");
  }
  for (const uint64_t seed : seeds) {
    settings.seed = seed;
    requests.push_back({settings, place});
  }
  if (seeds.empty()) requests.push_back({settings, place});
}

bool is_prompt(const CLI::Option& option) { return option.get_name() == "--prompt" || option.get_name() == "--prompts"; }

/// What a line of a prompts file may set: names as --guidance-scale in JSON's spelling.
std::vector<std::string> settings_of_a_line(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_lnames().empty() || is_prompt(*option)) continue;
    if (option->get_group() != kPicture && option->get_group() != kSampling) continue;
    std::string name = option->get_lnames().front();
    std::replace(name.begin(), name.end(), '-', '_');
    names.push_back(std::move(name));
  }
  return names;
}

/// The command line's own flags, without those that the line sets otherwise, then the line's.
std::vector<std::string> arguments_for(const CLI::App& command, const PromptsLine& line) {
  const auto& own = line.settings;
  std::vector<std::string> arguments;
  for (const CLI::Option* option : command.get_options()) {
    if (option->count() == 0 || option->get_lnames().empty() || is_prompt(*option)) continue;
    std::string name = option->get_lnames().front(), key = name;
    std::replace(key.begin(), key.end(), '-', '_');
    if (own.contains(key) || (key == "count" && own.contains("seed"))) continue;
    if (key == "size" && (own.contains("width") || own.contains("height"))) continue;
    if ((key == "width" || key == "height") && own.contains("size")) continue;
    if (option->get_group() != kPicture && option->get_group() != kSampling) continue;
    for (const std::string& value : option->results()) arguments.push_back("--" + name + "=" + value);
  }
  for (const auto& [key, value] : own) {
    std::string name = key;
    std::replace(name.begin(), name.end(), '_', '-');
    if (value) arguments.push_back("--" + name + "=" + *value);
  }
  return arguments;
}

std::vector<Request> requests_in_file(const CLI::App& command, const std::string& path) {
  const std::string text = path == "-" ? standard_input(kLargestPrompts) : text_in("--prompts", path, kLargestPrompts);
  std::vector<Request> requests;
  for (const PromptsLine& line : prompts_in(text, path, settings_of_a_line(command))) {
    try {
      CLI::App line_command("", "steplapse generate");
      GenerateFlags flags;
      add_flags(line_command, flags);
      parse(line_command, arguments_for(command, line));
      flags.prompt = line.prompt;
      add_requests(line_command, flags, line.place, requests);
    } catch (const UsageError& error) {
      throw UsageError(line.place + ": " + error.what());
    }
  }
  return requests;
}

std::vector<Request> requests_of(const CLI::App& command, GenerateFlags flags) {
  const bool prompt = command.count("PROMPT") > 0, file = command.count("--prompts") > 0;
  if (prompt && file) throw UsageError("PROMPT and --prompts both say what to draw; leave one out");
  if (file) return requests_in_file(command, flags.prompts);
  if (!prompt) throw MisfitArguments("no PROMPT; see steplapse generate --help");
  flags.prompt = prompt_of(flags.prompt);
  std::vector<Request> requests;
  add_requests(command, flags, "", requests);
  return requests;
}

/// A folder's name, or x.png for the picture itself.
void read_out(const std::string& out, Options& options) {
  options.out = out;
  const std::string ending = lower_case(options.out.extension().string());
  for (const char* other : {".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".jxl"}) {
    if (ending != other) continue;
    throw UsageError("--out " + in_quotes(out) + ": pictures are PNG files; write --out " +
                     fs::path(out).replace_extension(".png").string() + ", or a folder's name");
  }
  if (ending != ".png") return;
  if (options.requests.size() > 1) {
    throw UsageError("--out " + in_quotes(out) + ": is one picture, and there will be " + std::to_string(options.requests.size()) +
                     "; name a folder");
  }
  options.picture = options.out;
  options.out.replace_extension();
}

Options options_of(const CLI::App& command, const GenerateFlags& flags) {
  Options options;
  options.requests = requests_of(command, flags);
  options.frames = frames_of(command, flags);
  options.decoder = flags.decoder;
  read_out(flags.out, options);
  read_running(flags, options);
  options.dry_run = flags.dry_run;
  options.overwrite = flags.overwrite;
  return options;
}

constexpr const char* kExamples = R"(Examples:
  steplapse "red apple" --seed 7 --out apple       the same picture each time
  steplapse "red apple" --steps 10 --sampler heun  in 10 steps of Heun's method
  steplapse "red apple" --frames x0,xt --every 5   every fifth frame, both kinds
  steplapse "red apple" --count 4 --seed 100       pictures of seeds 100 to 103
  steplapse --prompts prompts.txt --out sweep      a picture for every line
)";

int generate(const std::vector<std::string>& arguments) {
  CLI::App command("Draws a picture from a prompt and writes its run folder", "steplapse generate");
  command.footer(kExamples);
  GenerateFlags flags;
  add_flags(command, flags);
  Options options;
  try {
    if (!parse(command, arguments)) return 0;
    options = options_of(command, flags);
  } catch (const std::exception& error) {
    if (asks_for_json(arguments)) make_progress(ProgressMode::json)->failed(failure_of(error));
    throw;
  }
  return run(options);
}

// ---- schedule ----------------------------------------------------------------------------------------------------

void print_schedule(const Schedule& schedule) {
  std::cout << " step  timestep      alpha      sigma   sigma/alpha     log_snr\n" << std::fixed;
  for (size_t i = 0; i < schedule.levels.size(); ++i) {
    const NoiseLevel& level = schedule.levels[i];
    std::cout << std::setw(5) << i << std::setw(10);
    if (level.timestep) {
      std::cout << std::setprecision(*level.timestep == std::floor(*level.timestep) ? 0 : 3) << *level.timestep;
    } else {
      std::cout << "-";
    }
    std::cout << std::setprecision(6) << std::setw(11) << level.alpha << std::setw(11) << level.sigma << std::setw(14)
              << noise_ratio(level) << std::setw(12) << -2 * std::log(noise_ratio(level)) << '\n';
  }
}

nlohmann::json schedules_json() {
  nlohmann::json all = nlohmann::json::array();
  for (const ScheduleRule& rule : schedules()) {
    all.push_back({{"name", rule.name},
                   {"about", rule.about},
                   {"source", rule.source},
                   {"sigma_min", rule.knows.sigma_min},
                   {"sigma_max", rule.knows.sigma_max},
                   {"rho", rule.knows.rho ? nlohmann::json(*rule.knows.rho) : nlohmann::json()},
                   {"own_last_level", rule.own_last_level},
                   {"also", rule.also}});
  }
  return all;
}

/// A line of a list and what belongs to it, in a column of its own where the terminal is wide enough.
std::string folded(std::string_view text, size_t column, size_t begins) {
  const size_t columns = output_columns();
  return wrapped(text, columns, columns < 60 ? 2 : column, begins) + '\n';
}

/// As folded, with no name broken at a blank of its own.
std::string folded_names(const std::string& before, std::vector<std::string> names, size_t column, size_t begins) {
  const std::string blank = "\u00a0";
  for (std::string& name : names) {
    for (size_t at = name.find(' '); at != std::string::npos; at = name.find(' ', at)) name.replace(at, 1, blank);
  }
  std::string text = folded(before + joined(names, ", "), column, begins);
  for (size_t at = text.find(blank); at != std::string::npos; at = text.find(blank)) text.replace(at, blank.size(), " ");
  return text;
}

int list_schedules(bool json) {
  if (json) {
    std::cout << schedules_json().dump(2) << '\n';
    return 0;
  }
  constexpr size_t kColumn = 18;
  const auto more = [](const std::string& text) { std::cout << std::string(kColumn, ' ') << folded(text, kColumn, kColumn); };
  for (const ScheduleRule& rule : schedules()) {
    std::cout << std::left << std::setw(kColumn) << rule.name << folded(rule.about, kColumn, kColumn);
    more(std::string(rule.source));
    if (rule.also.empty()) continue;
    const std::vector<std::string> names(rule.also.begin(), rule.also.end());
    std::cout << std::string(kColumn, ' ') << folded_names("also ", names, kColumn, kColumn);
  }
  std::cout << std::setw(kColumn) << "ays" << folded("ays_sdxl for a model of two text encoders, else ays_sd1", kColumn, kColumn);
  std::cout << std::setw(kColumn) << "bundle" << folded("the bundle's own spacing, whatever the sampler's usual levels are", kColumn, kColumn);
  return 0;
}

/// Sigma / alpha and what the network is told, over steps.
std::vector<Plot> plots_of(const Plan& plan) {
  Plot::Series sigmas{"sigma / alpha", {}, {}}, timesteps{"timestep", {}, {}};
  for (size_t i = 0; i < plan.recipe.schedule.levels.size(); ++i) {
    const NoiseLevel& level = plan.recipe.schedule.levels[i];
    sigmas.x.push_back(static_cast<double>(i));
    sigmas.y.push_back(noise_ratio(level));
    if (!level.timestep) continue;
    timesteps.x.push_back(static_cast<double>(i));
    timesteps.y.push_back(*level.timestep);
  }
  const std::string title = plan.schedule + ", " + counted(plan.steps(), "step");
  return {{.title = title, .x = {"step"}, .y = {"sigma / alpha", true}, .series = {sigmas}},
          {.title = title, .x = {"step"}, .y = {"timestep"}, .series = {timesteps}}};
}

/// Of other tools' names those that promise more than they give, with what that is.
nlohmann::json shortfalls_json(const Sampler& sampler) {
  nlohmann::json all = nlohmann::json::object();
  for (const std::string_view name : sampler.also) {
    if (!shortfall_of(name).empty()) all[std::string(name)] = shortfall_of(name);
  }
  return all;
}

nlohmann::json samplers_json() {
  nlohmann::json all = nlohmann::json::array();
  for (const Sampler& sampler : samplers()) {
    all.push_back({{"name", sampler.name},
                   {"label", sampler.label},
                   {"order", sampler.order},
                   {"calls_a_step", sampler.calls_a_step},
                   {"eta", sampler.eta ? nlohmann::json(*sampler.eta) : nlohmann::json()},
                   {"churns", sampler.churns},
                   {"draws_noise", sampler.draws_noise()},
                   {"own_steps", sampler.own_steps},
                   {"adaptive", sampler.adaptive},
                   {"usual_schedule", sampler.usual_schedule ? nlohmann::json(*sampler.usual_schedule) : nlohmann::json()},
                   {"own_last_level", sampler.own_last_level},
                   {"also", sampler.also},
                   {"shortfalls", shortfalls_json(sampler)}});
  }
  return all;
}

/// "Euler a; fresh noise, eta 1".
std::string about(const Sampler& sampler) {
  std::string text(sampler.label);
  if (sampler.fresh_noise) text += "; fresh noise";
  if (sampler.eta.value_or(0) > 0) text += "; fresh noise, eta " + plain(*sampler.eta);
  if (sampler.eta == 0.0) text += "; noise with --eta";
  if (sampler.churns) text += "; noise with --s-churn";
  if (sampler.own_steps) text += sampler.adaptive ? "; chooses its steps" : "; levels of its own";
  if (sampler.usual_schedule) text += "; usually " + std::string(*sampler.usual_schedule);
  return text;
}

/// The names, a star at those that promise more than they give, and a line for what that is.
void print_other_names(const Sampler& sampler) {
  std::vector<std::string> names;
  std::vector<std::pair<std::string_view, std::vector<std::string>>> shortfalls;
  for (const std::string_view name : sampler.also) {
    const std::string_view shortfall = shortfall_of(name);
    names.push_back(std::string(name) + (shortfall.empty() ? "" : "*"));
    if (shortfall.empty()) continue;
    if (shortfalls.empty() || shortfalls.back().first != shortfall) shortfalls.emplace_back(shortfall, std::vector<std::string>());
    shortfalls.back().second.emplace_back(name);
  }
  constexpr size_t kColumn = 4;
  if (!names.empty()) std::cout << "    " << folded_names("also ", names, kColumn, kColumn);
  for (const auto& [shortfall, of] : shortfalls) {
    const std::string which = shortfalls.size() > 1 ? joined(of, ", ") + ": " : "";
    std::cout << "    " << folded("* " + which + std::string(shortfall), kColumn + 2, kColumn);
  }
}

int list_samplers(const std::vector<std::string>& arguments) {
  CLI::App command("Lists the samplers: how to get from one noise level to the next", "steplapse samplers");
  bool json = false;
  command.add_flag("--json", json, "As JSON");
  if (!parse(command, arguments)) return 0;
  if (json) {
    std::cout << samplers_json().dump(2) << '\n';
    return 0;
  }
  constexpr size_t kName = 18, kOrder = 5, kCalls = 7, kAbout = kName + kOrder + kCalls + 2;
  const auto row = [](std::string_view name, const std::string& order, const std::string& calls, const std::string& text) {
    std::cout << std::left << std::setw(kName) << name << std::right << std::setw(kOrder) << order << std::setw(kCalls) << calls
              << "  " << folded(text, kAbout, kAbout);
  };
  row("name", "order", "calls", "(of the denoiser, a step)");
  for (const Sampler& sampler : samplers()) {
    row(sampler.name, std::to_string(sampler.order), plain(sampler.calls_a_step), about(sampler));
    print_other_names(sampler);
  }
  return 0;
}

int schedule(const std::vector<std::string>& arguments) {
  CLI::App command("The noise levels of a run: x = alpha * x0 + sigma * eps. Step k goes from row k-1 to row k", "steplapse schedule");
  LevelFlags level;
  std::string model;
  std::string plot;
  bool json = false, list = false, overwrite = false;
  add_level_flags(command, "Levels (defaults are the bundle's)", level);
  command.add_option("--model", model, "The bundle's folder")->type_name("DIR");
  command.add_flag("--json", json, "As JSON");
  command.add_option("--plot", plot, "Draw them: sigma / alpha and timesteps over steps, as .svg or .png")->type_name("FILE");
  command.add_flag("--overwrite", overwrite, "Replace the drawing that is there");
  command.add_flag("--list", list, "The schedules there are");
  if (!parse(command, arguments)) return 0;
  if (list) return list_schedules(json);
  if (!plot.empty()) check_writable(plot, overwrite);

  const Manifest manifest = read_manifest(model.empty() ? default_model() : fs::path(model));
  Settings settings;
  read_levels(command, level, settings);
  const Plan plan = make_plan(manifest, settings);
  for (const auto& warning : plan.warnings) std::cerr << "steplapse: warning: " << warning << '\n';
  if (!plot.empty()) write_plots(plot, plots_of(plan));
  if (json) {
    std::cout << levels_json(plan.recipe.schedule).dump(2) << '\n';
  } else {
    print_schedule(plan.recipe.schedule);
  }
  return 0;
}

// ---- tokens ------------------------------------------------------------------------------------------------------

int tokens(const std::vector<std::string>& arguments) {
  CLI::App command("What the network is given in place of a prompt: ids, pieces and weights, chunk by chunk",
                   "steplapse tokens");
  std::string prompt, negative_prompt, model, prompt_syntax = "weights", embeddings;
  TokensOptions options;
  command.add_option("PROMPT,--prompt", prompt, "The prompt; - reads it from standard input")->type_name("")->required();
  command.add_option("--negative-prompt", negative_prompt, "What to steer away from")->type_name("TEXT");
  add_prompt_syntax(command, prompt_syntax);
  command.add_option("--model", model, "The bundle's folder")->type_name("DIR");
  command.add_flag("--json", options.json, "As JSON");
  command.add_option("--embeddings", embeddings, "Write what the text encoder makes of it, as safetensors")
      ->type_name("FILE");
  command.add_flag("--overwrite", options.overwrite, "Replace the file that is there");
  if (!parse(command, arguments)) return 0;

  const bool writes = command.count("--embeddings") > 0;
  if (writes && embeddings.empty()) throw UsageError("--embeddings '': wanted a file's name");
  if (options.overwrite && !writes) throw UsageError("--overwrite: without --embeddings no file is written");
  options.settings.prompt = prompt_of(prompt);
  if (command.count("--negative-prompt") > 0) options.settings.negative_prompt = negative_prompt;
  options.settings.prompt_syntax = prompt_syntax_of(prompt_syntax);
  options.model = model.empty() ? default_model() : fs::path(model);
  options.embeddings = embeddings;
  show_tokens(options);
  return 0;
}

// ---- model -------------------------------------------------------------------------------------------------------

int verify(const fs::path& folder, bool as_json) {
  std::vector<std::string> passed, warnings;
  const auto refused = verify_bundle(folder, [&](const std::string& check) {
    passed.push_back(check);
    if (!as_json) std::cout << "ok   " << check << std::endl;
  });
  if (!passed.empty()) warnings = warnings_about(read_manifest(folder));  // that model.json can be read is the first check
  if (as_json) {
    const nlohmann::json verdict = {
        {"bundle", folder.string()}, {"passed", passed}, {"refused", refused}, {"warnings", warnings}};
    std::cout << verdict.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
  } else {
    for (const auto& line : warnings) std::cout << "WARN " << line << '\n';
    for (const auto& line : refused) std::cout << "BAD  " << line << '\n';
  }
  if (refused.empty()) return 0;
  throw BundleError(folder.string() + ": " + std::to_string(refused.size()) + " of its checks failed, see above");
}

int list_prompts(const fs::path& folder, const std::string& word) {
  const Manifest manifest = read_manifest(folder);
  if (!manifest.prompts) throw UsageError(manifest.name + " does not say what it was taught");
  const auto found = search_prompts(taught_prompts(folder, manifest), word);
  for (const TaughtPrompt& taught : found) std::cout << escaped(taught.name) << '\n';
  if (found.empty()) throw UsageError("nothing taught has " + in_quotes(word) + " in its name or keywords");
  return 0;
}

/// The folder that is the only argument of a command beside --json, or the model that comes with us.
std::optional<fs::path> only_folder(const char* about, const char* name, const std::vector<std::string>& arguments,
                                    bool* as_json = nullptr) {
  CLI::App command(about, name);
  std::string folder;
  command.add_option("DIR", folder, "The bundle's folder (the model that comes with us)")->type_name("");
  if (as_json) command.add_flag("--json", *as_json, "As JSON: what passed, what is refused, warnings");
  if (!parse(command, arguments)) return std::nullopt;
  return folder.empty() ? default_model() : fs::path(folder);
}

int model_inspect(const std::vector<std::string>& arguments) {
  const auto folder = only_folder("What is in a bundle", "steplapse model inspect", arguments);
  if (!folder) return 0;
  constexpr size_t kColumn = 18;  // of what a line is about
  std::istringstream lines(describe(read_manifest(*folder)));
  for (std::string line; std::getline(lines, line);) {
    const bool fits = display_width(line) <= output_columns();
    std::cout << (fits ? line + '\n' : line.substr(0, kColumn) + folded(line.substr(kColumn), kColumn, kColumn));
  }
  return 0;
}

int model_verify(const std::vector<std::string>& arguments) {
  bool as_json = false;
  const auto folder = only_folder("Checks a bundle and runs each of its modules", "steplapse model verify", arguments, &as_json);
  return folder ? verify(*folder, as_json) : 0;
}

int model_prompts(const std::vector<std::string>& arguments) {
  CLI::App command("What a bundle was taught: names that have WORD in them or among their keywords", "steplapse model prompts");
  std::string word, folder;
  command.add_option("WORD", word, "A word to look for")->type_name("");
  command.add_option("--model", folder, "The bundle's folder")->type_name("DIR");
  if (!parse(command, arguments)) return 0;
  return list_prompts(folder.empty() ? default_model() : fs::path(folder), word);
}

// ---- doctor ------------------------------------------------------------------------------------------------------

std::optional<fs::path> model_to_be_found(const std::string& named) {
  try {
    return named.empty() ? default_model() : fs::path(named);
  } catch (const UsageError&) {
    return std::nullopt;
  }
}

int doctor(const std::vector<std::string>& arguments) {
  CLI::App command("What a bug report has to say of this machine: copy it whole", "steplapse doctor");
  std::string model;
  bool json = false;
  command.add_option("--model", model, "The bundle's folder")->type_name("DIR");
  command.add_flag("--json", json, "As JSON");
  if (!parse(command, arguments)) return 0;
  nlohmann::ordered_json object;
  for (const auto& [name, text] : findings(model_to_be_found(model))) {
    if (json) {
      object[name] = text;
    } else {
      std::cout << std::left << std::setw(17) << name << escaped(text, std::string::npos) << '\n';
    }
  }
  if (json) std::cout << object.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n';
  return 0;
}

// ---- the commands ------------------------------------------------------------------------------------------------

int help(const std::vector<std::string>& arguments);
int version(const std::vector<std::string>& arguments);

const std::vector<Command>& commands() {
  static const std::vector<Command> table{
      {"generate", "PROMPT", "Draw a picture; the word generate may be left out", generate},
      {"race", "PROMPT...", "Compare samplers at an equal number of denoiser calls", race_from},
      {"schedule", "", "Show the noise levels of a run; --list: the schedules", schedule},
      {"samplers", "", "List the samplers, and what other tools call them", list_samplers},
      {"tokens", "PROMPT", "Show what the network is given in place of the words", tokens},
      {"model inspect", "[DIR]", "Show what is in a bundle, which is a model on disk", model_inspect},
      {"model verify", "[DIR]", "Check a bundle and run each of its modules", model_verify},
      {"model prompts", "[WORD]", "List what a model was taught", model_prompts},
      {"help", "[COMMAND]", "Show this, or what a command may be told", help},
      {"doctor", "", "Show what a bug report has to say of this machine", doctor},
      {"version", "", "Print the versions of steplapse and libtorch", version},
  };
  return table;
}

int print_overview() {
  std::cout << R"(steplapse draws a picture from a prompt and keeps every step of its making.

  steplapse "red apple"                       draw it; its folder is under runs/
  steplapse "red apple" --steps 10 --seed 7   draw it in 10 steps, from seed 7
  steplapse generate --help                   all that drawing may be told

Commands:
)" << command_lines(commands())
            << R"(
A prompt that is a command's name needs generate: steplapse generate schedule
Exit codes: 0 done, 1 run failed, 2 usage, 3 bundle refused, 4 output or disk,
5 memory, 130 ended by Ctrl-C, 143 by another signal.
)";
  return 0;
}

int help(const std::vector<std::string>& arguments) {
  CLI::App command("Shows the commands, or what one of them may be told", "steplapse help");
  std::vector<std::string> words;
  command.add_option("COMMAND", words, "A command's name, as race or model inspect")->type_name("");
  if (!parse(command, arguments)) return 0;
  if (words.empty()) return print_overview();

  const std::string name = joined(words, " ");
  const Command* asked = command_of(commands(), words);
  if (asked && asked->name == name) return asked->run({"--help"});
  const std::string group = command_lines(commands(), name + " ");
  if (group.empty()) {
    std::vector<std::string> names;
    for (const Command& each : commands()) names.emplace_back(each.name);
    const auto meant = nearest(name, names);
    throw MisfitArguments("no command " + in_quotes(name) +
                          (meant ? ", did you mean: steplapse help " + *meant + "?" : "; steplapse help lists them"));
  }
  std::cout << group;
  return 0;
}

int print_version() {
  std::cout << "steplapse " << kVersion << ", libtorch " << libtorch_version() << '\n';
  return 0;
}

int version(const std::vector<std::string>& arguments) {
  CLI::App command("Prints the versions of steplapse and libtorch", "steplapse version");
  return parse(command, arguments) ? print_version() : 0;
}

bool asks_for_version(const std::vector<std::string>& arguments) {
  const auto end = std::find(arguments.begin(), arguments.end(), "--");
  return std::find(arguments.begin(), end, "--version") != end;
}

}  // namespace

int run_command_line(std::vector<std::string> arguments) {
  if (arguments.empty()) throw UsageError("no PROMPT; try steplapse \"red apple\", or steplapse --help");
  if (asks_for_version(arguments)) return print_version();
  if (arguments.front() == "--help" || arguments.front() == "-h") return print_overview();
  if (const Command* command = command_of(commands(), arguments)) return run_command(*command, arguments);
  if (arguments.size() == 2 && (arguments.back() == "--help" || arguments.back() == "-h") &&
      !command_lines(commands(), arguments.front() + " ").empty()) {
    return help({arguments.front()});
  }
  try {
    refuse_near_command(commands(), arguments);
  } catch (const UsageError& error) {
    if (asks_for_json(arguments)) make_progress(ProgressMode::json)->failed(failure_of(error));
    throw;
  }
  return generate(arguments);
}

}  // namespace steplapse
