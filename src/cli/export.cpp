#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <set>

#include "base/file_io.h"
#include "base/safetensors.h"
#include "base/shape_text.h"
#include "base/text.h"
#include "cli/binder.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "record/facts.h"
#include "record/history.h"
#include "record/run_folder.h"
#include "record/run_state.h"
#include "steplapse/run_log.h"
#include "views/run_tensors.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

struct ExportFlags {
  std::string run, file, what = joined(exported_names(), ",");
  std::set<int64_t> at;
  bool overwrite = false;
  Readers readers;
};

void add_flags(CLI::App& command, ExportFlags& flags) {
  command.description("Writes what a run's log has as tensors, for Python. No bundle is needed");
  command.add_option("RUN", flags.run, "The run's folder")->type_name("")->required();
  command.add_option("FILE", flags.file, "Where the tensors go: a .safetensors file")->type_name("")->required();
  command
      .add_option(
          "--what", flags.what,
          "xt (the latents asked about), x0 and eps (what was found in them), cond and uncond (the network's two "
          "answers)")
      ->type_name("NAMES")
      ->capture_default_str();
  Binder(command, "OPTIONS", flags.readers)("--at", "LIST", "These steps alone, as 1,5,30", flags.at, steps_of);
  command.add_flag("--overwrite", flags.overwrite, "Replace the file that is there");
}

void check_file_name(const fs::path& file) {
  if (lower_case(file.extension().string()) == ".safetensors") return;
  throw UsageError(in_quotes(file.string()) + ": expected a file that ends in .safetensors");
}

void check_at(const fs::path& run, const std::set<int64_t>& at, int64_t steps, const RunState& state) {
  if (steps == 0) throw UsageError(run.string() + ": its log has no step yet");
  for (const int64_t step : at) {
    if (step >= 1 && step <= steps) continue;
    throw UsageError("--at " + std::to_string(step) + ": " + run.string() + " has steps 1 to " + std::to_string(steps) +
                     (state.has_end() ? "" : "; its log ends there"));
  }
}

void check_made(const ExportFlags& flags, bool is_asked, const NamedTensors& tensors,
                const std::set<std::string>& names) {
  for (const std::string& name : names) {
    if (!is_asked || tensors.contains(name)) continue;
    throw UsageError("--what " + flags.what + ": the network was not asked for " + name +
                     " in these steps; leave it out");
  }
}

std::set<std::string> names_in(const std::string& what) {
  std::set<std::string> names;
  for (const std::string& name : list_of(what)) names.insert(choice_of("--what", name, exported_names()));
  return names;
}

int run_export(const CLI::App& command, ExportFlags& flags) {
  read(flags.readers);
  const std::set<std::string> names = names_in(flags.what);
  check_file_name(flags.file);
  const fs::path run = existing_run(flags.run);
  check_writable(flags.file, flags.overwrite);
  const RunLog log = RunLog::open(log_in(run));
  const RunState state = state_of(run);
  const History history = history_of(log);
  check_at(run, flags.at, std::ssize(history.steps), state);
  if (!state.has_end() || state.is_being_written)
    warn(run.string() + ": " + state.text() + "; its log has " + counted(std::ssize(history.steps), "step"));

  const NamedTensors tensors = run_tensors(history, names, flags.at);
  check_made(flags, command.count("--what") > 0, tensors, names);
  write_whole(flags.file, to_safetensors(tensors, run_metadata(log.facts(), log.facts_json())));
  std::vector<std::string> texts;
  for (const auto& [name, tensor] : tensors) texts.push_back(name + " " + shape_text(tensor.sizes()));
  std::cout << flags.file << ": " << joined(texts, ", ") << std::endl;
  return 0;
}

}  // namespace

Command export_command() {
  return with_flags<ExportFlags>({.name = "export",
                                  .arguments = "RUN FILE",
                                  .about = "Write what a log has as tensors, for Python",
                                  .group = CommandGroup::look,
                                  .exit_codes = {0, 1, 2, 4, 5}},
                                 add_flags, run_export);
}

}  // namespace steplapse
