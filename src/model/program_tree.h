#pragma once

#include <set>
#include <string>

namespace steplapse {

/// Checks the syntax tree of a program's code before libtorch compiles it. While it compiles, it computes whatever depends on
/// constants alone: `torch.floor_divide(1, 0)` would end the process, and a text's `ljust` fill the memory.
///
/// So calls are taken of allowed operators, of `forward` of modules, of functions of the code and of the few words that a
/// trace has for conversions; and no operator may be called with constants alone.
/// @param code     that check_program_text took
/// @param allowed  operators, as `aten::add`
/// @throws Refused  something else is there; and what libtorch's parser throws, where it can't read it
void check_program_tree(const std::string& code, const std::set<std::string>& allowed);

/// What is wrong with code that names a device: a traced program has the one that it was traced on.
std::string names_a_device(const std::string& device);

}  // namespace steplapse
