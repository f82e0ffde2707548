#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/json_null.h"
#include "base/terminal.h"
#include "base/text.h"
#include "cli/binder.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "record/run_folder.h"
#include "runs/explain_run.h"
#include "runs/explanation_text.h"

namespace steplapse {
namespace {

using nlohmann::ordered_json;

struct ExplainFlags {
  std::string run;
  bool json = false;
  ExplainOptions options;
  Readers readers;
};

void add_flags(CLI::App& command, ExplainFlags& flags) {
  command.description("What a run's log says of how its picture came about");
  command.add_option("RUN", flags.run, "The run's folder")->type_name("")->required();
  command.add_flag("--json", flags.json, "As JSON");
  command.add_flag("--ask", flags.options.ask,
                   "Ask the network how the run ends where its second answer is left out; else that is an estimate");
  const char* group = "Model";
  Binder(command, group, flags.readers)("--decoder", "NAME",
                                        "Measure settling on pictures by this decoder of the bundle (on the latents)",
                                        flags.options.decoder, as_it_is);
  add_model_flags(command, group, flags.options.running, flags.readers);
  command.get_option("--threads")->description("CPU threads (as many as the run had)");
}

// ---- as JSON

ordered_json json_of(const StepNumbers& step) {
  ordered_json json{{"step", step.step},
                    {"timestep", or_null(step.level.timestep)},
                    {"alpha", step.level.alpha},
                    {"sigma", step.level.sigma},
                    {"x0_rms_to_final", step.x0_to_final},
                    {"x0_rms_change", or_null(step.x0_change)},
                    {"x0_second_difference", or_null(step.second_difference)},
                    {"cosine", or_null(step.cosine)},
                    {"angle", nullptr},
                    {"guidance_x0_rms", or_null(step.guidance)},
                    {"left_out_final_rms", or_null(step.left_out)}};
  if (step.cosine) json["angle"] = degrees_of(*step.cosine);
  return json;
}

/// By rule: what it says, and what the network said where it was asked.
ordered_json leaving_out_json(const ExplainedRun& run) {
  ordered_json rules = ordered_json::object();
  for (size_t i = 0; i < run.numbers.leaving_out.size(); ++i) {
    const LeavingOut& rule = run.numbers.leaving_out[i];
    ordered_json asked;
    if (i < run.asked.size()) {
      asked = {{"final_rms", run.asked[i].distance},
               {"mean_abs", run.asked[i].picture.mean_abs},
               {"psnr", finite_or_null(run.asked[i].picture.psnr)}};
    }
    rules[rule.rule] = {
        {"from", rule.from}, {"spared", rule.spared}, {"estimated_final_rms", rule.estimate}, {"asked", asked}};
  }
  return rules;
}

ordered_json json_of(const ExplainedRun& run) {
  ordered_json settled = ordered_json::object(), steps = ordered_json::array();
  for (const Settling& part : run.settlings.parts) settled[part.part] = or_null(part.step);
  for (const StepNumbers& step : run.numbers.steps) steps.push_back(json_of(step));
  const Region& last = run.settlings.last;
  return {{"prompt", run.facts.prompt},
          {"seed", run.facts.recipe.seed},
          {"sampler", run.facts.recipe.sampler},
          {"guidance_scale", run.facts.recipe.guidance.scale},
          {"state", run.state.text()},
          {"measured_on", run.measured_on},
          {"thresholds", {{"settled", kSettled}, {"alike", kAlike}, {"little", kLittle}, {"straight", kStraight}}},
          {"final_rms", run.numbers.end_rms},
          {"settled", settled},
          {"last_region",
           {{"name", last.name},
            {"x", last.x},
            {"y", last.y},
            {"width", last.width},
            {"height", last.height},
            {"step", or_null(last.step)}}},
          {"guided_steps", run.numbers.guided},
          {"leaving_out", leaving_out_json(run)},
          {"straight", run.numbers.straight},
          {"steps", steps}};
}

// ---- for people

void say(const std::string& text) { std::cout << wrapped(text, std::min<size_t>(output_columns(), 80)) << '\n'; }

void print_settlings(const ExplainedRun& run) {
  say(settled_heading(run));
  for (const Settling& part : run.settlings.parts) {
    std::cout << "  " << std::left << std::setw(13) << part.part << std::setw(37) << meaning_of_part(part.part)
              << settled_text(part.step) << '\n';
  }
  say(last_region_text(run));
}

std::string cell(const std::optional<double>& number, int digits) { return number ? fixed(*number, digits) : "-"; }

void print_row(const std::array<std::string, 8>& cells) {
  constexpr std::array kWidths{4, 12, 8, 10, 10, 11, 13, 11};
  std::cout << std::right;
  for (size_t i = 0; i < cells.size(); ++i) std::cout << std::setw(kWidths[i]) << cells[i];
  std::cout << '\n';
}

void print_steps(const ExplainedRun& run) {
  print_row({"step", "sigma/alpha", "angle", "guidance", "left out", "x0 change", "second diff.", "to the end"});
  for (const StepNumbers& step : run.numbers.steps) {
    const auto angle = step.cosine ? std::optional(degrees_of(*step.cosine)) : std::nullopt;
    print_row({std::to_string(step.step), fixed(noise_ratio(step.level), 4), cell(angle, 2), cell(step.guidance, 4),
               cell(step.left_out, 4), cell(step.x0_change, 4), cell(step.second_difference, 4),
               fixed(step.x0_to_final, 4)});
  }
  say("angle: in degrees, between the network's answers to the prompt and to the negative prompt, as eps. guidance: "
      "how "
      "far the second answer moved x0. left out: an estimate of how far the end would have moved without second "
      "answers "
      "from this step on. x0 change and second diff.: x0 minus the last one, and this change minus the last change. "
      "All "
      "but the angle are rms in latent units; the end has rms " +
      fixed(run.numbers.end_rms, 4) + ".");
}

void print_text(const ExplainedRun& run) {
  say(in_quotes(run.facts.prompt) + ", seed " + std::to_string(run.facts.recipe.seed) + ": " +
      counted(std::ssize(run.numbers.steps), "step") + " of " + run.facts.recipe.sampler + ", guidance scale " +
      plain(run.facts.recipe.guidance.scale) + " (" + run.state.text() + ")");
  std::cout << '\n';
  print_settlings(run);
  std::cout << '\n';
  print_steps(run);
  std::cout << '\n';
  for (const std::string& text : leaving_out_texts(run, "--ask asks the network.")) say(text);
  say(straight_text(run));
}

int run_explain(const CLI::App&, ExplainFlags& flags) {
  read(flags.readers);
  flags.options.run = existing_run(flags.run);
  flags.options.usual_model = usual_model();
  const ExplainedRun run = explain_run(flags.options, warn);
  if (flags.json) {
    std::cout << json_of(run).dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
  } else {
    print_text(run);
  }
  return 0;
}

}  // namespace

Command explain_command() {
  return with_flags<ExplainFlags>({.name = "explain",
                                   .arguments = "RUN",
                                   .about = "Show when a picture settled, and what guidance did",
                                   .group = CommandGroup::look,
                                   .exit_codes = {0, 1, 2, 3, 4, 5}},
                                  add_flags, run_explain);
}

}  // namespace steplapse
