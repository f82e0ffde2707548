#include <map>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "plan/picture_settings.h"

namespace steplapse {
namespace {

using nlohmann::json;

/// InvokeAI's schedulers are classes of diffusers; with _k behind the name, on Karras' sigmas.
const std::map<std::string, std::string>& samplers_of_invokeai() {
  static const std::map<std::string, std::string> all{
      {"ddim", "diffusers:DDIMScheduler"},
      {"ddpm", "diffusers:DDPMScheduler"},
      {"deis", "diffusers:DEISMultistepScheduler"},
      {"lms", "diffusers:LMSDiscreteScheduler"},
      {"pndm", "diffusers:PNDMScheduler"},
      {"heun", "diffusers:HeunDiscreteScheduler"},
      {"euler", "diffusers:EulerDiscreteScheduler"},
      {"euler_a", "diffusers:EulerAncestralDiscreteScheduler"},
      {"kdpm_2", "diffusers:KDPM2DiscreteScheduler"},
      {"kdpm_2_a", "diffusers:KDPM2AncestralDiscreteScheduler"},
      {"dpmpp_2m", "diffusers:DPMSolverMultistepScheduler"},
      {"dpmpp_2m_sde", "diffusers:DPMSolverMultistepScheduler(sde-dpmsolver++)"},
      {"dpmpp_sde", "diffusers:DPMSolverSDEScheduler"},
      {"unipc", "diffusers:UniPCMultistepScheduler"},
      {"lcm", "diffusers:LCMScheduler"},
      {"tcd", "diffusers:TCDScheduler"}};
  return all;
}

void take_scheduler(std::string name, PictureSettings& picture) {
  const std::string said = name;
  const bool karras = name.ends_with("_k");
  if (karras) name.resize(name.size() - 2);
  const auto known = samplers_of_invokeai().find(name);
  if (known == samplers_of_invokeai().end()) {
    picture.guessed.push_back("`sampler`: the bundle's, for " + in_quotes(said) + " is not known here");
    return;
  }
  picture.settings.sampler = known->second;
  if (karras) picture.settings.schedule = "karras";
}

/// Whether a prompt weighs words as compel does: word++, (two words)1.3.
bool has_compel_weights(const std::string& prompt) {
  if (prompt.find("++") != std::string::npos || prompt.find("--") != std::string::npos) return true;
  for (size_t at = prompt.find(')'); at != std::string::npos; at = prompt.find(')', at + 1)) {
    if (at + 1 < prompt.size() && std::string_view("0123456789+-.").find(prompt[at + 1]) != std::string_view::npos)
      return true;
  }
  return false;
}

bool is_there(const json& said, const char* key) {
  const auto found = said.find(key);
  return found != said.end() && !found->is_null() && !((found->is_array() || found->is_object()) && found->empty());
}

}  // namespace

PictureSettings settings_of_invokeai(const std::string& text) {
  const json said = json::parse(text);
  PictureSettings picture{.tool = "InvokeAI"};
  Settings& settings = picture.settings;
  settings.prompt = said.at("positive_prompt").get<std::string>();
  if (is_there(said, "negative_prompt")) settings.negative_prompt = said.at("negative_prompt").get<std::string>();
  settings.prompt_syntax = PromptSyntax::plain;
  if (has_compel_weights(settings.prompt) || has_compel_weights(settings.negative_prompt.value_or("")))
    picture.without.emplace_back("weights of words, as word++ and (words)1.3");
  if (is_there(said, "seed")) settings.seed = said.at("seed").get<uint64_t>();
  if (is_there(said, "steps")) settings.steps = said.at("steps").get<int64_t>();
  if (is_there(said, "cfg_scale") && said.at("cfg_scale").is_number())
    settings.guidance_scale = said.at("cfg_scale").get<double>();
  if (is_there(said, "cfg_rescale_multiplier") && said.at("cfg_rescale_multiplier").get<double>() > 0)
    settings.guidance_rescale = said.at("cfg_rescale_multiplier").get<double>();
  if (is_there(said, "width") && is_there(said, "height"))
    settings.size = Manifest::Size{said.at("width").get<int64_t>(), said.at("height").get<int64_t>()};
  if (is_there(said, "scheduler")) take_scheduler(said.at("scheduler").get<std::string>(), picture);
  if (said.value("rand_device", "cpu") != "cpu") settings.rng = Rng::philox;
  if (!said.contains("rand_device")) picture.guessed.emplace_back("`rng` cpu, for no rand_device is said");
  if (is_there(said, "generation_mode") && said.at("generation_mode") != "txt2img" &&
      said.at("generation_mode") != "sdxl_txt2img")
    picture.without.push_back("generation mode " + said.at("generation_mode").get<std::string>());
  for (const auto& [key, words] : {std::pair("loras", "LoRAs"),
                                   {"controlnets", "ControlNet"},
                                   {"ipAdapters", "IP-Adapter"},
                                   {"t2iAdapters", "T2I-Adapter"},
                                   {"hrf_enabled", "high resolution fix"},
                                   {"refiner_model", "refiner"},
                                   {"seamless_x", "seamless tiling"}}) {
    if (is_there(said, key) && said.at(key) != false) picture.without.emplace_back(words);
  }
  if (said.value("clip_skip", json(0)) != 0) picture.without.emplace_back("clip skip");
  return picture;
}

}  // namespace steplapse
