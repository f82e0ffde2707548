#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/flags.h"
#include "studies/sweep/sweep_state.h"

namespace steplapse {
namespace {

struct SweepStatusFlags {
  std::string folder;
  bool json = false;
};

constexpr const char* kSweepStatusExamples = R"(Examples:
  steplapse sweep status steps          cells made, running, failed and left
  steplapse sweep status steps --json   the same for scripts
)";

void add_flags(CLI::App& command, SweepStatusFlags& flags) {
  command.description("Says how far a sweep is, while it runs, from any machine, or after it has ended");
  command.footer(kSweepStatusExamples);
  command.add_option("DIR", flags.folder, "The sweep's folder")->type_name("")->required();
  command.add_flag("--json", flags.json, "As JSON");
}

int say_status(const CLI::App&, SweepStatusFlags& flags) {
  const SweepState state = state_of_sweep(flags.folder);
  std::cout << (flags.json ? json_of(state).dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n"
                           : state_table(state))
            << std::flush;
  return 0;
}

}  // namespace

Command sweep_status_command() {
  return with_flags<SweepStatusFlags>({.name = "sweep status",
                                       .arguments = "DIR",
                                       .about = "Say how far a sweep is",
                                       .group = CommandGroup::experiments},
                                      add_flags, say_status);
}

}  // namespace steplapse
