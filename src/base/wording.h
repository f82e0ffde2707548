#pragma once

#include <string>

namespace steplapse {

/// Messages name a setting as Settings does, in backticks: "`guidance_scale` -1: expected a number of 0 or more". A program
/// whose users know it by another name, such as a flag, says here how they are to read it.
using Wording = std::string (*)(const std::string& message);

/// For main(), before anything is said: it concerns the whole process.
void set_wording(Wording wording);

/// The message as users are to read it; as it is where no wording was set.
std::string worded(const std::string& message);

}  // namespace steplapse
