#include "studies/sweep/sweep_results.h"

#include <fcntl.h>

#include "base/file_io.h"
#include "base/text.h"
#include "steplapse/error.h"
#include "studies/sweep/sweep_grid.h"
#include "studies/sweep/sweep_table.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostPages = 24;           // that are drawn without being asked for
constexpr size_t kWrittenAtOnce = 1 << 20;  // bytes

/// Shards end at about one time, and each writes the results. Where a file system has no locks, they take their chance.
class ResultsLock {
 public:
  explicit ResultsLock(const fs::path& sweep)
      : file_(::open((sweep / "results.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {
    struct flock whole{};
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    if (file_.is_open()) ::fcntl(file_.number(), F_SETLKW, &whole);
  }

 private:
  Descriptor file_;
};

/// A file of many lines, written as it grows.
class LinesFile {
 public:
  explicit LinesFile(const fs::path& path) : file_(path) {}
  void add(const std::string& line) {
    text_ += line;
    if (text_.size() >= kWrittenAtOnce) flush();
  }
  void finish() {
    flush();
    file_.finish();
  }

 private:
  void flush() {
    file_.write(text_);
    text_.clear();
  }

  PartFile file_;
  std::string text_;
};

std::string draw_grid(const Sweep& sweep) {
  const std::string way = "steplapse sweep grid " + shell_quoted(escaped(sweep.folder.string()));
  try {
    const SweepGrid grid(sweep);
    if (grid.pages() > kMostPages)
      return "no grid is drawn, it would have " + std::to_string(grid.pages()) + " pages; " + way + " draws it";
    for (size_t page = 0; page < grid.pages(); ++page)
      write_whole(SweepGrid::file_of(sweep.folder / "grid.png", page), grid.png(page));
    return "";
  } catch (const UsageError& error) {  // too large
    return std::string("no grid is drawn: ") + error.what();
  } catch (const OutputError& error) {  // no fonts, or no room
    return std::string("no grid is drawn: ") + error.what();
  }
}

void write_sweep_tables(const Sweep& sweep) {
  const auto distances = distances_in(sweep);
  const SweepTable table(sweep, distances);
  LinesFile csv(sweep.folder / "results.csv"), jsonl(sweep.folder / "results.jsonl");
  csv.add(table.csv_header());
  for (size_t cell = 0; cell < sweep.rows.size(); ++cell) {
    const auto row = table.row(cell);
    csv.add(SweepTable::csv_line(row));
    jsonl.add(SweepTable::json_line(row));
  }
  csv.finish();
  jsonl.finish();
}

std::string write_all(const Sweep& sweep) {
  write_sweep_tables(sweep);
  return draw_grid(sweep);
}

}  // namespace

std::string write_sweep_results(const fs::path& folder) {
  const ResultsLock lock(folder);
  return write_all(sweep_in(folder));
}

std::string write_sweep_results(const Sweep& sweep) {
  const ResultsLock lock(sweep.folder);
  return write_all(sweep);
}

}  // namespace steplapse
