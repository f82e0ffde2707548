#pragma once

#include <string>

namespace steplapse {

/// Turns a message of the library into one for the program's users. The library names a setting as Settings does, in
/// backticks: "`guidance_scale` -1: expected a number of 0 or more". Users may know it by another name, such as a flag.
using Wording = std::string (*)(const std::string& message);

/// For main(), before the first message: it concerns the whole process.
void set_wording(Wording wording);

/// The message for users; unchanged where no wording was set.
std::string worded(const std::string& message);

}  // namespace steplapse
