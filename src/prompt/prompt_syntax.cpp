#include "steplapse/prompt_syntax.h"

#include "base/names.h"

namespace steplapse {

static constexpr ValueNames<PromptSyntax, 2> kSyntaxes{
    {{"weights", PromptSyntax::weights}, {"plain", PromptSyntax::plain}}};

PromptSyntax prompt_syntax_named(std::string_view name) { return value_named(kSyntaxes, name, "prompt syntax"); }
std::string_view name_of(PromptSyntax syntax) { return name_in(kSyntaxes, syntax); }

}  // namespace steplapse
