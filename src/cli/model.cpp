#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/confinement.h"
#include "base/terminal.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/listing.h"
#include "model/bundle_folder.h"
#include "steplapse/bundle.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

fs::path folder_or_default(const std::string& folder) { return folder.empty() ? default_model() : fs::path(folder); }

// ---- inspect

struct InspectFlags {
  std::string folder;
};

void add_flags(CLI::App& command, InspectFlags& flags) {
  command.description("What is in a bundle");
  command.add_option("DIR", flags.folder, "The bundle's folder (the model that comes with us)")->type_name("");
}

int inspect(const CLI::App&, InspectFlags& flags) {
  constexpr size_t kColumn = 18;  // of what a line is about
  std::istringstream lines(describe(read_manifest(folder_or_default(flags.folder))));
  for (std::string line; std::getline(lines, line);) {
    const bool fits = display_width(line) <= output_columns();
    std::cout << (fits ? line + '\n' : line.substr(0, kColumn) + folded(line.substr(kColumn), kColumn, kColumn));
  }
  return 0;
}

// ---- verify

struct VerifyFlags {
  std::string folder;
  bool json = false;
};

void add_flags(CLI::App& command, VerifyFlags& flags) {
  command.description("Checks a bundle and runs each of its modules");
  command.add_option("DIR", flags.folder, "The bundle's folder (the model that comes with us)")->type_name("");
  command.add_flag("--json", flags.json, "As JSON: what passed, what is refused, warnings, the sandbox");
  add_no_sandbox(command, "OPTIONS");
}

int verify(const CLI::App&, VerifyFlags& flags) {
  const fs::path folder = folder_or_default(flags.folder);
  confine(folder);
  std::vector<std::string> passed, warnings;
  const auto refused = verify_bundle(folder, [&](const std::string& check) {
    passed.push_back(check);
    if (!flags.json) std::cout << "ok   " << check << std::endl;
  });
  if (!passed.empty())
    warnings = warnings_about(read_manifest(folder));  // that model.json can be read is the first check
  if (flags.json) {
    const nlohmann::json verdict = {{"bundle", folder.string()},
                                    {"passed", passed},
                                    {"refused", refused},
                                    {"warnings", warnings},
                                    {"sandbox", confinement_text()}};
    std::cout << verdict.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
  } else {
    std::cout << "     sandbox: " << confinement_text() << '\n';
    for (const auto& line : warnings) std::cout << "WARN " << line << '\n';
    for (const auto& line : refused) std::cout << "BAD  " << line << '\n';
  }
  if (refused.empty()) return 0;
  throw BundleError(folder.string() + ": " + std::to_string(refused.size()) + " of its checks failed, see above");
}

// ---- prompts

struct PromptsFlags {
  std::string word, folder;
};

void add_flags(CLI::App& command, PromptsFlags& flags) {
  command.description("What a bundle was taught: names that have WORD in them or among their keywords");
  command.add_option("WORD", flags.word, "A word to look for")->type_name("");
  command.add_option("--model", flags.folder, "The bundle's folder")->type_name("DIR");
}

int list_prompts(const CLI::App&, PromptsFlags& flags) {
  const fs::path folder = folder_or_default(flags.folder);
  const BundleFolder on_disk(folder);
  const Manifest& manifest = on_disk.manifest();
  if (!manifest.prompts) throw UsageError(manifest.name + " does not say what it was taught");
  const auto found = search_prompts(on_disk.taught_prompts(), flags.word);
  for (const TaughtPrompt& taught : found) std::cout << escaped(taught.name) << '\n';
  if (found.empty()) throw UsageError("nothing taught has " + in_quotes(flags.word) + " in its name or keywords");
  return 0;
}

}  // namespace

Command model_inspect_command() {
  return with_flags<InspectFlags>({.name = "model inspect",
                                   .arguments = "[DIR]",
                                   .about = "Show what is in a bundle, which is a model on disk",
                                   .group = CommandGroup::know,
                                   .exit_codes = {0, 2, 3}},
                                  add_flags, inspect);
}

Command model_verify_command() {
  return with_flags<VerifyFlags>({.name = "model verify",
                                  .arguments = "[DIR]",
                                  .about = "Check a bundle and run each of its modules",
                                  .group = CommandGroup::know,
                                  .exit_codes = {0, 2, 3, 5}},
                                 add_flags, verify);
}

Command model_prompts_command() {
  return with_flags<PromptsFlags>({.name = "model prompts",
                                   .arguments = "[WORD]",
                                   .about = "List what a model was taught",
                                   .group = CommandGroup::know,
                                   .exit_codes = {0, 2, 3}},
                                  add_flags, list_prompts);
}

}  // namespace steplapse
