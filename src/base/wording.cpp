#include "base/wording.h"

namespace steplapse {
namespace {

Wording chosen = nullptr;

}  // namespace

void set_wording(Wording wording) { chosen = wording; }

std::string worded(const std::string& message) { return chosen ? chosen(message) : message; }

}  // namespace steplapse
