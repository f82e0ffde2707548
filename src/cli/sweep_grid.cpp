#include "studies/sweep/sweep_grid.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>

#include "base/file_io.h"
#include "base/text.h"
#include "cli/binder.h"
#include "cli/commands.h"
#include "cli/flags.h"

namespace steplapse {
namespace {

struct SweepGridFlags {
  std::string sweep;
  std::filesystem::path out;
  bool overwrite = false;
  SweepGridOptions options;
  Readers readers;
};

constexpr const char* kSweepGridExamples = R"(Examples:
  steplapse sweep grid DIR                                  steps across, samplers down, a page for each other choice
  steplapse sweep grid DIR --x guidance_scale --y prompt    other axes
  steplapse sweep grid DIR --cell-size 64 --out small.png   small.png, small-2.png ...
)";

void add_flags(CLI::App& command, SweepGridFlags& flags) {
  command.description(
      "Draws the final pictures of a sweep in a grid of two of its axes. Choices of the others are pages");
  command.footer(kSweepGridExamples);
  command.add_option("DIR", flags.sweep, "The sweep's folder")->type_name("")->required();
  Binder bind(command, "Grid", flags.readers);
  bind("--x", "AXIS", "The axis across (steps, else the last)", flags.options.x, as_it_is);
  bind("--y", "AXIS", "The axis downwards (sampler, else the last that is left)", flags.options.y, as_it_is);
  bind("--cell-size", "N", "The most pixels of a picture's longer side, by whole factors (128 to 256)",
       flags.options.cell_size, integer(8, 4096));
  bind("--out", "FILE", "Where the first page goes: a .png (DIR/grid.png, which is replaced)", flags.out, as_it_is);
  command.add_flag("--overwrite", flags.overwrite, "Replace the files of --out that are there")->group("Grid");
}

int run_sweep_grid(const CLI::App&, SweepGridFlags& flags) {
  read(flags.readers);
  const std::filesystem::path first = flags.out.empty() ? std::filesystem::path(flags.sweep) / "grid.png" : flags.out;
  if (lower_case(first.extension().string()) != ".png")
    throw UsageError("--out " + in_quotes(first.string()) + ": expected a file that ends in .png");
  const Sweep sweep = sweep_in(flags.sweep);
  const SweepGrid grid(sweep, flags.options);
  for (size_t page = 0; page < grid.pages(); ++page)
    check_writable(SweepGrid::file_of(first, page), flags.overwrite || flags.out.empty());
  for (size_t page = 0; page < grid.pages(); ++page) {
    const auto file = SweepGrid::file_of(first, page);
    write_whole(file, grid.png(page));
    std::cout << file.string() << std::endl;
  }
  return 0;
}

}  // namespace

Command sweep_grid_command() {
  return with_flags<SweepGridFlags>({.name = "sweep grid",
                                     .arguments = "DIR",
                                     .about = "Draw a sweep's pictures by two of its axes",
                                     .group = CommandGroup::experiments,
                                     .exit_codes = {0, 2, 4}},
                                    add_flags, run_sweep_grid);
}

}  // namespace steplapse
