#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_io.h"

namespace steplapse {

/// The program of this name in the folders that PATH lists. None where it is in no folder.
std::optional<std::filesystem::path> program_on_path(std::string_view name);

/// For a child that was forked: closes the files of its parent but this one. Standard input is then empty, and what is
/// written to standard output and error is dropped.
void close_all_but(int file) noexcept;

/// Another program, started without a shell. This one writes to its standard input; its standard output is dropped.
/// Ctrl-C in a terminal does not reach it. It is killed with the object.
class ChildProcess {
 public:
  /// @throws std::runtime_error  it can't be started
  ChildProcess(const std::filesystem::path& program, const std::vector<std::string>& arguments);
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ~ChildProcess() { kill(); }

  /// @return false where it reads no more
  bool write(std::string_view bytes);

  struct Ending {
    bool is_good;            ///< it ended by itself, with 0
    std::string last_words;  ///< the last line that it wrote to standard error; how it ended where it wrote none
  };
  Ending finish();  ///< ends its input, and waits for it

  void kill() noexcept;  ///< also from another thread

 private:
  pid_t start(const std::filesystem::path& program, const std::vector<std::string>& arguments, int input);
  std::string last_line() const;

  Descriptor errors_, input_;
  pid_t process_ = -1;
};

}  // namespace steplapse
