#pragma once

#include <torch/csrc/jit/api/compilation_unit.h>

#include <set>
#include <string>

namespace steplapse {

/// Checks the compiled functions of a program before any of them runs: each operator is on the list, and those of its arguments
/// that libtorch believes unseen are as exporters write them.
/// @param allowed  operators and kinds of nodes, as `aten::add`
/// @throws Refused  another is there, a device is named, or the functions call each other too often
void check_program_graphs(const torch::jit::CompilationUnit& code, const std::set<std::string>& allowed);

}  // namespace steplapse
