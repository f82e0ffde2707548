#pragma once

#include <cstddef>

namespace steplapse {

/// A part of a sweep: the cells i with i mod `of` = `number` - 1.
struct Shard {
  size_t number = 1, of = 1;  ///< number from 1

  bool has(size_t cell) const { return cell % of == number - 1; }
  bool operator==(const Shard&) const = default;
};

}  // namespace steplapse
