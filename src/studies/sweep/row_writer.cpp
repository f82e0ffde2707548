#include "studies/sweep/row_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <string>
#include <system_error>
#include <utility>

#include "base/text.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 && name[0] != 0 ? name : "host";
}

double seconds_now() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<double>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count()) / 1000;
}

}  // namespace

RowWriter::RowWriter(const fs::path& sweep, RowsHeader header)
    : folder_(rows_folder(sweep)), header_(std::move(header)) {}

RowWriter::~RowWriter() {
  if (file_.is_open()) ::fdatasync(file_.number());
}

/// Processes of equal numbers in containers may be of one name of the machine, too.
void RowWriter::create() {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) throw OutputError(folder_.string() + ": cannot make the folder: " + error.message());
  const std::string name = host_name() + "-" + std::to_string(::getpid());
  for (int i = 1; !file_.is_open(); ++i) {
    path_ = folder_ / (name + (i == 1 ? "" : "-" + std::to_string(i)) + ".jsonl");
    file_ = Descriptor(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666));
    if (!file_.is_open() && errno != EEXIST)
      throw OutputError(path_.string() + ": cannot write: " + std::generic_category().message(errno));
  }
  write(rows_header(header_));
}

void RowWriter::write(const std::string& line) {
  ssize_t written = 0;
  while ((written = ::write(file_.number(), line.data(), line.size())) < 0 && errno == EINTR) {
  }
  if (written == static_cast<ssize_t>(line.size())) return;
  const int why = written < 0 ? errno : ENOSPC;
  file_.close();  // the next row begins a file of its own: this one may end in the middle of a line
  throw OutputError(path_.string() + ": cannot write: " + std::generic_category().message(why));
}

void RowWriter::add(CellRow row) {
  row.written = seconds_now();
  if (!file_.is_open()) create();
  write(json_of(row).dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
  if (since_flushed_.seconds() < 1) return;
  ::fdatasync(file_.number());
  since_flushed_.restart();
}

}  // namespace steplapse
