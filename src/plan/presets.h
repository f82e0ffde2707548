#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "steplapse/sampler.h"
#include "steplapse/schedule.h"

namespace steplapse {

/// What another tool does by itself when it is asked for one of its samplers, in the names of this program.
struct Preset {
  std::string sampler;
  std::optional<std::string> schedule = std::nullopt;  ///< none: the bundle's own
  std::optional<StartScale> start = std::nullopt;  ///< none, here and below: as the schedule and the sampler have it
  std::optional<RunEnd> end = std::nullopt;
  bool drops_penultimate = false;  ///< takes the levels for one step more, without the last but one
  std::optional<double> eta = std::nullopt;

  bool operator==(const Preset&) const = default;
};

/// Whether a name is another tool's: "a1111:DPM++ 2M Karras".
inline bool is_other_tools(std::string_view name) { return name.find(':') != std::string_view::npos; }

/// How the sampler under a name of Sampler::aliases differs from the tool's own, one line; empty where it does not differ.
std::string_view shortfall_of(std::string_view name);

/// The preset of a name in Sampler::aliases, perhaps with the tool's name of a schedule after it: "a1111:DPM++ 2M Karras",
/// "comfyui:dpmpp_2m_karras", "comfyui:dpmpp_2m karras".
/// @throws std::invalid_argument  an unknown tool or name; the text has the nearest
Preset preset_named(std::string_view name, const std::vector<Sampler>& table = samplers());

/// What a word is taken for that is no name of this program, or is one but for its case.
template <typename What>
struct TakenFor {
  What what;
  std::string as;  ///< for people: "dpmpp_2m", "a1111:DPM++ 2M Karras"
};

/// The preset of a sampler's name as some tool spells it, in any case and without the tool's name. Where several tools have
/// the word and do different things with it, the preset has only the sampler (and the schedule, if the word names one)
/// that they have in common. None where no tool has the word.
/// @throws std::invalid_argument  the word names different samplers in different tools; the text lists them
std::optional<TakenFor<Preset>> sampler_taken_for(std::string_view word,
                                                  const std::vector<Sampler>& table = samplers());

/// The schedule of a name as some tool spells it, likewise: "SGM Uniform".
/// @throws std::invalid_argument  the word names different schedules in different tools: "Beta"
std::optional<TakenFor<std::string>> schedule_taken_for(std::string_view word);

/// The schedule of a name in ScheduleRule::aliases: "a1111:Karras". It is `ays` where the tool, too, takes the list for the
/// model.
/// @throws std::invalid_argument  as above
std::string schedule_of_other_tool(std::string_view name);

}  // namespace steplapse
