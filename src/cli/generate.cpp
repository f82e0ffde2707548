#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <optional>

#include "base/file_io.h"
#include "base/png_reader.h"
#include "base/text.h"
#include "base/wording.h"
#include "cli/commands.h"
#include "cli/flag_values.h"
#include "cli/flags.h"
#include "cli/frame_flags.h"
#include "cli/prompts_file.h"
#include "plan/picture_settings.h"
#include "runs/batch.h"
#include "steplapse/error.h"
#include "studies/film.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

constexpr size_t kLargestPrompts = 64 << 20;  // bytes of a file of prompts

/// The flags, and what they set.
struct GenerateFlags {
  Options options;
  Settings settings;
  std::vector<std::string> seeds;
  std::string prompt, prompts, from_png, count, out, film;
  FrameFlags frames;
  std::optional<PictureSettings> picture;  ///< what --from-png says
  bool version = false;
  Readers settings_readers, running_readers;
};

constexpr const char *kPicture = "The picture", *kSampling = "Sampling (defaults are the bundle's)";

constexpr const char* kGenerateExamples = R"(Examples:
  steplapse "red apple" --seed 7 --out apple       the same picture each time
  steplapse "red apple" --steps 10 --sampler heun  in 10 steps of Heun's method
  steplapse "red apple" --frames x0,xt --every 5   every fifth frame, both kinds
  steplapse "red apple" --count 4 --seed 100       pictures of seeds 100 to 103
  steplapse --prompts prompts.txt --out sweep      a picture for every line
)";

void add_picture_group(CLI::App& command, GenerateFlags& flags) {
  const auto add = [&](const char* name, std::string& value, const char* type, const char* help) {
    command.add_option(name, value, help)->type_name(type)->group(kPicture);
  };
  add("PROMPT,--prompt", flags.prompt, "", "What to draw; - reads it from standard input, \"\" draws without one");
  add("--prompts", flags.prompts, "FILE",
      "One prompt a line, or a line of JSON with its own settings; - for standard input");
  add("--from-png", flags.from_png, "FILE",
      "The settings of a picture of steplapse, A1111, ComfyUI or InvokeAI; other flags win over them");
  command
      .add_option("--seed", flags.seeds,
                  "Which noise to start from (random, printed and recorded); N,M draws one of each")
      ->type_name("N")
      ->group(kPicture)
      ->allow_extra_args(false);  // what follows may be the prompt
  add("--count", flags.count, "N", "N pictures, with seeds from --seed up");
  add_picture_flags(command, kPicture, flags.settings, flags.settings_readers);
}

void add_frames_group(CLI::App& command, GenerateFlags& flags) {
  const char* group = "Frames";
  add_frame_flags(command, group, flags.frames, flags.options.frames);
  command.add_flag("--show", flags.options.running.show, "Show each x0 frame in the terminal as it is made")
      ->group(group);
  add_decoder(command, group, flags.options.decoder, flags.frames.readers);
}

void add_running_group(CLI::App& command, GenerateFlags& flags) {
  const char* group = "Running";
  command
      .add_option(
          "--out", flags.out,
          "The run folder (runs/DATE-PROMPT-SEED), or that of several runs' folders; x.png: the picture, with the "
          "folder x beside it")
      ->type_name("DIR")
      ->group(group);
  command
      .add_option("--film", flags.film,
                  "A film of the steps too: .mp4, .webm, .mkv, .gif, .webp or .png; of several pictures side by side")
      ->type_name("FILE")
      ->group(group);
  command.add_flag("--overwrite", flags.options.overwrite, "Replace the run that is there")->group(group);
  Options& options = flags.options;
  add_stop_flags(command, group, options.stop_at, options.stop_when_converged, options.would_stop,
                 flags.running_readers);
  add_running_flags(command, group, flags.options.running, flags.running_readers);
  command.add_flag("--dry-run", flags.options.dry_run, "Say what would be done, and do nothing")->group(group);
  command.add_flag("--version", flags.version, "Print the version")->group(group);
  command.set_help_flag("-h,--help", "Print the flags that matter most and exit")->group(group);
  command.set_help_all_flag("--help-all", "Print all flags and exit")->group(group);
}

void add_flags(CLI::App& command, GenerateFlags& flags) {
  command.description("Draws a picture from a prompt and writes its run folder");
  command.footer(kGenerateExamples);
  command.set_help_flag();  // groups are listed as they first appear: help comes last
  add_picture_group(command, flags);
  add_sampling_flags(command, kSampling, flags.settings, flags.settings_readers);
  add_frames_group(command, flags);
  add_running_group(command, flags);
}

bool any_given(const CLI::App& command, const std::vector<std::string>& flags) {
  return std::any_of(flags.begin(), flags.end(), [&](const std::string& flag) { return command.count(flag) > 0; });
}

/// Says what a picture's settings become here.
void say_what_was_taken(const std::string& file, const PictureSettings& picture) {
  std::string line =
      in_quotes(file) + ", a picture of " + picture.tool + ": taken are " + settings_taken(picture.settings);
  if (!picture.guessed.empty()) line += "; guessed: " + joined(picture.guessed, ", ");
  if (!picture.without.empty()) line += "; without equivalent here: " + joined(picture.without, ", ");
  std::cerr << "steplapse: " << escaped(worded(line), std::string::npos) << std::endl;
}

/// The picture's settings, but for those that flags which are given replace.
void take_picture(const CLI::App& command, GenerateFlags& flags) {
  flags.picture = settings_in_picture(read_png(flags.from_png).texts, in_quotes(flags.from_png));
  PictureSettings& picture = *flags.picture;
  say_what_was_taken(flags.from_png, picture);
  Settings& settings = picture.settings;
  const bool other_levels = any_given(command, {"--timesteps", "--sigmas", "--levels"});
  if (any_given(command,
                {"--steps", "--sampler", "--schedule", "--sigma-min", "--sigma-max", "--rho", "--shift", "--model"}) ||
      other_levels) {
    picture.levels.reset();
    settings.levels.reset();
  }
  if (other_levels) {
    for (auto* name : {&settings.sigma_min, &settings.sigma_max, &settings.rho, &settings.shift}) name->reset();
    settings.steps.reset();
    settings.schedule.reset();
  }
  if (any_given(command, {"--schedule"}))
    for (auto* option : {&settings.sigma_min, &settings.sigma_max, &settings.rho}) option->reset();
  if (any_given(command, {"--sampler"}))
    for (auto* option : {&settings.eta, &settings.s_churn, &settings.s_tmin, &settings.s_tmax, &settings.s_noise})
      option->reset();
  if (any_given(command, {"--size", "--width", "--height"})) settings.size.reset();
  if (flags.seeds.empty() && !flags.count.empty() && settings.seed) flags.seeds = {std::to_string(*settings.seed)};
  if (any_given(command, {"PROMPT"})) settings.prompt = prompt_of(flags.prompt);
  flags.prompt = settings.prompt;
  flags.settings = settings;
}

/// One prompt with all its seeds.
void add_requests(const GenerateFlags& flags, const std::string& source, std::vector<Request>& requests) {
  read(flags.settings_readers);
  Settings settings = flags.settings;
  settings.prompt = flags.prompt;
  const std::vector<uint64_t> seeds = seeds_from(flags.seeds, flags.count);
  if (settings.latents.defined() && seeds.size() > 1) {
    throw UsageError("--latents: is one start, " + std::to_string(seeds.size()) +
                     " seeds would all begin there; leave one out");
  }
  for (const uint64_t seed : seeds) {
    settings.seed = seed;
    requests.push_back({settings, source});
  }
  if (seeds.empty()) requests.push_back({settings, source});
}

bool is_prompt(const CLI::Option& option) {
  return option.get_name() == "--prompt" || option.get_name() == "--prompts" || option.get_name() == "--from-png";
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
  const std::string text =
      path == "-" ? read_standard_input(kLargestPrompts) : text_in("--prompts", path, kLargestPrompts);
  std::vector<Request> requests;
  for (const PromptsLine& line : prompts_in(text, path, settings_of_a_line(command))) {
    try {
      CLI::App line_command("", "steplapse generate");
      GenerateFlags flags;
      add_flags(line_command, flags);
      parse(line_command, arguments_for(command, line));
      flags.prompt = line.prompt;
      add_requests(flags, line.place, requests);
    } catch (const UsageError& error) {
      throw UsageError(line.place + ": " + error.what());
    }
  }
  return requests;
}

std::vector<Request> requests_of(const CLI::App& command, GenerateFlags& flags) {
  const bool prompt = command.count("PROMPT") > 0, file = command.count("--prompts") > 0;
  if (prompt && file) throw UsageError("PROMPT and --prompts both say what to draw; leave one out");
  const bool picture = command.count("--from-png") > 0;
  if (file && picture) throw UsageError("--prompts and --from-png both say what to draw; leave one out");
  if (file) return requests_in_file(command, flags.prompts);
  if (picture) {
    take_picture(command, flags);
    std::vector<Request> requests;
    add_requests(flags, "", requests);
    return requests;
  }
  if (!prompt) throw MisfitArguments("no PROMPT; see steplapse generate --help");
  flags.prompt = prompt_of(flags.prompt);
  std::vector<Request> requests;
  add_requests(flags, "", requests);
  return requests;
}

/// Where this model's levels of the picture's names are not those that the picture has, its own are taken.
void keep_levels(PictureSettings picture, Options& options) {
  const Manifest manifest = read_manifest(options.running.model);
  for (Request& request : options.requests) {
    picture.settings = request.settings;
    request.settings = with_own_levels(manifest, picture);
  }
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

const Options& options_of(const CLI::App& command, GenerateFlags& flags) {
  Options& options = flags.options;
  options.requests = requests_of(command, flags);
  read_frames(command, flags.frames, options.frames);
  if (options.running.show && !options.frames.kinds.contains(FrameKind::x0))
    throw UsageError("--show: shows the x0 frames that are made, and --frames leaves them out");
  read_out(flags.out, options);
  read(flags.running_readers);
  if (options.stop_when_converged && options.would_stop)
    throw UsageError("--would-stop: can't be together with --stop-when-converged; leave one out");
  if (flags.picture && flags.picture->levels) keep_levels(*flags.picture, options);
  return options;
}

bool tells_people(const RunningOptions& running) {
  return running.progress != ProgressMode::json && running.progress != ProgressMode::none;
}

FilmOptions film_of(const GenerateFlags& flags) {
  const Options& options = flags.options;
  FilmOptions film;
  film.file.path = flags.film;
  film.file.overwrite = options.overwrite;
  film.running = options.running;
  film.running.threads = 0;  // the runs' own
  check_film(film);
  return film;
}

int draw_and_film(GenerateFlags& flags, FilmOptions film) {
  return run_batch(flags.options, [&](const std::vector<fs::path>& folders) {
    film.runs = folders;
    const MadeFilm made = make_film(film);
    if (tells_people(flags.options.running)) std::cout << said_of(made, film.file) << std::endl;
  });
}

int run_generate(const CLI::App& command, GenerateFlags& flags) {
  json_errors(command, [&] { return options_of(command, flags); });
  if (command.count("--film") == 0) return run_batch(flags.options);
  return draw_and_film(flags, json_errors(command, [&] { return film_of(flags); }));
}

}  // namespace

Command generate_command() {
  return with_flags<GenerateFlags>(
      {.name = "generate",
       .arguments = "PROMPT",
       .about = "Draw a picture; the word generate may be left out",
       .group = CommandGroup::draw,
       .common = {"--prompts", "--from-png", "--seed", "--count", "--negative-prompt", "--size", "--steps", "--sampler",
                  "--schedule", "--guidance-scale", "--frames", "--every", "--film", "--out", "--model", "--device"},
       .exit_codes = kDrawingExitCodes},
      add_flags, run_generate);
}

}  // namespace steplapse
