#pragma once

#include <string_view>

namespace steplapse {

/// What brackets in a prompt do: weigh its words (docs/prompts.md), or stand for themselves.
enum class PromptSyntax { weights, plain };

/// @throws std::invalid_argument  naming the choices
PromptSyntax prompt_syntax_named(std::string_view name);
std::string_view name_of(PromptSyntax syntax);

}  // namespace steplapse
