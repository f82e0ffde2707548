#include "cli/listing.h"

#include "base/terminal.h"
#include "base/text.h"

namespace steplapse {

std::string folded(std::string_view text, size_t column, size_t begins) {
  const size_t columns = output_columns();
  return wrapped(text, columns, columns < 60 ? 2 : column, begins) + '\n';
}

std::string folded_names(const std::string& before, std::vector<std::string> names, size_t column, size_t begins) {
  const std::string blank = "\u00a0";
  for (std::string& name : names) {
    for (size_t at = name.find(' '); at != std::string::npos; at = name.find(' ', at)) name.replace(at, 1, blank);
  }
  std::string text = folded(before + joined(names, ", "), column, begins);
  for (size_t at = text.find(blank); at != std::string::npos; at = text.find(blank))
    text.replace(at, blank.size(), " ");
  return text;
}

}  // namespace steplapse
