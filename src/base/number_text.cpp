#include "base/number_text.h"

#include <charconv>
#include <iomanip>
#include <sstream>

namespace steplapse {

std::string rounded_text(double number, int digits) {
  std::ostringstream text;
  text << std::setprecision(digits) << number;
  return text.str();
}

std::string fixed_text(double number, int decimals) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(decimals) << number;
  return text.str();
}

std::string exact_text(const std::optional<double>& number) {
  if (!number) return "";
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, *number).ptr};
}

std::string csv_text(std::string_view text) {
  std::string quoted = "\"";
  for (const char character : text) quoted += character == '"' ? std::string("\"\"") : std::string(1, character);
  return quoted + "\"";
}

}  // namespace steplapse
