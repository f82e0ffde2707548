#pragma once

#include <string>
#include <vector>

namespace steplapse {

/// Runs `steplapse race` with these arguments. @return the exit code; @throws Error, and what a race throws
int race_from(const std::vector<std::string>& arguments);

}  // namespace steplapse
