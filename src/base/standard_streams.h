#pragma once

#include <functional>
#include <string>

namespace steplapse {

/// From here on std::cout and std::cerr may lose their readers (`| head -1`, a terminal that is closed) and go on: what is
/// written after that is dropped. Any other failure of a write is one of the stream, as ever. Both may be used by several
/// threads. For main(), before anything is written or opened: it concerns the whole process.
void keep_writing_without_readers();

/// Says of a run, to whichever of standard output and error still has its reader, that the other's went away.
/// @param on_output  writes a warning to standard output, where one may stand there
void say_which_reader_left(const std::function<void(const std::string&)>& on_output);

}  // namespace steplapse
