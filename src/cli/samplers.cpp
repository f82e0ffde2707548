#include <CLI/CLI.hpp>
#include <iomanip>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/listing.h"
#include "plan/presets.h"

namespace steplapse {
namespace {

/// Of other tools' names those that promise more than they give, with what that is.
nlohmann::json shortfalls_json(const Sampler& sampler) {
  nlohmann::json all = nlohmann::json::object();
  for (const std::string_view name : sampler.aliases) {
    if (!shortfall_of(name).empty()) all[std::string(name)] = shortfall_of(name);
  }
  return all;
}

nlohmann::json samplers_json() {
  nlohmann::json all = nlohmann::json::array();
  for (const Sampler& sampler : samplers()) {
    all.push_back(
        {{"name", sampler.name},
         {"label", sampler.label},
         {"order", sampler.order},
         {"calls_a_step", sampler.calls_per_step},
         {"eta", sampler.eta ? nlohmann::json(*sampler.eta) : nlohmann::json()},
         {"churns", sampler.churns},
         {"draws_noise", sampler.draws_noise()},
         {"picks_levels", sampler.picks_levels},
         {"adaptive", sampler.adaptive},
         {"usual_schedule", sampler.usual_schedule ? nlohmann::json(*sampler.usual_schedule) : nlohmann::json()},
         {"ends_at_final_alpha", sampler.ends_at_final_alpha},
         {"aliases", sampler.aliases},
         {"shortfalls", shortfalls_json(sampler)}});
  }
  return all;
}

/// "Euler a; fresh noise, eta 1".
std::string about(const Sampler& sampler) {
  std::string text(sampler.label);
  if (sampler.fresh_noise) text += "; fresh noise";
  if (sampler.eta.value_or(0) > 0) text += "; fresh noise, eta " + plain(*sampler.eta);
  if (sampler.eta == 0.0) text += "; noise with --eta";
  if (sampler.churns) text += "; noise with --s-churn";
  if (sampler.picks_levels) text += sampler.adaptive ? "; chooses its steps" : "; levels of its own";
  if (sampler.usual_schedule) text += "; usually " + std::string(*sampler.usual_schedule);
  return text;
}

/// The names, a star at those that promise more than they give, and a line for what that is.
void print_other_names(const Sampler& sampler) {
  std::vector<std::string> names;
  std::vector<std::pair<std::string_view, std::vector<std::string>>> shortfalls;
  for (const std::string_view name : sampler.aliases) {
    const std::string_view shortfall = shortfall_of(name);
    names.push_back(std::string(name) + (shortfall.empty() ? "" : "*"));
    if (shortfall.empty()) continue;
    if (shortfalls.empty() || shortfalls.back().first != shortfall)
      shortfalls.emplace_back(shortfall, std::vector<std::string>());
    shortfalls.back().second.emplace_back(name);
  }
  constexpr size_t kColumn = 4;
  if (!names.empty()) std::cout << "    " << folded_names("also ", names, kColumn, kColumn);
  for (const auto& [shortfall, of] : shortfalls) {
    const std::string which = shortfalls.size() > 1 ? joined(of, ", ") + ": " : "";
    std::cout << "    " << folded("* " + which + std::string(shortfall), kColumn + 2, kColumn);
  }
}

struct SamplersFlags {
  bool json = false;
};

void add_flags(CLI::App& command, SamplersFlags& flags) {
  command.description("Lists the samplers: how to get from one noise level to the next");
  command.add_flag("--json", flags.json, "As JSON");
}

int list_samplers(const CLI::App&, SamplersFlags& flags) {
  if (flags.json) {
    std::cout << samplers_json().dump(2) << '\n';
    return 0;
  }
  constexpr size_t kName = 18, kOrder = 5, kCalls = 7, kAbout = kName + kOrder + kCalls + 2;
  const auto row = [](std::string_view name, const std::string& order, const std::string& calls,
                      const std::string& text) {
    std::cout << std::left << std::setw(kName) << name << std::right << std::setw(kOrder) << order << std::setw(kCalls)
              << calls << "  " << folded(text, kAbout, kAbout);
  };
  row("name", "order", "calls", "(of the denoiser, a step)");
  for (const Sampler& sampler : samplers()) {
    row(sampler.name, std::to_string(sampler.order), plain(sampler.calls_per_step), about(sampler));
    print_other_names(sampler);
  }
  return 0;
}

}  // namespace

Command samplers_command() {
  return with_flags<SamplersFlags>(
      {.name = "samplers", .about = "List the samplers, and what other tools call them", .group = CommandGroup::know},
      add_flags, list_samplers);
}

}  // namespace steplapse
