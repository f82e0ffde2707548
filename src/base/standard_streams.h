#pragma once

#include <functional>
#include <string>

namespace steplapse {

/// From now on std::cout and std::cerr may lose their readers (`| head -1`, a closed terminal). What is written after
/// that is dropped. Any other failed write sets the stream's state, as usual. Both streams are then thread-safe. For
/// main(), before anything is written or opened: it concerns the whole process.
void keep_writing_without_readers();

/// Warns that the reader of standard output or of standard error went away during the run. The warning goes to the
/// other stream.
/// @param on_output  writes a warning to standard output, if a warning may stand there
void say_which_reader_left(const std::function<void(const std::string&)>& on_output);

}  // namespace steplapse
