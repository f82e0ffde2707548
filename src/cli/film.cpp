#include "studies/film.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "cli/binder.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "record/run_folder.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

constexpr const char* kFilmAbout = R"(Makes a film of a run's steps, or of several runs side by side, from their logs.
FILE's ending says what it is: .mp4, .webm, .mkv and .gif are made by ffmpeg, .webp and .png without.
)";

constexpr const char* kFilmExamples = R"(Examples:
  steplapse film runs/apple apple.mp4               x0 at each step, 10 a second
  steplapse film runs/apple apple.webp --kind both  with the noisy latents beside it
  steplapse film runs/a runs/b both.gif --label recipe --duration 6
)";

struct FilmFlags {
  FilmOptions options;
  std::vector<std::string> words;  // the runs, then the file
  Readers readers;
};

/// CLI11 takes all words for RUN, which is a list, and would call FILE optional.
struct Help : CLI::Formatter {
  std::string make_usage(const CLI::App*, std::string name) const override {
    return "Usage: " + name + " [OPTIONS] RUN... FILE\n";
  }
};

FilmKind kind_of(const std::string& flag, const std::string& text) {
  choice_of(flag, text, {"x0", "xt", "both", "diff"});
  if (text == "xt") return FilmKind::xt;
  if (text == "both") return FilmKind::both;
  return text == "diff" ? FilmKind::diff : FilmKind::x0;
}

Pace pace_of(const std::string& flag, const std::string& text) {
  return pace_named(choice_of(flag, text, {"step", "sigma", "change"}));
}

FilmLabel label_of(const std::string& flag, const std::string& text) {
  choice_of(flag, text, {"step", "recipe", "none"});
  if (text == "recipe") return FilmLabel::recipe;
  return text == "step" ? FilmLabel::step : FilmLabel::none;
}

std::string codec_named(const std::string& flag, const std::string& text) {
  return choice_of(flag, text, {"h264", "vp9", "av1", "ffv1"});
}

void add_picture_flags(Binder& bind, FilmOptions& options) {
  bind("--kind", "KIND", "x0, xt, both, or diff (what changed in x0)", options.kind, kind_of)->default_str("x0");
  bind("--label", "WHAT", "What is written below: step (and sigma), recipe (prompt and settings too), none",
       options.label, label_of)
      ->default_str("none");
  bind("--scale", "N", "A pixel becomes N x N (small pictures become 256 wide)", options.scale, integer(1, 64));
  bind("--between", "N", "Pictures of interpolated x0 latents between two steps", options.between, integer(0, 100))
      ->default_str("0");
  bind("--decoder", "NAME", "Which of the bundle's decoders makes them (that of the run's own)", options.decoder,
       as_it_is);
}

void add_time_flags(CLI::App& command, Binder& bind, FilmTiming& timing, Pace& pace) {
  bind("--fps", "X", "Pictures a second", timing.fps, number(0.1, 60))->default_str("10");
  bind.with("--duration", "SECONDS", "How long the film is, holds too; in place of --fps",
            [&](const std::string& flag, const std::string& text) {
              if (command.count("--fps") > 0) throw UsageError("--fps and --duration both say how fast; leave one out");
              timing.duration = real_number(flag, text, 0.01, 600);
            });
  bind("--hold-first", "SECONDS", "How much longer the first picture stands", timing.hold_first, number(0, 60))
      ->default_str("0");
  bind("--hold-last", "SECONDS", "How much longer the last picture stands", timing.hold_last, number(0, 60))
      ->default_str("1");
  bind("--pace", "HOW", "How long each stands: all alike (step), by the fall of log sigma, or by how x0 changes", pace,
       pace_of)
      ->default_str("step");
}

void add_flags(CLI::App& command, FilmFlags& flags) {
  command.description(kFilmAbout);
  command.footer(kFilmExamples);
  FilmOptions& options = flags.options;
  command.formatter(std::make_shared<Help>());
  command.add_option("RUN", flags.words, "The runs' folders, one or more")->type_name("")->required();
  command.add_option("FILE", flags.words, "The film: .mp4, .webm, .mkv, .gif, .webp or .png")->type_name("");
  Binder pictures(command, "Pictures", flags.readers), time(command, "Time", flags.readers),
      file(command, "File", flags.readers);
  add_picture_flags(pictures, options);
  add_time_flags(command, time, options.timing, options.pace);
  file("--codec", "NAME", "h264 (.mp4), vp9 (.webm), ffv1 (.mkv, lossless), av1 (all three)", options.file.codec,
       codec_named);
  file("--quality", "N", ".webp with losses, 0 to 100 (lossless)", options.file.quality, number(0, 100));
  command.add_flag("--overwrite", options.file.overwrite, "Replace the file that is there")->group("File");
  add_model_flags(command, "Decoding", options.running, flags.readers);
  command.get_option("--threads")->description("CPU threads (as many as the run had)");
}

int run_film(const CLI::App&, FilmFlags& flags) {
  read(flags.readers);
  FilmOptions& options = flags.options;
  if (flags.words.size() < 2) throw MisfitArguments("no FILE; see steplapse film --help");
  options.file.path = flags.words.back();
  flags.words.pop_back();
  check_film(options);
  for (const std::string& run : flags.words) options.runs.push_back(existing_run(run));
  options.usual_model = usual_model();
  std::cout << said_of(make_film(options), options.file) << std::endl;
  return 0;
}

}  // namespace

Command film_command() {
  return with_flags<FilmFlags>({.name = "film",
                                .arguments = "RUN... FILE",
                                .about = "Make a film of a run, or of several side by side",
                                .group = CommandGroup::look,
                                .exit_codes = {0, 1, 2, 3, 4, 5}},
                               add_flags, run_film);
}

}  // namespace steplapse
