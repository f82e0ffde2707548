#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace steplapse::sqlite {

/// An open database. Every failure is an OutputError with the file's name and SQLite's message.
class Database {
 public:
  /// @param file  what is opened in the place of `path`, such as a copy of it
  Database(const std::filesystem::path& path, int flags, const std::filesystem::path& file);
  Database(const std::filesystem::path& path, int flags) : Database(path, flags, path) {}
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  ~Database() { sqlite3_close(handle_); }

  void execute(const std::string& sql);
  bool in_transaction() const { return sqlite3_get_autocommit(handle_) == 0; }
  const std::filesystem::path& path() const { return path_; }
  [[noreturn]] void fail() const;

 private:
  friend class Statement;
  std::filesystem::path path_;
  sqlite3* handle_ = nullptr;
};

/// Bytes to store as a blob. Strings are stored as text.
struct Blob {
  std::string_view bytes;
};

/// One statement. Its values are bound in order; its columns are numbered from 0.
class Statement {
 public:
  template <typename... Values>
  Statement(Database& database, const char* sql, const Values&... values) : database_(database) {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(database.handle_, sql, -1, &statement, nullptr) != SQLITE_OK) database.fail();
    statement_.reset(statement);
    (bind(values), ...);
  }

  bool next();  ///< goes to the next row; @return false where there is none

  bool is_null(int column) { return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL; }
  int type(int column) { return sqlite3_column_type(statement_.get(), column); }
  int64_t integer(int column) { return sqlite3_column_int64(statement_.get(), column); }
  double real(int column) { return sqlite3_column_double(statement_.get(), column); }
  std::string text(int column);  ///< of a text or blob column
  std::optional<double> maybe_real(int column) { return is_null(column) ? std::nullopt : std::optional(real(column)); }

 private:
  void bind(int64_t value) { check(sqlite3_bind_int64(statement_.get(), ++bound_, value)); }
  void bind(double value) { check(sqlite3_bind_double(statement_.get(), ++bound_, value)); }
  void bind(std::string_view text);
  void bind(const std::string& text) { bind(std::string_view(text)); }
  void bind(Blob blob);
  template <typename Value>
  void bind(const std::optional<Value>& value) {
    if (value) return bind(*value);
    check(sqlite3_bind_null(statement_.get(), ++bound_));
  }
  void check(int status) {
    if (status != SQLITE_OK) database_.fail();
  }

  Database& database_;
  std::unique_ptr<sqlite3_stmt, decltype(&sqlite3_finalize)> statement_{nullptr, sqlite3_finalize};
  int bound_ = 0;
};

/// Runs a statement that gives no rows.
template <typename... Values>
void run(Database& database, const char* sql, const Values&... values) {
  Statement(database, sql, values...).next();
}

}  // namespace steplapse::sqlite
