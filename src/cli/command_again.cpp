#include "cli/command_again.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "cli/flags.h"
#include "plan/picture_settings.h"

namespace steplapse {
namespace {

/// With as few digits as tell it from all others.
std::string text_of(double number) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, number).ptr};
}

std::string text_of(const Settings::Interval& interval) {
  return text_of(interval.low) + ".." + (std::isinf(interval.high) ? "" : text_of(interval.high));
}

std::string text_of_steps(const Settings::Interval& interval) {
  const auto whole = [](double number) { return std::to_string(static_cast<int64_t>(number)); };
  return whole(interval.low) + ".." + (std::isinf(interval.high) ? "" : whole(interval.high));
}

class Parts {
 public:
  template <typename Value>
  void add(const char* setting, const std::optional<Value>& value) {
    if (!value) return;
    if constexpr (std::is_integral_v<Value>) {
      word(setting, std::to_string(*value));
    } else if constexpr (std::is_same_v<Value, std::string>) {
      word(setting, *value);
    } else {
      word(setting, text_of(*value));
    }
  }
  void word(const std::string& setting, const std::string& value) {
    std::string flag = "--" + setting;
    std::replace(flag.begin(), flag.end(), '_', '-');
    parts.push_back({setting, flag, value});
  }

  std::vector<CommandPart> parts{{"", "", "generate"}};
};

bool is_said_by_flags(const RunPictures& run) {
  return !run.facts().before && !run.facts().own_levels() && !run.facts().recipe.init_noise_given;
}

/// What the model's own settings, and those of the program, would not give anyway.
Settings settings_of(const RunPictures& run) {
  return settings_of_ours(nlohmann::json{{"settings", settings_json(run.facts())}}.dump()).settings;
}

std::optional<std::string> model_of(const RunPictures& run) {
  const std::filesystem::path& path = run.state().origin.model_path;
  std::error_code unknown;
  if (path.empty() || std::filesystem::equivalent(path, usual_model(), unknown)) return std::nullopt;
  return path.string();
}

void add_sampling(Parts& parts, const Settings& settings) {
  parts.add("steps", settings.steps);
  parts.add("sampler", settings.sampler);
  parts.add("schedule", settings.schedule);
  parts.add("sigma_min", settings.sigma_min);
  parts.add("sigma_max", settings.sigma_max);
  parts.add("rho", settings.rho);
  parts.add("shift", settings.shift);
  parts.add("eta", settings.eta);
  parts.add("s_churn", settings.s_churn);
  parts.add("s_tmin", settings.s_tmin);
  parts.add("s_tmax", settings.s_tmax);
  parts.add("s_noise", settings.s_noise);
}

void add_guidance(Parts& parts, const Settings& settings) {
  parts.add("guidance_scale", settings.guidance_scale);
  if (settings.guidance_interval) parts.word("guidance_interval", text_of_steps(*settings.guidance_interval));
  parts.add("guidance_sigmas", settings.guidance_sigmas);
  parts.add("guidance_rescale", settings.guidance_rescale);
}

}  // namespace

std::vector<CommandPart> command_again(const RunPictures& run) {
  if (!is_said_by_flags(run)) return {{"", "", "replay"}, {"", "", run.folder().string()}};
  const Settings settings = settings_of(run);
  Parts parts;
  parts.word("prompt", settings.prompt);
  parts.add("negative_prompt", settings.negative_prompt);
  if (settings.prompt_syntax == PromptSyntax::plain) parts.word("prompt_syntax", "plain");
  parts.add("seed", settings.seed);
  if (settings.rng != Rng::cpu) parts.word("rng", std::string(name_of(settings.rng)));
  add_sampling(parts, settings);
  add_guidance(parts, settings);
  if (settings.size)
    parts.word("size", std::to_string(settings.size->width) + "x" + std::to_string(settings.size->height));
  parts.add("stop_at", run.state().origin.stop_at);
  parts.add("stop_when_converged", run.state().origin.stop_when_converged);
  parts.add("model", model_of(run));
  return parts.parts;
}

}  // namespace steplapse
