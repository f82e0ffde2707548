#include "base/temporary_folder.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include "steplapse/error.h"

namespace steplapse {

TemporaryFolder::TemporaryFolder() {
  std::error_code error;
  std::string name = (std::filesystem::temp_directory_path(error) / "steplapse-XXXXXX").string();
  if (error || ::mkdtemp(name.data()) == nullptr)
    throw OutputError(name + ": cannot make a temporary folder: " + (error ? error.message() : std::strerror(errno)));
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code error;
  std::filesystem::remove_all(path_, error);
}

}  // namespace steplapse
