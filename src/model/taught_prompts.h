#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "steplapse/manifest.h"

namespace steplapse {

/// A prompt that a model was taught, and words that go with it.
struct TaughtPrompt {
  std::string name;
  std::vector<std::string> keywords;
};

/// What the file says that a bundle's `prompts` names (docs/bundle.md), in its order.
/// @throws BundleError  one line that begins with `file`: not JSON, or an entry without a name or keywords.
std::vector<TaughtPrompt> parse_prompts(std::string_view json, const std::string& file);

/// Those with every word of the query somewhere in their name or keywords, whatever the case; "berry" finds
/// "strawberry". Without words: all.
std::vector<TaughtPrompt> search_prompts(const std::vector<TaughtPrompt>& taught, std::string_view query);

/// A line that warns when the model was taught no word of the prompt (words of three letters and more, where there are
/// any), with the names nearest in spelling. None for a blank prompt. `which` stands before the quoted prompt.
std::optional<std::string> unknown_warning(const std::vector<TaughtPrompt>& taught, std::string_view prompt,
                                           const std::string& which = "");

}  // namespace steplapse
