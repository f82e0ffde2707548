#include "runs/resume.h"

#include "cli/commands.h"
#include "cli/flags.h"

namespace steplapse {
namespace {

struct ResumeFlags {
  ResumeOptions options;
  std::string run;
  Readers readers;
};

constexpr const char* kResumeExamples = R"(Examples:
  steplapse resume apple            go on with the run in the folder apple
  steplapse resume sweep            with all unfinished runs in the folder sweep
  steplapse resume apple --dry-run  say from which step, and change nothing
)";

void add_flags(CLI::App& command, ResumeFlags& flags) {
  command.description("Goes on with a run where its log ends: killed, interrupted, failed, or out of disk");
  command.footer(kResumeExamples);
  command.add_option("RUN", flags.run, "A run's folder, or one that has several in it")->type_name("")->required();
  command.add_flag("--dry-run", flags.options.dry_run, "Say what would be done, and do nothing");
  add_running_flags(command, "Running (defaults are the run's own)", flags.options.running, flags.readers,
                    UsualModel::left_open);
}

int run_resume(const CLI::App& command, ResumeFlags& flags) {
  ResumeOptions& options = flags.options;
  json_errors(command, [&] {
    read(flags.readers);
    options.path = flags.run;
    if (command.count("--device") == 0) options.running.device = "";
    if (command.count("--model") > 0) return 0;
    try {
      options.usual_model = default_model();
    } catch (const UsageError&) {  // there is none: the log knows its own
    }
    return 0;
  });
  return resume(options);
}

}  // namespace

Command resume_command() {
  return with_flags<ResumeFlags>({.name = "resume",
                                  .arguments = "RUN",
                                  .about = "Go on with a run where it ended; or all in a folder",
                                  .group = CommandGroup::go_on,
                                  .exit_codes = kDrawingExitCodes},
                                 add_flags, run_resume);
}

}  // namespace steplapse
