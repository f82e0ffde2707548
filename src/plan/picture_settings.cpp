#include "plan/picture_settings.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "plan/plan.h"
#include "sampling/schedule_json.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

template <typename Value>
std::optional<Value> maybe(const nlohmann::json& settings, const char* key) {
  const auto found = settings.find(key);
  return found == settings.end() || found->is_null() ? std::nullopt : std::optional(found->get<Value>());
}

/// The options of a sampler that are not what it does anyway. (A sampler refuses what it does not honour.)
void take_sampler_options(const nlohmann::json& said, Settings& settings) {
  const Sampler& sampler = sampler_named(*settings.sampler);
  if (sampler.eta) settings.eta = maybe<double>(said, "eta");
  if (maybe<double>(said, "s_churn").value_or(0) > 0) {
    settings.s_churn = maybe<double>(said, "s_churn");
    settings.s_tmin = maybe<double>(said, "s_tmin");
    settings.s_tmax = maybe<double>(said, "s_tmax");
  }
  if (maybe<double>(said, "s_noise").value_or(1) != 1) settings.s_noise = maybe<double>(said, "s_noise");
}

void take_guidance(const nlohmann::json& said, Settings& settings) {
  settings.guidance_scale = maybe<double>(said, "guidance_scale");
  const auto first = maybe<int64_t>(said, "guidance_first_step"), last = maybe<int64_t>(said, "guidance_last_step");
  if (first.value_or(1) > 1 || last)
    settings.guidance_interval = {static_cast<double>(first.value_or(1)), last ? static_cast<double>(*last) : INFINITY};
  const auto low = maybe<double>(said, "guidance_sigma_low"), high = maybe<double>(said, "guidance_sigma_high");
  if (low.value_or(0) > 0 || high) settings.guidance_sigmas = {low.value_or(0), high.value_or(INFINITY)};
  if (maybe<double>(said, "guidance_rescale").value_or(0) > 0)
    settings.guidance_rescale = maybe<double>(said, "guidance_rescale");
}

bool names_its_levels(const std::string& schedule) {
  return schedule != "timesteps" && schedule != "sigmas" && schedule != "levels";
}

bool is_same(double a, double b) { return std::abs(a - b) <= 1e-9 * std::max(std::abs(a), std::abs(b)); }

bool are_same(const Schedule& a, const Schedule& b) {
  return is_same(a.init_scale, b.init_scale) &&
         std::equal(a.levels.begin(), a.levels.end(), b.levels.begin(), b.levels.end(),
                    [](const NoiseLevel& left, const NoiseLevel& right) {
                      return left.timestep.has_value() == right.timestep.has_value() &&
                             is_same(left.timestep.value_or(0), right.timestep.value_or(0)) &&
                             is_same(left.alpha, right.alpha) && is_same(left.sigma, right.sigma);
                    });
}

void forget_names_of_levels(Settings& settings) {
  settings.steps.reset();
  settings.schedule.reset();
  settings.sigma_min.reset();
  settings.sigma_max.reset();
  settings.rho.reset();
  settings.shift.reset();
}

}  // namespace

PictureSettings settings_of_ours(const std::string& text) {
  const nlohmann::json about = nlohmann::json::parse(text), &said = about.at("settings");
  PictureSettings picture{.tool = "steplapse"};
  Settings& settings = picture.settings;
  settings.prompt = said.at("prompt").get<std::string>();
  settings.negative_prompt = maybe<std::string>(said, "negative_prompt");
  settings.prompt_syntax = prompt_syntax_named(said.at("prompt_syntax").get<std::string>());
  settings.seed = said.at("seed").get<uint64_t>();
  settings.rng = rng_named(said.at("rng").get<std::string>());
  settings.sampler = said.at("sampler").get<std::string>();
  settings.steps = said.at("steps").get<int64_t>();
  if (about.contains("levels")) picture.levels = schedule_from_json(about.at("levels"));
  const std::string schedule = said.at("schedule");
  if (names_its_levels(schedule)) {
    settings.schedule = schedule;
    settings.sigma_min = maybe<double>(said, "sigma_min");
    settings.sigma_max = maybe<double>(said, "sigma_max");
    settings.rho = maybe<double>(said, "rho");
    settings.shift = maybe<double>(said, "shift");
  } else if (picture.levels) {
    settings.levels = picture.levels;
    settings.steps.reset();
  } else {
    picture.without.push_back("`" + schedule + "`, which older pictures do not hold");
  }
  take_sampler_options(said, settings);
  take_guidance(said, settings);
  settings.size = Manifest::Size{said.at("width").get<int64_t>(), said.at("height").get<int64_t>()};
  if (said.contains("branched_after"))
    picture.without.push_back("the steps before the branch, which had other settings");
  if (said.value("latents_given", false)) picture.without.push_back("`latents`, whose file is not in the picture");
  return picture;
}

PictureSettings settings_in_picture(const std::map<std::string, std::string>& texts, const std::string& place) {
  constexpr std::pair<const char*, PictureSettings (*)(const std::string&)> kForms[] = {
      {"steplapse", settings_of_ours},
      {"invokeai_metadata", settings_of_invokeai},
      {"prompt", settings_of_comfyui},
      {"parameters", settings_of_a1111}};
  for (const auto& [keyword, read] : kForms) {
    const auto text = texts.find(keyword);
    if (text == texts.end()) continue;
    try {
      return read(text->second);
    } catch (const nlohmann::json::exception& error) {
      throw UsageError(place + ": its text '" + keyword +
                       "' is not in the form that its tool writes: " + escaped(error.what(), 120));
    } catch (const std::exception& error) {
      throw UsageError(place + ": its text '" + keyword + "': " + error.what());
    }
  }
  throw UsageError(place +
                   ": says nothing of how it was made; expected a PNG of steplapse, A1111, ComfyUI or InvokeAI, as "
                   "they write it (web sites and editors drop its texts)");
}

Settings with_own_levels(const Manifest& manifest, const PictureSettings& picture) {
  Settings settings = picture.settings;
  if (!picture.levels || settings.levels) return settings;
  try {
    if (are_same(make_plan(manifest, settings).recipe.schedule, *picture.levels)) return settings;
  } catch (const UsageError&) {  // names that this model can't meet
  }
  forget_names_of_levels(settings);
  settings.levels = picture.levels;
  return settings;
}

std::string settings_taken(const Settings& settings) {
  std::vector<std::string> taken;
  const auto add = [&](const std::string& name, const auto& value, const auto& text) {
    if (value) taken.push_back("`" + name + "` " + text(*value));
  };
  const auto number = [](double value) { return plain(value); };
  const auto count = [](const auto& value) { return std::to_string(value); };
  const auto word = [](const std::string& value) { return shell_quoted(value); };
  taken.emplace_back("`prompt`");
  if (settings.negative_prompt) taken.emplace_back("`negative_prompt`");
  if (settings.prompt_syntax == PromptSyntax::plain) taken.emplace_back("`prompt_syntax` plain");
  add("seed", settings.seed, count);
  if (settings.rng != Rng::cpu) taken.push_back("`rng` " + std::string(name_of(settings.rng)));
  add("steps", settings.steps, count);
  add("sampler", settings.sampler, word);
  add("schedule", settings.schedule, word);
  if (settings.levels) taken.emplace_back("`levels`");
  for (const auto& [name, value] : {std::pair("sigma_min", settings.sigma_min),
                                    {"sigma_max", settings.sigma_max},
                                    {"rho", settings.rho},
                                    {"shift", settings.shift},
                                    {"eta", settings.eta},
                                    {"s_churn", settings.s_churn},
                                    {"s_tmin", settings.s_tmin},
                                    {"s_tmax", settings.s_tmax},
                                    {"s_noise", settings.s_noise},
                                    {"guidance_scale", settings.guidance_scale},
                                    {"guidance_rescale", settings.guidance_rescale}})
    add(name, value, number);
  const auto interval = [](const Settings::Interval& value) {
    return plain(value.low) + ".." + (std::isinf(value.high) ? "" : plain(value.high));
  };
  add("guidance_interval", settings.guidance_interval, interval);
  add("guidance_sigmas", settings.guidance_sigmas, interval);
  add("size", settings.size,
      [](const Manifest::Size& size) { return std::to_string(size.width) + "x" + std::to_string(size.height); });
  return joined(taken, ", ");
}

}  // namespace steplapse
