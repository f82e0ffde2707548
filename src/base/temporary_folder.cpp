#include "base/temporary_folder.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include "base/confinement.h"
#include "steplapse/error.h"

namespace steplapse {

TemporaryFolder::TemporaryFolder() {
  std::string name = (folder_for_temporary_files() / "steplapse-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr)
    throw OutputError(name + ": cannot make a temporary folder: " + std::strerror(errno));
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code error;
  std::filesystem::remove_all(path_, error);
}

}  // namespace steplapse
