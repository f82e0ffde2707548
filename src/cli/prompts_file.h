#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace steplapse {

/// A prompt of a prompts file.
struct PromptsLine {
  std::string place;  ///< FILE:LINE, for messages
  std::string prompt;
  /// Its own: names as guidance_scale, values as flags have them; none: as if the command line had not said it.
  std::map<std::string, std::optional<std::string>> settings;
};

/// One prompt a line, or a JSON object with the prompt and settings of its own:
///
///   a red apple
///   {"prompt": "a green pear", "negative_prompt": "leaves", "steps": 30, "seed": [1, 2, 3]}
///
/// or flags, as A1111 reads them:
///
///   --prompt "a green pear" --negative_prompt "leaves" --steps 30
///
/// or all of it is one JSON array, of prompts and such objects. Settings may have the words of other tools where they mean
/// the same. Empty lines and those that begin with # are left out. Numbers, texts and lists of them are settings' values; null
/// takes back what the command line says.
/// @param name   of the file, for messages
/// @param known  names of the settings a line may have
/// @throws UsageError  FILE:LINE and what is wrong there; or no prompt in it
std::vector<PromptsLine> prompts_in(const std::string& text, const std::string& name,
                                    const std::vector<std::string>& known);

}  // namespace steplapse
