#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "steplapse/manifest.h"
#include "steplapse/settings.h"

namespace steplapse {

/// What a picture says of how it was made, by whatever tool, as settings of ours.
struct PictureSettings {
  std::string tool;  ///< steplapse, A1111, ComfyUI, InvokeAI
  Settings settings = {};
  std::optional<Schedule> levels = {};    ///< of our own pictures: those that the names in `settings` stood for
  std::vector<std::string> guessed = {};  ///< "rng philox (A1111 says no RNG)"
  std::vector<std::string> without = {};  ///< what has no equivalent here: "LoRA 'detail'"
};

/// Reads the texts of a PNG: ours (`steplapse`), A1111's (`parameters`), ComfyUI's (`prompt`) or InvokeAI's
/// (`invokeai_metadata`), the first of them that is there.
/// @param place  names the file in messages
/// @throws UsageError  none of them is there, or it is not in that tool's form
///
/// Sources: A1111's modules/infotext_utils.py (1.10), ComfyUI's nodes.py and its API format, InvokeAI's
/// invocations/metadata.py.
PictureSettings settings_in_picture(const std::map<std::string, std::string>& texts, const std::string& place);

/// The same settings with the picture's own levels in place of the names, where this model's levels of those names are
/// others: names of other tools, and levels of the user's own, are not among the settings.
Settings with_own_levels(const Manifest& manifest, const PictureSettings& picture);

/// The settings that are there, as `Settings` names them: "prompt, seed 7, steps 20".
std::string settings_taken(const Settings& settings);

// For settings_in_picture: a file a tool.
PictureSettings settings_of_ours(const std::string& text);      ///< @throws nlohmann::json::exception, std::exception
PictureSettings settings_of_a1111(const std::string& text);     ///< @throws std::invalid_argument
PictureSettings settings_of_comfyui(const std::string& text);   ///< @throws as both
PictureSettings settings_of_invokeai(const std::string& text);  ///< @throws as both

}  // namespace steplapse
