#include <CLI/CLI.hpp>
#include <cmath>
#include <iomanip>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/file_io.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/listing.h"
#include "plan/plan.h"
#include "sampling/schedule_json.h"
#include "views/plot.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

void print_schedule(const Schedule& schedule) {
  std::cout << " step  timestep      alpha      sigma   sigma/alpha     log_snr\n" << std::fixed;
  for (size_t i = 0; i < schedule.levels.size(); ++i) {
    const NoiseLevel& level = schedule.levels[i];
    std::cout << std::setw(5) << i << std::setw(10);
    if (level.timestep) {
      std::cout << std::setprecision(*level.timestep == std::floor(*level.timestep) ? 0 : 3) << *level.timestep;
    } else {
      std::cout << "-";
    }
    std::cout << std::setprecision(6) << std::setw(11) << level.alpha << std::setw(11) << level.sigma << std::setw(14)
              << noise_ratio(level) << std::setw(12) << -2 * std::log(noise_ratio(level)) << '\n';
  }
}

nlohmann::json schedules_json() {
  nlohmann::json all = nlohmann::json::array();
  for (const ScheduleRule& rule : schedules()) {
    all.push_back({{"name", rule.name},
                   {"about", rule.about},
                   {"source", rule.source},
                   {"sigma_min", rule.honours.sigma_min},
                   {"sigma_max", rule.honours.sigma_max},
                   {"rho", rule.honours.rho ? nlohmann::json(*rule.honours.rho) : nlohmann::json()},
                   {"ends_at_final_alpha", rule.ends_at_final_alpha},
                   {"aliases", rule.aliases}});
  }
  return all;
}

int list_schedules(bool json) {
  if (json) {
    std::cout << schedules_json().dump(2) << '\n';
    return 0;
  }
  constexpr size_t kColumn = 18;
  const auto more = [](const std::string& text) {
    std::cout << std::string(kColumn, ' ') << folded(text, kColumn, kColumn);
  };
  for (const ScheduleRule& rule : schedules()) {
    std::cout << std::left << std::setw(kColumn) << rule.name << folded(rule.about, kColumn, kColumn);
    more(std::string(rule.source));
    if (rule.aliases.empty()) continue;
    const std::vector<std::string> names(rule.aliases.begin(), rule.aliases.end());
    std::cout << std::string(kColumn, ' ') << folded_names("also ", names, kColumn, kColumn);
  }
  std::cout << std::setw(kColumn) << "ays"
            << folded("ays_sdxl for a model of two text encoders, else ays_sd1", kColumn, kColumn);
  std::cout << std::setw(kColumn) << "bundle"
            << folded("the bundle's own spacing, whatever the sampler's usual levels are", kColumn, kColumn);
  return 0;
}

/// Sigma / alpha and what the network is told, over steps.
std::vector<Plot> plots_of(const Plan& plan) {
  Plot::Series sigmas{"sigma / alpha", {}, {}}, timesteps{"timestep", {}, {}};
  for (size_t i = 0; i < plan.recipe.schedule.levels.size(); ++i) {
    const NoiseLevel& level = plan.recipe.schedule.levels[i];
    sigmas.x.push_back(static_cast<double>(i));
    sigmas.y.push_back(noise_ratio(level));
    if (!level.timestep) continue;
    timesteps.x.push_back(static_cast<double>(i));
    timesteps.y.push_back(*level.timestep);
  }
  const std::string title = plan.schedule + ", " + counted(plan.steps(), "step");
  return {{.title = title, .x = {"step"}, .y = {"sigma / alpha", true}, .series = {sigmas}},
          {.title = title, .x = {"step"}, .y = {"timestep"}, .series = {timesteps}}};
}

struct ShowScheduleFlags {
  Settings settings;
  Readers readers;
  std::string model, plot;
  bool json = false, list = false, overwrite = false;
};

void add_flags(CLI::App& command, ShowScheduleFlags& flags) {
  command.description("The noise levels of a run: x = alpha * x0 + sigma * eps. Step k goes from row k-1 to row k");
  add_level_flags(command, "Levels (defaults are the bundle's)", flags.settings, flags.readers);
  command.add_option("--model", flags.model, "The bundle's folder")->type_name("DIR");
  command.add_flag("--json", flags.json, "As JSON");
  command.add_option("--plot", flags.plot, "Draw them: sigma / alpha and timesteps over steps, as .svg or .png")
      ->type_name("FILE");
  command.add_flag("--overwrite", flags.overwrite, "Replace the drawing that is there");
  command.add_flag("--list", flags.list, "The schedules there are");
}

int show_schedule(const CLI::App&, ShowScheduleFlags& flags) {
  if (flags.list) return list_schedules(flags.json);
  if (!flags.plot.empty()) check_writable(flags.plot, flags.overwrite);

  const Manifest manifest = read_manifest(flags.model.empty() ? default_model() : fs::path(flags.model));
  read(flags.readers);
  const Plan plan = make_plan(manifest, flags.settings);
  for (const auto& warning : plan.warnings) warn(warning);
  if (!flags.plot.empty()) write_plots(flags.plot, plots_of(plan));
  if (flags.json) {
    std::cout << schedule_to_json(plan.recipe.schedule).dump(2) << '\n';
  } else {
    print_schedule(plan.recipe.schedule);
  }
  return 0;
}

}  // namespace

Command schedule_command() {
  return with_flags<ShowScheduleFlags>({.name = "schedule",
                                        .about = "Show the noise levels of a run; --list: the schedules",
                                        .group = CommandGroup::know,
                                        .exit_codes = {0, 2, 3, 4}},
                                       add_flags, show_schedule);
}

}  // namespace steplapse
