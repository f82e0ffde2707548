#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace steplapse {

/// A word of another tool for one of our flags, or for something that goes another way here, or not at all.
struct FlagWord {
  std::string_view tool;
  std::string_view word;  ///< --cfg-scale, -W: with dashes, where the tool may have underscores
  std::string_view ours;  ///< our flag; "": there is none
  std::string_view says;  ///< what to do in its place; "": nothing, it means the same here for every value
  bool same() const { return says.empty(); }
};

const std::vector<FlagWord>& flag_words();

/// The word with dashes: --cfg_scale is --cfg-scale.
std::string with_dashes(std::string_view word);

/// Our flag for a word that means exactly the same to all who have it; none where no other tool has the word.
/// @throws UsageError  it means something else, or not the same to all: the text names the flags there are here
std::optional<std::string> flag_meant_by(std::string_view word);

}  // namespace steplapse
