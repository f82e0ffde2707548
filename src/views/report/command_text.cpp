#include "views/report/page.h"

namespace steplapse {
namespace {

/// As it is, or in single quotes, in which a shell leaves everything but the quote alone.
std::string word(const std::string& text) {
  constexpr std::string_view kSafe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%";
  if (!text.empty() && text.find_first_not_of(kSafe) == std::string::npos) return text;
  std::string quoted = "'";
  for (const char character : text) quoted += character == '\'' ? "'\\''" : std::string(1, character);
  return quoted + "'";
}

}  // namespace

std::string command_text(const std::vector<CommandPart>& command) {
  std::string text = "steplapse";
  for (const CommandPart& part : command) {
    if (!part.flag.empty()) text += " " + part.flag;
    text += " " + word(part.value);
  }
  return text;
}

}  // namespace steplapse
