#include <CLI/CLI.hpp>
#include <iostream>
#include <sstream>

#include "cli/commands.h"
#include "cli/flags.h"
#include "steplapse/version.h"

namespace steplapse {
namespace {

/// Text for groff: no line of it begins a request, and hyphens of flags stay hyphens.
std::string roff(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '\\') {
      escaped += "\\(rs";
    } else if (c == '-') {
      escaped += "\\-";
    } else if ((c == '.' || c == '\'') && (escaped.empty() || escaped.back() == '\n')) {
      escaped += std::string("\\&") + c;
    } else {
      escaped += c;
    }
  }
  return escaped;
}

void print_flag(std::ostream& page, const CLI::Option& option) {
  if (option.get_lnames().empty()) return;
  const bool takes_value = option.get_items_expected_min() > 0;
  page << ".TP\n\\fB" << roff("--" + option.get_lnames().front()) << "\\fR";
  if (takes_value) page << " \\fI" << roff(option.get_type_name()) << "\\fR";
  page << "\n" << roff(option.get_description());
  if (!option.get_default_str().empty()) page << " (" << roff(option.get_default_str()) << ")";
  page << "\n";
}

void print_command(std::ostream& page, const Command& command) {
  page << ".SS \"steplapse " << roff(command.name) << (command.arguments.empty() ? "" : " ") << roff(command.arguments)
       << "\"\n"
       << roff(command.about) << ".\n";
  command.show_flags([&](const CLI::App& app) {
    for (const CLI::Option* option : app.get_options()) print_flag(page, *option);
  });
  page << ".PP\nExit status: " << roff(exit_codes_text(command.exit_codes)) << ".\n";
}

std::string man_page() {
  std::ostringstream page;
  page << ".TH STEPLAPSE 1 \"\" \"steplapse " << STEPLAPSE_VERSION << "\" \"User Commands\"\n"
       << R"(.SH NAME
steplapse \- draw a picture with a diffusion model and keep every step of it
.SH SYNOPSIS
.B steplapse
.I PROMPT
.RI [ FLAG ...]
.br
.B steplapse
.I COMMAND
.RI [ ARGUMENT ...]
.SH DESCRIPTION
steplapse runs TorchScript exports of a text encoder, a denoiser and decoders. It draws a picture from a prompt and writes
a run folder: a PNG of each step, the numbers of every step, and a log from which the run can be made again.
.SH COMMANDS
)";
  for (const Command& command : commands()) print_command(page, command);
  page << R"(.SH EXIT STATUS
)" << exit_codes_text(kAllExitCodes)
       << R"(.
.SH ENVIRONMENT
.TP
.B STEPLAPSE_MODEL
The bundle's folder, where \-\-model is not given.
.TP
.BR OMP_NUM_THREADS ", " GOMP_SPINCOUNT ", " OMP_WAIT_POLICY
How many CPU threads compute, and how they wait for each other.
.SH FILES
.TP
.I runs/
Where run folders are made, in the current folder, where \-\-out is not given.
.SH EXAMPLES
.nf
steplapse "red apple" \-\-steps 10 \-\-seed 7
steplapse "red apple" \-\-frames x0,xt \-\-every 5
steplapse race "red apple" \-\-samplers euler,heun,dpmpp_2m \-\-calls 10,20
.fi
)";
  return page.str();
}

struct ManFlags {};

void add_flags(CLI::App& command, ManFlags&) {
  command.description("Prints the manual page: steplapse man | man -l -");
}

int print_page(const CLI::App&, ManFlags&) {
  std::cout << man_page();
  return 0;
}

}  // namespace

Command man_command() {
  return with_flags<ManFlags>(
      {.name = "man", .about = "Print the manual page, for man -l -", .group = CommandGroup::know}, add_flags,
      print_page);
}

}  // namespace steplapse
