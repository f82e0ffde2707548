#include "base/sqlite.h"

#include "base/text.h"
#include "steplapse/error.h"

namespace steplapse::sqlite {

Database::Database(const std::filesystem::path& path, int flags, const std::filesystem::path& file) : path_(path) {
  if (sqlite3_open_v2(file.c_str(), &handle_, flags, nullptr) == SQLITE_OK) {
    sqlite3_busy_timeout(handle_, 60'000);  // a reader of the log may hold it for a while
    return;
  }
  const std::string why = sqlite3_errmsg(handle_);
  sqlite3_close(handle_);
  throw OutputError(path.string() + ": " + why);
}

void Database::fail() const {
  throw OutputError(path_.string() + ": " + escaped(sqlite3_errmsg(handle_), 300));  // it may quote a damaged file
}

void Database::execute(const std::string& sql) {
  if (sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) fail();
}

bool Statement::next() {
  const int status = sqlite3_step(statement_.get());
  if (status != SQLITE_ROW && status != SQLITE_DONE) database_.fail();
  return status == SQLITE_ROW;
}

std::string Statement::text(int column) {
  const void* bytes = sqlite3_column_blob(statement_.get(), column);
  return {static_cast<const char*>(bytes), static_cast<size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

void Statement::bind(std::string_view text) {
  check(sqlite3_bind_text64(statement_.get(), ++bound_, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8));
}

void Statement::bind(Blob blob) {
  check(sqlite3_bind_blob64(statement_.get(), ++bound_, blob.bytes.data(), blob.bytes.size(), SQLITE_TRANSIENT));
}

}  // namespace steplapse::sqlite
