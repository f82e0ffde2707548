#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>

#include "base/file_io.h"
#include "base/terminal.h"
#include "cli/binder.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "runs/run_spectrum.h"

namespace steplapse {
namespace {

struct SpectrumFlags {
  std::string run;
  std::filesystem::path csv, plot;
  bool overwrite = false, json = false;
  SpectrumOptions options;
  Readers readers;
};

constexpr const char* kSpectrumExamples = R"(Examples:
  steplapse spectrum RUN                     a table: colours, coarse form, middle, details
  steplapse spectrum RUN --out spectrum.svg  some steps as lines over the frequency
)";

void add_flags(CLI::App& command, SpectrumFlags& flags) {
  command.description("How much of x0 and xt is coarse form and how much detail: power by spatial frequency");
  command.footer(kSpectrumExamples);
  command.add_option("RUN", flags.run, "The run's folder")->type_name("")->required();
  const char* group = "Spectrum";
  Binder bind(command, group, flags.readers);
  bind("--at", "LIST", "These steps alone, as 1,5,30; 0 is the start of xt", flags.options.at, steps_of);
  bind("--csv", "FILE", "Write a row for each step and frequency", flags.csv, as_it_is);
  bind("--out", "FILE", "Draw power over frequency, as .svg or .png; without --at six steps", flags.plot, as_it_is);
  command.add_flag("--json", flags.json, "JSON in place of the table")->group(group);
  command.add_flag("--overwrite", flags.overwrite, "Replace the files that are there")->group(group);
  bind("--decoder", "NAME",
       "Of the luminance of pictures by this decoder of the bundle (of the latents, without a bundle)",
       flags.options.pictures.decoder, as_it_is);
  add_model_flags(command, "Decoding", flags.options.pictures.running, flags.readers);
  command.get_option("--threads")->description("CPU threads (as many as the run had)");
}

int run_spectrum(const CLI::App& command, SpectrumFlags& flags) {
  read(flags.readers);
  if (!flags.plot.empty()) check_plot_name(flags.plot);
  for (const auto& file : {flags.csv, flags.plot}) {
    if (!file.empty()) check_writable(file, flags.overwrite);
  }
  flags.options.run = flags.run;
  flags.options.pictures.usual_model = usual_model();
  const RunSpectrum spectrum = spectrum_of_run(flags.options);
  if (!flags.csv.empty()) write_whole(flags.csv, spectrum_csv(spectrum));
  if (!flags.plot.empty()) write_plots(flags.plot, spectrum_plots(spectrum, command.count("--at") > 0));
  std::cout << (flags.json ? spectrum_json(spectrum) : spectrum_table(spectrum, output_columns())) << std::flush;
  return 0;
}

}  // namespace

Command spectrum_command() {
  return with_flags<SpectrumFlags>({.name = "spectrum",
                                    .arguments = "RUN",
                                    .about = "Show when coarse forms came, and when details",
                                    .group = CommandGroup::look,
                                    .exit_codes = {0, 1, 2, 3, 4, 5}},
                                   add_flags, run_spectrum);
}

}  // namespace steplapse
