#pragma once

#include <filesystem>

#include "base/file_io.h"
#include "base/stopwatch.h"
#include "studies/sweep/cell_row.h"
#include "studies/sweep/sweep_rows.h"

namespace steplapse {

/// The rows of one process: a new file in DIR/rows/, made with its first row. A row is one write(2), so that a kill leaves
/// it whole or, on a disk that is full, cut off; it is flushed to the disk about once a second, and at the end.
class RowWriter {
 public:
  RowWriter(const std::filesystem::path& sweep, RowsHeader header);
  ~RowWriter();

  /// Notes the time in the row. @throws OutputError
  void add(CellRow row);

 private:
  void create();
  void write(const std::string& line);

  std::filesystem::path folder_, path_;
  RowsHeader header_;
  Descriptor file_{-1};
  Stopwatch since_flushed_;
};

}  // namespace steplapse
