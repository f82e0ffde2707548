#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/child_process.h"
#include "base/file_io.h"
#include "base/signals.h"
#include "views/film/film_file.h"

namespace steplapse {

/// ffmpeg at work on PATH.part, fed with raw pictures.
class Ffmpeg {
 public:
  /// @param arguments  for its output: filters, codec, format
  /// @throws OutputError  it can't be started, or the file not be written
  Ffmpeg(const FilmFile& file, const FilmFacts& facts, double rate, const std::vector<std::string>& arguments);

  /// @throws OutputError  it has failed; the text has its last words
  void write(const Picture& picture);
  void finish();  ///< waits for it; PATH.part is whole then

  PartFile& file() { return part_; }

 private:
  [[noreturn]] void fail(const std::string& words) const;

  std::filesystem::path path_;
  PartFile part_;
  ChildProcess process_;
  SignalWatch watch_;  // a signal leaves neither the process nor its file behind
};

}  // namespace steplapse
