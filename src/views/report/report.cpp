#include "views/report/report.h"

namespace steplapse {

std::string RunReport::setting(const std::string& key) const {
  for (const auto& [name, value] : settings) {
    if (name == key) return value;
  }
  return "";
}

}  // namespace steplapse
