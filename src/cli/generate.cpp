#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <limits>

#include "base/safetensors.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/flag_values.h"
#include "cli/flags.h"
#include "cli/prompts_file.h"
#include "runs/batch.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

constexpr size_t kLargestPrompts = 64 << 20;  // bytes of a file of prompts
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// The flags as they were written.
struct GenerateFlags : PictureFlags, RunningFlags {
  LevelFlags level;
  std::vector<std::string> seeds;
  std::string prompt, prompts, count, frames = "x0", number = "steps", every, at, from, to, decoder = "full", out,
                                      latents, eta, s_churn, s_tmin, s_tmax, s_noise, guidance_interval,
                                      guidance_sigmas, guidance_rescale;
  bool dry_run = false, overwrite = false, version = false;
};

constexpr const char *kPicture = "The picture", *kSampling = "Sampling (defaults are the bundle's)";

constexpr const char* kExamples = R"(Examples:
  steplapse "red apple" --seed 7 --out apple       the same picture each time
  steplapse "red apple" --steps 10 --sampler heun  in 10 steps of Heun's method
  steplapse "red apple" --frames x0,xt --every 5   every fifth frame, both kinds
  steplapse "red apple" --count 4 --seed 100       pictures of seeds 100 to 103
  steplapse --prompts prompts.txt --out sweep      a picture for every line
)";

void add_flags(CLI::App& command, GenerateFlags& flags) {
  command.description("Draws a picture from a prompt and writes its run folder");
  command.footer(kExamples);
  const auto add = [&](const char* group, const char* name, std::string& value, const char* type, const char* help) {
    return command.add_option(name, value, help)->type_name(type)->group(group);
  };
  command.set_help_flag();  // groups are listed as they first appear: help comes last
  add(kPicture, "PROMPT,--prompt", flags.prompt, "",
      "What to draw; - reads it from standard input, \"\" draws without one");
  add(kPicture, "--prompts", flags.prompts, "FILE",
      "One prompt a line, or a line of JSON with its own settings; - for standard input");
  command
      .add_option("--seed", flags.seeds,
                  "Which noise to start from (random, printed and recorded); N,M draws one of each")
      ->type_name("N")
      ->group(kPicture)
      ->allow_extra_args(false);  // what follows may be the prompt
  add(kPicture, "--count", flags.count, "N", "N pictures, with seeds from --seed up");
  add_picture_flags(command, kPicture, flags);

  add_level_flags(command, kSampling, flags.level);
  add_guidance_scale(command, kSampling, flags);
  add(kSampling, "--guidance-interval", flags.guidance_interval, "A..B",
      "Guidance in these steps alone; the others cost half");
  add(kSampling, "--guidance-sigmas", flags.guidance_sigmas, "LOW..HIGH",
      "Guidance at these sigmas alone (Kynkäänniemi et al. 2024)");
  add(kSampling, "--guidance-rescale", flags.guidance_rescale, "X", "Against overexposure, 0 to 1 (Lin et al. 2023)");
  add(kSampling, "--eta", flags.eta, "X", "Share of fresh noise: 0 deterministic, 1 full");
  add(kSampling, "--s-churn", flags.s_churn, "X", "Noise added before steps, over the run (Karras et al. 2022)");
  add(kSampling, "--s-tmin", flags.s_tmin, "X", "No churn below this sigma");
  add(kSampling, "--s-tmax", flags.s_tmax, "X", "No churn above this sigma");
  add(kSampling, "--s-noise", flags.s_noise, "X", "Scale of all fresh noise");
  add_rng(command, kSampling, flags);
  add(kSampling, "--latents", flags.latents, "FILE", "Start from the noise in this safetensors file, tensor 'latents'");

  const char* frames = "Frames";
  add(frames, "--frames", flags.frames, "KINDS",
      "x0 (what the model thinks the picture is), xt (the noisy latents), x0,xt or none")
      ->capture_default_str();
  add(frames, "--every", flags.every, "N", "A frame every N steps, and of the first and the last one");
  add(frames, "--at", flags.at, "LIST", "Frames of these steps alone, as 1,5,30");
  add(frames, "--from", flags.from, "N", "No frames before this step");
  add(frames, "--to", flags.to, "N", "No frames after this step");
  add(frames, "--number", flags.number, "HOW",
      "What a frame's file is numbered by: steps, or frames (1, 2, 3 without gaps, for films)")
      ->capture_default_str();
  add(frames, "--decoder", flags.decoder, "NAME", "Which of the bundle's decoders makes the frames")
      ->capture_default_str();

  const char* running = "Running";
  add(running, "--out", flags.out, "DIR",
      "The run folder (runs/DATE-PROMPT-SEED), or that of several runs' folders; x.png: the picture, with the folder x "
      "beside it");
  command.add_flag("--overwrite", flags.overwrite, "Replace the run that is there")->group(running);
  add_running_flags(command, running, flags);
  command.add_flag("--dry-run", flags.dry_run, "Say what would be done, and do nothing")->group(running);
  command.add_flag("--version", flags.version, "Print the version")->group(running);
  command.set_help_flag("-h,--help", "Print the flags that matter most and exit")->group(running);
  command.set_help_all_flag("--help-all", "Print all flags and exit")->group(running);
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
  if (!none && flags.frames.find("none") != std::string::npos)
    throw UsageError("--frames " + in_quotes(flags.frames) + ": none stands alone");
  for (const char* flag : {"--every", "--at", "--from", "--to", "--number"}) {
    if (none && command.count(flag) > 0)
      throw UsageError(std::string(flag) + ": there are no frames with --frames none");
    if (command.count("--at") > 0 && std::string(flag) != "--at" && std::string(flag) != "--number" &&
        command.count(flag) > 0) {
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

Settings settings_of(const CLI::App& command, const GenerateFlags& flags) {
  const auto given = [&](const char* flag) { return command.count(flag) > 0; };
  Settings settings;
  settings.prompt = flags.prompt;
  read_picture(command, flags, settings);
  read_levels(command, flags.level, settings);
  if (given("--guidance-interval")) {
    settings.guidance_interval = step_interval_of("--guidance-interval", flags.guidance_interval);
  }
  if (given("--guidance-sigmas")) {
    settings.guidance_sigmas = sigma_interval_of("--guidance-sigmas", flags.guidance_sigmas);
  }
  if (given("--guidance-rescale"))
    settings.guidance_rescale = real_number("--guidance-rescale", flags.guidance_rescale, 0, 1);
  if (given("--eta")) settings.eta = real_number("--eta", flags.eta, 0, 1);
  if (given("--s-churn")) settings.s_churn = real_number("--s-churn", flags.s_churn, 0, kInfinity);
  if (given("--s-tmin")) settings.s_tmin = real_number("--s-tmin", flags.s_tmin, 0, kInfinity);
  if (given("--s-tmax")) settings.s_tmax = real_number("--s-tmax", flags.s_tmax, 0, kInfinity);
  if (given("--s-noise")) settings.s_noise = real_number("--s-noise", flags.s_noise, 0, kInfinity);
  if (given("--latents")) settings.latents = latents_in(flags.latents);
  return settings;
}

/// One prompt with all its seeds.
void add_requests(const CLI::App& command, const GenerateFlags& flags, const std::string& place,
                  std::vector<Request>& requests) {
  Settings settings = settings_of(command, flags);
  const std::vector<uint64_t> seeds = seeds_from(flags.seeds, flags.count);
  if (settings.latents.defined() && seeds.size() > 1) {
    throw UsageError("--latents: is one start, " + std::to_string(seeds.size()) +
                     " seeds would all begin there; leave one out");
  }
  for (const uint64_t seed : seeds) {
    settings.seed = seed;
    requests.push_back({settings, place});
  }
  if (seeds.empty()) requests.push_back({settings, place});
}

bool is_prompt(const CLI::Option& option) {
  return option.get_name() == "--prompt" || option.get_name() == "--prompts";
}

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
    throw UsageError("--out " + in_quotes(out) + ": is one picture, and there will be " +
                     std::to_string(options.requests.size()) + "; name a folder");
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

int run_generate(const CLI::App& command, const GenerateFlags& flags) {
  return run(json_errors(flags.progress, [&] { return options_of(command, flags); }));
}

}  // namespace

Command generate_command() {
  return with_flags<GenerateFlags>(
      {.name = "generate",
       .arguments = "PROMPT",
       .about = "Draw a picture; the word generate may be left out",
       .group = CommandGroup::draw,
       .common = {"--prompts", "--seed", "--count", "--negative-prompt", "--size", "--steps", "--sampler", "--schedule",
                  "--guidance-scale", "--frames", "--every", "--out", "--model", "--device"}},
      add_flags, run_generate);
}

}  // namespace steplapse
