#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>

#include "base/text.h"
#include "plan/picture_settings.h"
#include "plan/presets.h"

namespace steplapse {
namespace {

using nlohmann::json;

/// Python writes NaN, which JSON has not.
std::string without_nan(std::string text) {
  for (size_t at = text.find("NaN"); at != std::string::npos; at = text.find("NaN", at + 4)) {
    const char before = at == 0 ? ' ' : text[at - 1];
    if (before == ' ' || before == '[' || before == ':') text.replace(at, 3, "null");
  }
  return text;
}

/// The graph that ComfyUI ran: {"3": {"class_type": "KSampler", "inputs": {"seed": 1, "positive": ["6", 0], …}}, …}.
class Graph {
 public:
  explicit Graph(json nodes) : nodes_(std::move(nodes)) {
    if (!nodes_.is_object()) throw std::invalid_argument("is not ComfyUI's graph of nodes");
    for (const auto& [id, node] : nodes_.items()) {
      if (!node.is_object() || !node.contains("class_type") || !node.contains("inputs"))
        throw std::invalid_argument("node " + in_quotes(id) + " has no class_type and inputs, as ComfyUI's have");
    }
  }

  std::vector<const json*> of_class(const std::string& beginning) const {
    std::vector<const json*> found;
    for (const json& node : nodes_) {
      if (class_of(node).starts_with(beginning)) found.push_back(&node);
    }
    return found;
  }

  static std::string class_of(const json& node) { return node.at("class_type").get<std::string>(); }

  /// The node that an input comes from; null where it is no link.
  const json* behind(const json& node, const char* input) const {
    const json& inputs = node.at("inputs");
    const auto found = inputs.find(input);
    if (found == inputs.end() || !found->is_array() || found->size() != 2 || !found->front().is_string())
      return nullptr;
    const auto from = nodes_.find(found->front().get<std::string>());
    return from == nodes_.end() ? nullptr : &*from;
  }

  /// The value of an input; of a link, what the node behind it holds. Null: not there, or computed.
  json value_of(const json& node, const char* input) const {
    const json* at = &node;
    std::string name = input;
    for (int hops = 0; hops < kMostHops; ++hops) {
      const json& inputs = at->at("inputs");
      if (!inputs.contains(name)) return {};
      if (!inputs.at(name).is_array()) return inputs.at(name);
      const json* from = behind(*at, name.c_str());
      if (!from) return {};
      const json& held = from->at("inputs");
      const auto is_held = [&](const char* key) { return held.contains(key); };
      constexpr const char* kNames[] = {"value", "seed", "noise_seed", "text", "string", "int", "float"};
      const auto key = std::find_if(std::begin(kNames), std::end(kNames), is_held);
      if (key != std::end(kNames)) name = *key;
      at = from;
    }
    return {};
  }

  /// The node of text behind conditioning, through what changes it on the way.
  const json* text_behind(const json& sampler, const char* input, std::vector<std::string>& passed) const {
    const json* node = behind(sampler, input);
    for (int hops = 0; node && hops < kMostHops; ++hops) {
      if (class_of(*node).starts_with("CLIPTextEncode")) return node;
      passed.push_back(class_of(*node));
      const json* next = nullptr;
      for (const char* way : {input, "conditioning", "conditioning_1", "conditioning_to"}) {
        if (!next) next = behind(*node, way);
      }
      node = next;
    }
    return nullptr;
  }

 private:
  static constexpr int kMostHops = 64;
  json nodes_;
};

std::optional<std::string> text_of(const Graph& graph, const json& sampler, const char* input,
                                   PictureSettings& picture) {
  const json* node = graph.text_behind(sampler, input, picture.without);
  if (!node) return std::nullopt;
  for (const char* key : {"text", "text_g", "text_l"}) {
    const json text = graph.value_of(*node, key);
    if (text.is_string()) return text.get<std::string>();
  }
  return std::nullopt;
}

void take_sampler(const json& name, const json& scheduler, PictureSettings& picture) {
  if (name.is_string()) {
    const std::string ours = "comfyui:" + name.get<std::string>();
    try {
      preset_named(ours);
      picture.settings.sampler = ours;
    } catch (const std::invalid_argument&) {
      picture.guessed.push_back("`sampler`: the bundle's, for " + in_quotes(name.get<std::string>()) +
                                " is not known here");
    }
  }
  if (!scheduler.is_string()) return;
  const std::string schedule = "comfyui:" + scheduler.get<std::string>();
  try {
    schedule_of_other_tool(schedule);
    picture.settings.schedule = schedule;
  } catch (const std::invalid_argument&) {
    picture.guessed.push_back("`schedule`: the sampler's usual one, for " + in_quotes(scheduler.get<std::string>()) +
                              " is not known here");
  }
}

void take_size(const Graph& graph, const json& sampler, PictureSettings& picture) {
  const json* latents = graph.behind(sampler, "latent_image");
  if (!latents) return;
  const std::string name = Graph::class_of(*latents);
  if (!name.starts_with("Empty")) {
    picture.without.push_back("a start from " + name);
    return;
  }
  const json width = graph.value_of(*latents, "width"), height = graph.value_of(*latents, "height");
  if (width.is_number_unsigned() && height.is_number_unsigned())
    picture.settings.size = Manifest::Size{width.get<int64_t>(), height.get<int64_t>()};
}

}  // namespace

PictureSettings settings_of_comfyui(const std::string& text) {
  const Graph graph(json::parse(without_nan(text)));
  const auto samplers = graph.of_class("KSampler");
  const auto ours = std::find_if(samplers.begin(), samplers.end(), [](const json* node) {
    return Graph::class_of(*node) == "KSampler" || Graph::class_of(*node) == "KSamplerAdvanced";
  });
  if (ours == samplers.end()) throw std::invalid_argument("has no KSampler node, from which the settings are taken");
  const json& sampler = **ours;
  PictureSettings picture{.tool = "ComfyUI"};
  Settings& settings = picture.settings;
  if (samplers.size() > 1)
    picture.guessed.push_back("the first of its " + std::to_string(samplers.size()) + " samplers is taken");

  const auto prompt = text_of(graph, sampler, "positive", picture);
  if (prompt)
    settings.prompt = *prompt;
  else
    picture.without.emplace_back("the prompt, which no CLIPTextEncode node holds");
  settings.negative_prompt = text_of(graph, sampler, "negative", picture);
  for (const char* key : {"seed", "noise_seed"}) {
    const json seed = graph.value_of(sampler, key);
    if (seed.is_number_unsigned()) settings.seed = seed.get<uint64_t>();
  }
  const json steps = graph.value_of(sampler, "steps"), scale = graph.value_of(sampler, "cfg");
  if (steps.is_number_unsigned()) settings.steps = steps.get<int64_t>();
  if (scale.is_number()) settings.guidance_scale = scale.get<double>();
  take_sampler(graph.value_of(sampler, "sampler_name"), graph.value_of(sampler, "scheduler"), picture);
  take_size(graph, sampler, picture);

  const json denoise = graph.value_of(sampler, "denoise");
  if (denoise.is_number() && denoise.get<double>() < 1)
    picture.without.push_back("denoise " + plain(denoise.get<double>()));
  const auto loras = static_cast<int64_t>(graph.of_class("LoraLoader").size());
  if (loras > 0) picture.without.push_back(counted(loras, "LoraLoader"));
  return picture;
}

}  // namespace steplapse
