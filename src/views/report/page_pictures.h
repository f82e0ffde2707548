#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/temporary_folder.h"
#include "views/picture.h"
#include "views/report/report.h"

namespace steplapse {

/// Pictures that a page will hold: kept on the disk until it is known how small they must become.
class PagePictures {
 public:
  /// @param file  its path in a folder beside the page, should there be one
  /// @return its number
  size_t add(const Picture& picture, const std::filesystem::path& file);

  size_t size() const { return pictures_.size(); }
  std::filesystem::path file(size_t number) const { return pictures_.at(number).file; }
  Picture picture(size_t number) const;
  std::string png(size_t number) const;      ///< the bytes
  ReportPicture shown(size_t number) const;  ///< its size, without a source

  static constexpr int kLossless = 101;  ///< in place of a quality: PNG

  /// All pictures as data: addresses of at most so many bytes together: lossless where they fit, else as WebP of the
  /// highest quality that fits, and of half or a quarter of the sides where none does.
  struct Fitted {
    std::vector<std::string> sources;  ///< by number
    int quality = kLossless;           ///< of WebP
    int part = 1;                      ///< the sides were divided by this
    size_t bytes() const;              ///< of the sources together
  };
  Fitted fitted(size_t most_bytes) const;

 private:
  struct Kept {
    std::filesystem::path file;
    int64_t width, height;
    size_t bytes;  ///< of its PNG
  };
  std::filesystem::path place(size_t number) const;
  std::vector<Picture> sampled() const;
  /// The highest quality at which, by a sample, all fit; below the lowest where none does.
  int best_quality(const std::vector<Picture>& sample, int part, size_t most_bytes) const;
  Fitted encoded(int quality, int part) const;

  TemporaryFolder folder_;
  std::vector<Kept> pictures_;
};

}  // namespace steplapse
