#include "base/file_io.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

#include "base/confinement.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

std::string reason() { return std::generic_category().message(errno); }

/// Repeats a system call that a signal interrupted. @return what it returned in the end
template <typename Call>
auto uninterrupted(Call call) {
  for (;;) {
    const auto result = call();
    if (result >= 0 || errno != EINTR) return result;
  }
}

/// A rename would replace a device or a link, which the user wants to keep.
void refuse_other_than_file(const std::filesystem::path& path) {
  const auto what = [&]() -> const char* {
    std::error_code unreadable;  // creating the file will say why
    switch (std::filesystem::symlink_status(path, unreadable).type()) {
      case std::filesystem::file_type::block:
      case std::filesystem::file_type::character: return "a device";
      case std::filesystem::file_type::directory: return "a folder";
      case std::filesystem::file_type::fifo: return "a pipe";
      case std::filesystem::file_type::socket: return "a socket";
      case std::filesystem::file_type::symlink: return "a symbolic link";
      default: return nullptr;
    }
  }();
  if (what) throw OutputError(path.string() + ": is " + what + ", expected a regular file or a new name");
}

}  // namespace

Descriptor::Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  close();
  number_ = std::exchange(other.number_, -1);
  return *this;
}

bool Descriptor::close() {
  return number_ < 0 || ::close(std::exchange(number_, -1)) == 0 || errno == EINTR;  // Linux has closed it even then
}

PartFile::PartFile(const std::filesystem::path& path)
    : path_(path), part_(path.string() + ".part"), is_confined_(confined_part(path).has_value()), file_(create()) {
  if (!file_.is_open()) fail();
}

PartFile::~PartFile() {
  if (!is_confined_) ::unlink(part_.c_str());  // does nothing after the rename
}

int PartFile::create() {
  refuse_other_than_file(path_);
  if (is_confined_) return ::open(part_.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
  ::unlink(part_.c_str());  // a killed run may have left one
  return uninterrupted([&] { return ::open(part_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666); });
}

void PartFile::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = uninterrupted([&] { return ::write(file_.number(), bytes.data(), bytes.size()); });
    if (written < 0) fail();
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

void PartFile::finish() {
  bool is_whole = uninterrupted([&] { return ::fsync(file_.number()); }) == 0 && file_.close();
  if (is_whole && is_confined_) {
    errno = finish_confined(path_);
    is_whole = errno == 0;
  } else if (is_whole) {
    is_whole = std::rename(part_.c_str(), path_.c_str()) == 0;
  }
  if (!is_whole) fail();
}

void PartFile::fail() const { throw OutputError(path_.string() + ": cannot write: " + reason()); }

void write_whole(const std::filesystem::path& path, std::string_view bytes) {
  PartFile file(path);
  file.write(bytes);
  file.finish();
}

void check_writable(const std::filesystem::path& path, bool overwrite) {
  std::error_code unreadable;  // beginning to write will say why
  if (!overwrite && std::filesystem::exists(std::filesystem::symlink_status(path, unreadable))) {
    throw OutputError(path.string() + ": is there already; name another file, or `overwrite` to replace it");
  }
  PartFile begun(path);
  if (is_confinement_planned() && !is_confined()) confinement_writes_file(path);
}

namespace {

std::string read_all(int file, const std::string& place, size_t max_bytes) {
  std::string bytes;
  char buffer[1 << 16];
  while (const ssize_t count = uninterrupted([&] { return ::read(file, buffer, sizeof buffer); })) {
    if (count < 0) throw UsageError(place + ": cannot read: " + reason());
    bytes.append(buffer, static_cast<size_t>(count));
    if (bytes.size() > max_bytes) throw UsageError(place + ": more than " + std::to_string(max_bytes) + " bytes");
  }
  return bytes;
}

}  // namespace

std::string read_whole(const std::filesystem::path& path, size_t max_bytes) {
  const Descriptor file(uninterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); }));
  if (!file.is_open()) throw UsageError(path.string() + ": cannot read: " + reason());
  return read_all(file.number(), path.string(), max_bytes);
}

std::string read_standard_input(size_t max_bytes) { return read_all(STDIN_FILENO, "standard input", max_bytes); }

}  // namespace steplapse
