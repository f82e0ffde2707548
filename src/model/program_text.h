#pragma once

#include <stdexcept>
#include <string>

namespace steplapse {

/// What is refused of a program, and why, without its path.
struct Refused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Checks the text of a program's code before libtorch's parser sees it. That parser calls itself for each bracket, sign,
/// dot and line of a comment, so a text of a few kB can end the process; and the compiler behind it computes with constants
/// as it reads them.
///
/// So only what torch.jit.save writes of a traced module is taken: classes with typed attributes, functions, assignments,
/// calls and returns. There are no operators but a number's sign, no conditions and loops, no comments, and nothing is
/// nested or repeated beyond what networks are.
/// @throws Refused  something else stands there; the text names its line
void check_program_text(const std::string& code);

}  // namespace steplapse
