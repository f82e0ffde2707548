#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace steplapse {

/// A word of another tool for a flag of this program, or for something that is done another way here, or not at all.
struct FlagWord {
  std::string_view tool;
  std::string_view word;  ///< --cfg-scale, -W: with dashes, where the tool may have underscores
  std::string_view ours;  ///< the flag of this program; "": there is none
  std::string_view says;  ///< what to do instead; "": the word means the same here for every value
  bool same() const { return says.empty(); }
};

const std::vector<FlagWord>& flag_words();

/// The word with dashes: --cfg_scale is --cfg-scale.
std::string with_dashes(std::string_view word);

/// The flag of this program for a word that means exactly the same in all tools that have it; none where no tool has it.
/// @throws UsageError  the word means something else, or different things in different tools; the text names the flags
std::optional<std::string> flag_meant_by(std::string_view word);

}  // namespace steplapse
