#include "steplapse/prompt_syntax.h"

#include <stdexcept>
#include <string>

#include "base/text.h"

namespace steplapse {

PromptSyntax prompt_syntax_named(std::string_view name) {
  for (const PromptSyntax syntax : {PromptSyntax::weights, PromptSyntax::plain}) {
    if (name == name_of(syntax)) return syntax;
  }
  throw std::invalid_argument("unknown prompt syntax " + in_quotes(name) + ", expected weights or plain");
}

std::string_view name_of(PromptSyntax syntax) { return syntax == PromptSyntax::weights ? "weights" : "plain"; }

}  // namespace steplapse
