#include "plan/presets.h"

#include <algorithm>
#include <stdexcept>

#include "base/text.h"

namespace steplapse {
namespace {

/// What a tool does where nothing is said, for all its samplers or for one of ours.
struct Habit {
  std::string_view tool;
  std::string_view sampler;  ///< ours; "": all that have no row of their own
  std::optional<std::string_view> schedule;
  StartScale start;
  std::optional<RunEnd> end = std::nullopt;
  bool drops_penultimate = false;
  std::optional<double> eta = std::nullopt;
};

// A1111's are those of its modules/sd_samplers_kdiffusion.py and sd_samplers_timesteps.py (1.10), ComfyUI's of
// comfy/samplers.py, stable-diffusion.cpp's of sd_get_default_scheduler, diffusers' the defaults of each class (0.39).
const std::vector<Habit>& habits() {
  using enum StartScale;
  using enum RunEnd;
  static const std::vector<Habit> all{
      {"a1111", "", "normal", sigma},
      {"a1111", "dpmpp_2m", "karras", sigma},
      {"a1111", "dpmpp_sde", "karras", sigma},
      {"a1111", "dpmpp_2m_sde", "exponential", sigma},
      {"a1111", "dpmpp_2m_sde_heun", "exponential", sigma},
      {"a1111", "dpmpp_2s_a", "karras", sigma},
      {"a1111", "dpmpp_3m_sde", "exponential", sigma, {}, true},
      {"a1111", "dpm2", "karras", sigma, {}, true},
      {"a1111", "dpm2_a", "karras", sigma, {}, true},
      {"a1111", "restart", "karras", sigma},
      {"a1111", "lcm", "lcm", sigma},
      {"a1111", "ddim", "ddim_uniform", unit, last_listed},
      {"a1111", "pndm", "ddim_uniform", unit, last_listed},
      {"a1111", "unipc", "sgm_uniform", unit, timestep_0},
      {"a1111", "dpm_fast", "normal", sigma, last_asked, false, 1},
      {"a1111", "dpm_adaptive", "normal", sigma, last_asked, false, 1},
      {"comfyui", "", "simple", unit_at_max},
      {"comfyui", "dpm2", "simple", unit_at_max, {}, true},
      {"comfyui", "dpm2_a", "simple", unit_at_max, {}, true},
      {"comfyui", "dpm_fast", "simple", unit_at_max, last_asked},
      {"comfyui", "dpm_adaptive", "simple", unit_at_max, last_asked},
      {"k-diffusion", "", "normal", sigma},
      {"k-diffusion", "dpm_fast", "normal", sigma, last_asked},
      {"k-diffusion", "dpm_adaptive", "normal", sigma, last_asked},
      {"sd.cpp", "", "normal", sigma},
      {"sd.cpp", "lcm", "lcm", sigma},
      {"diffusers", "", "linspace_solver", unit},
      {"diffusers", "ddim", {}, unit},
      {"diffusers", "ddpm", {}, unit},
      {"diffusers", "pndm", {}, unit},
      {"diffusers", "lcm", "lcm", unit},
      {"diffusers", "tcd", "lcm", unit, timestep_0},
      {"diffusers", "deis", "linspace_solver", unit, timestep_0},
      {"diffusers", "euler", "linspace_sigma", sigma_but_leading},
      {"diffusers", "euler_a", "linspace_sigma", sigma_but_leading},
      {"diffusers", "heun", "linspace_sigma", sigma_but_leading},
      {"diffusers", "dpm2", "linspace_sigma", sigma_but_leading},
      {"diffusers", "dpm2_a", "linspace_sigma", sigma_but_leading},
      {"diffusers", "lms", "linspace_sigma", sigma_but_leading},
      {"diffusers", "dpmpp_sde", "linspace_sigma", sigma_but_leading},
  };
  return all;
}

/// Their "Align Your Steps" chooses the list by the model, as our `ays` does.
constexpr std::string_view kAlignYourSteps[] = {"a1111:Align Your Steps", "sd.cpp:ays"};

struct Shortfall {
  std::vector<std::string_view> names;
  std::string_view what;
};

const std::vector<Shortfall>& shortfalls() {
  static const std::vector<Shortfall> all{
      {{"a1111:DDIM", "a1111:ddim", "a1111:PLMS"}, "ends at timestep 1, the last of its list: of 20 steps it makes 19"},
      {{"a1111:LMS", "a1111:k_lms", "k-diffusion:sample_lms", "diffusers:LMSDiscreteScheduler"},
       "the step to sigma 0 is x0; the tool extrapolates there too"},
      {{"diffusers:PNDMScheduler"},
       "makes no Runge-Kutta steps at the start, as with skip_prk_steps; of v-prediction it averages eps"},
      {{"diffusers:DEISMultistepScheduler"}, "keeps order 2 in the last step; diffusers takes 1 below 15 steps"},
      {{"diffusers:IPNDMScheduler"}, "has the levels of linspace_solver; diffusers' own ignore the model's training"},
      {{"a1111:UniPC"}, "has order 2 and B2(h), as diffusers; A1111 has order 3 and B1(h)"},
      {{"a1111:LCM", "a1111:k_lcm"}, "has diffusers' timesteps; A1111 spreads sigmas and takes the nearest timesteps"},
      {{"a1111:DPM++ SDE", "a1111:k_dpmpp_sde", "a1111:DPM++ 2M SDE", "a1111:k_dpmpp_2m_sde", "a1111:DPM++ 2M SDE Heun",
        "a1111:k_dpmpp_2m_sde_heun", "a1111:DPM++ 3M SDE", "a1111:k_dpmpp_3m_sde", "diffusers:DPMSolverSDEScheduler"},
       "draws its noise from the seed's stream; the tool has a Brownian tree, so its pictures differ"},
  };
  return all;
}

std::string_view tool_of(std::string_view name) { return name.substr(0, name.find(':')); }

void check_tool(std::string_view name) {
  std::string tools;
  for (const Habit& habit : habits()) {
    if (habit.tool == tool_of(name)) return;
    if (habit.sampler.empty()) tools += (tools.empty() ? "" : ", ") + std::string(habit.tool);
  }
  throw std::invalid_argument("unknown tool " + in_quotes(std::string(tool_of(name))) + "; choose from " + tools);
}

[[noreturn]] void refuse(const char* what, std::string_view name, const std::vector<std::string>& known) {
  const std::string prefix = std::string(tool_of(name)) + ":";
  std::vector<std::string> names;
  std::string all;
  for (const std::string& each : known) {
    if (!each.starts_with(prefix)) continue;
    names.push_back(each.substr(prefix.size()));
    all += (all.empty() ? "" : ", ") + each;
  }
  const std::string otherwise = all.empty() ? "; none of that tool's is here" : "; choose from " + all;
  throw std::invalid_argument(std::string("unknown ") + what + " " + in_quotes(name) +
                              did_you_mean(name.substr(prefix.size()), names, otherwise, prefix));
}

template <typename Row>
const Row* find(const std::vector<Row>& table, std::string_view name) {
  for (const Row& row : table) {
    if (std::find(row.aliases.begin(), row.aliases.end(), name) != row.aliases.end()) return &row;
  }
  return nullptr;
}

Preset preset_of(std::string_view tool, const Sampler& sampler) {
  const Habit* of_tool = nullptr;
  const Habit* of_sampler = nullptr;
  for (const Habit& habit : habits()) {
    if (habit.tool != tool) continue;
    if (habit.sampler.empty()) of_tool = &habit;
    if (habit.sampler == sampler.name) of_sampler = &habit;
  }
  const Habit& habit = of_sampler ? *of_sampler : *of_tool;
  Preset preset{.sampler = std::string(sampler.name),
                .start = habit.start,
                .end = habit.end,
                .drops_penultimate = habit.drops_penultimate,
                .eta = habit.eta};
  if (habit.schedule) preset.schedule = *habit.schedule;
  return preset;
}

std::vector<std::string> schedule_names() {
  std::vector<std::string> names(std::begin(kAlignYourSteps), std::end(kAlignYourSteps));
  for (const ScheduleRule& rule : schedules()) names.insert(names.end(), rule.aliases.begin(), rule.aliases.end());
  return names;
}

std::string_view without_tool(std::string_view name) { return name.substr(name.find(':') + 1); }

/// Names of samplers that are spelled as `lower` without their tools and in lower case; a schedule's may follow.
std::vector<std::string> samplers_spelled(const std::string& lower, const std::vector<Sampler>& table) {
  std::vector<std::string> found;
  const auto add_if_spelled = [&](const std::string& name) {
    if (lower_case(without_tool(name)) == lower) found.push_back(name);
  };
  for (const Sampler& sampler : table) {
    for (const std::string_view also : sampler.aliases) {
      if (!lower.starts_with(lower_case(without_tool(also)))) continue;
      const std::string name(also);
      add_if_spelled(name);
      for (const std::string& schedule : schedule_names()) {
        if (tool_of(schedule) != tool_of(also)) continue;
        for (const char* between : {" ", "_"}) add_if_spelled(name + between + std::string(without_tool(schedule)));
      }
    }
  }
  return found;
}

}  // namespace

std::optional<TakenFor<Preset>> sampler_taken_for(std::string_view word, const std::vector<Sampler>& table) {
  const std::string lower = lower_case(word);
  for (const Sampler& sampler : table) {
    if (sampler.name == lower) return TakenFor<Preset>{{.sampler = lower}, lower};
  }
  const std::vector<std::string> names = samplers_spelled(lower, table);
  if (names.empty()) return std::nullopt;
  std::vector<Preset> presets;
  for (const std::string& name : names) presets.push_back(preset_named(name, table));
  const Preset& first = presets.front();
  const auto all = [&](auto same) { return std::all_of(presets.begin(), presets.end(), same); };
  if (all([&](const Preset& other) { return other == first; })) return TakenFor<Preset>{first, names.front()};
  if (!all([&](const Preset& other) { return other.sampler == first.sampler; })) {
    throw std::invalid_argument(in_quotes(word) +
                                " is different samplers in different tools; write one of: " + joined(names, ", "));
  }
  Preset common{.sampler = first.sampler};
  std::string as = first.sampler;
  if (first.schedule && all([&](const Preset& other) { return other.schedule == first.schedule; })) {
    common.schedule = first.schedule;
    as += " on the schedule " + *first.schedule;
  }
  return TakenFor<Preset>{common, as + "; tools differ in the rest: " + joined(names, ", ")};
}

std::optional<TakenFor<std::string>> schedule_taken_for(std::string_view word) {
  const std::string lower = lower_case(word);
  std::vector<std::string> ours, names;
  const auto add = [&](const std::string& schedule, const std::string& name) {
    if (std::find(ours.begin(), ours.end(), schedule) != ours.end()) return;
    ours.push_back(schedule);
    names.push_back(name);
  };
  for (const ScheduleRule& rule : schedules()) {
    if (rule.name == lower) add(lower, lower);
  }
  for (const std::string& name : schedule_names()) {
    if (lower_case(without_tool(name)) == lower) add(schedule_of_other_tool(name), name);
  }
  if (ours.empty()) return std::nullopt;
  if (ours.size() == 1) return TakenFor<std::string>{ours.front(), ours.front()};
  throw std::invalid_argument(in_quotes(word) +
                              " is different schedules in different tools; write one of: " + joined(names, ", "));
}

std::string_view shortfall_of(std::string_view name) {
  for (const Shortfall& shortfall : shortfalls()) {
    if (std::find(shortfall.names.begin(), shortfall.names.end(), name) != shortfall.names.end()) return shortfall.what;
  }
  return "";
}

Preset preset_named(std::string_view name, const std::vector<Sampler>& table) {
  check_tool(name);
  const std::string_view tool = tool_of(name);
  if (const Sampler* sampler = find(table, name)) return preset_of(tool, *sampler);
  for (const std::string& schedule : schedule_names()) {
    const std::string_view word = std::string_view(schedule).substr(schedule.find(':') + 1);
    if (tool_of(schedule) != tool || !name.ends_with(word) || name.size() < word.size() + 2) continue;
    const std::string_view before = name.substr(0, name.size() - word.size());
    if (!before.ends_with(' ') && !before.ends_with('_')) continue;
    if (const Sampler* sampler = find(table, before.substr(0, before.size() - 1))) {
      Preset preset = preset_of(tool, *sampler);
      preset.schedule = schedule_of_other_tool(schedule);
      return preset;
    }
  }
  std::vector<std::string> known;
  for (const Sampler& sampler : table) known.insert(known.end(), sampler.aliases.begin(), sampler.aliases.end());
  refuse("sampler", name, known);
}

std::string schedule_of_other_tool(std::string_view name) {
  check_tool(name);
  if (std::find(std::begin(kAlignYourSteps), std::end(kAlignYourSteps), name) != std::end(kAlignYourSteps))
    return "ays";
  if (const ScheduleRule* rule = find(schedules(), name)) return std::string(rule->name);
  refuse("schedule", name, schedule_names());
}

}  // namespace steplapse
