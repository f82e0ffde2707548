#include "studies/sweep/sweep_rows.h"

#include <algorithm>
#include <fstream>
#include <utility>

#include "base/file_io.h"
#include "base/text.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr size_t kLargestPlan = size_t{64} << 20;

std::vector<fs::path> row_paths(const fs::path& sweep) {
  std::vector<fs::path> paths;
  std::error_code error;
  if (!fs::exists(rows_folder(sweep), error)) return paths;
  for (fs::directory_iterator entry(rows_folder(sweep), error), end; !error && entry != end; entry.increment(error)) {
    if (entry->path().extension() == ".jsonl") paths.push_back(entry->path());
  }
  if (error) throw UsageError(in_quotes(rows_folder(sweep).string()) + ": cannot read: " + error.message());
  std::sort(paths.begin(), paths.end());
  return paths;
}

/// Reads the lines of a file that are whole: its process may have died in the last one, or be writing it now.
class WholeLines {
 public:
  explicit WholeLines(const fs::path& path) : path_(path), file_(path, std::ios::binary) {
    if (!file_) throw UsageError(in_quotes(path.string()) + ": cannot read");
  }
  bool next() {
    ++number_;
    return std::getline(file_, text_) && !file_.eof();  // eof: no line end came
  }
  /// What `read` makes of the line. @throws UsageError  it throws
  template <typename Read>
  auto as(const char* expected, Read read) const {
    try {
      return read(ordered_json::parse(text_));
    } catch (const std::exception& error) {
      throw UsageError(path_.string() + ":" + std::to_string(number_) + ": is not " + expected + " (" +
                       escaped(error.what(), 120) + "); delete the line, and what it told of is made again");
    }
  }

 private:
  fs::path path_;
  std::ifstream file_;
  std::string text_;
  int64_t number_ = 0;
};

RowsHeader header_in(const ordered_json& json) {
  RowsHeader header;
  json.at("plan_sha256").get_to(header.plan_sha256);
  if (const auto& shard = json.at("shard"); !shard.is_null())
    header.shard = Shard{shard.at(0).get<size_t>(), shard.at(1).get<size_t>()};
  return header;
}

/// None where the process died before it had written one.
std::optional<RowsHeader> header_of(WholeLines& lines) {
  if (!lines.next()) return std::nullopt;
  return lines.as("the header of a sweep's rows", header_in);
}

void check_plan(const fs::path& path, const RowsHeader& header, const std::string& plan_sha256) {
  if (header.plan_sha256 == plan_sha256) return;
  throw UsageError(path.string() + ": its rows are of another plan, " + header.plan_sha256.substr(0, 12) +
                   "…; the one here is " + plan_sha256.substr(0, 12) + "…");
}

}  // namespace

fs::path rows_folder(const fs::path& sweep) { return sweep / "rows"; }
fs::path plan_file(const fs::path& sweep) { return sweep / "plan.json"; }

std::string rows_header(const RowsHeader& header) {
  ordered_json json{{"shard", nullptr}, {"plan_sha256", header.plan_sha256}};
  if (header.shard) json["shard"] = {header.shard->number, header.shard->of};
  return json.dump() + "\n";
}

std::vector<std::pair<fs::path, RowsHeader>> row_files_in(const fs::path& sweep) {
  std::vector<std::pair<fs::path, RowsHeader>> files;
  for (const fs::path& path : row_paths(sweep)) {
    WholeLines lines(path);
    if (const auto header = header_of(lines)) files.emplace_back(path, *header);
  }
  return files;
}

void each_row(const fs::path& sweep, const std::string& plan_sha256, size_t cells,
              const std::function<void(CellRow row)>& visit) {
  for (const fs::path& path : row_paths(sweep)) {
    WholeLines lines(path);
    const auto header = header_of(lines);
    if (!header) continue;
    check_plan(path, *header, plan_sha256);
    while (lines.next()) {
      visit(lines.as("a row of this sweep", [&](const ordered_json& json) {
        CellRow row = cell_row_in(json);
        if (row.cell >= cells) throw std::out_of_range("cell " + std::to_string(row.cell) + " is not of the plan");
        return row;
      }));
    }
  }
}

std::vector<std::optional<CellRow>> rows_in(const fs::path& sweep, const SweepPlan& plan) {
  std::vector<std::optional<CellRow>> rows(plan.cells());
  each_row(sweep, sha256_of(plan), rows.size(), [&](CellRow row) {
    auto& known = rows[row.cell];
    if (!known || known->written <= row.written) known = std::move(row);
  });
  return rows;
}

SweepPlan plan_in(const fs::path& sweep) {
  std::error_code unreadable;
  if (!fs::exists(plan_file(sweep), unreadable)) {
    throw UsageError(in_quotes(sweep.string()) + ": holds no sweep (no plan.json); expected a folder that " +
                     "steplapse sweep has made");
  }
  return sweep_plan_in(read_whole(plan_file(sweep), kLargestPlan), plan_file(sweep).string());
}

}  // namespace steplapse
