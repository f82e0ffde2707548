#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "steplapse/manifest.h"

namespace steplapse {

/// A prompt that the model was taught, with words that describe it.
struct TaughtPrompt {
  std::string name;
  std::vector<std::string> keywords;
};

/// The taught prompts in the file that a bundle's `prompts` names (docs/bundle.md), in its order.
/// @param file  names the file in messages
/// @throws BundleError  the file is not JSON, or an entry lacks its name or keywords; the text begins with `file`
std::vector<TaughtPrompt> parse_prompts(std::string_view json, const std::string& file);

/// The prompts that have every word of the query somewhere in their name or keywords. Ignores case; "berry" finds
/// "strawberry". A query without words finds all.
std::vector<TaughtPrompt> search_prompts(const std::vector<TaughtPrompt>& taught, std::string_view query);

/// A warning, of one line, where the model was taught no word of the prompt; it lists the names nearest in spelling.
/// Words of fewer than three letters count only where the prompt has no longer ones. None for a blank prompt.
/// @param which  stands before the quoted prompt: "the negative prompt "
std::optional<std::string> unknown_warning(const std::vector<TaughtPrompt>& taught, std::string_view prompt,
                                           const std::string& which = "");

}  // namespace steplapse
