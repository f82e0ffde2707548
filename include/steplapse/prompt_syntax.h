#pragma once

#include <string_view>

namespace steplapse {

/// What brackets in a prompt mean.
enum class PromptSyntax {
  weights,  ///< they weigh the words inside, as docs/prompts.md says
  plain,    ///< they are text
};

/// @throws std::invalid_argument  another name; the text lists the choices
PromptSyntax prompt_syntax_named(std::string_view name);
std::string_view name_of(PromptSyntax syntax);

}  // namespace steplapse
