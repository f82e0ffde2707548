#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace steplapse::fuzz {

/// Changes bytes and texts at random. All choices follow from the seed.
class Mutator {
 public:
  explicit Mutator(uint64_t seed) : random_(seed) {}

  size_t below(size_t end) { return end < 2 ? 0 : std::uniform_int_distribution<size_t>(0, end - 1)(random_); }
  bool one_in(size_t count) { return below(count) == 0; }
  template <typename Item>
  const Item& one_of(const std::vector<Item>& items) {
    return items[below(items.size())];
  }

  /// A number that is at some end, or any.
  int64_t number();

  /// One to six changes: bytes flipped or set, blocks copied, deleted or repeated, numbers of 1 to 8 bytes written over, ends
  /// cut off.
  /// @param other  where blocks are taken from too
  std::string bytes(std::string changed, const std::string& other);

  /// One to six changes of a text's words, numbers, signs and lines: deleted, repeated, exchanged, or replaced.
  /// @param words  what they are replaced by
  std::string text(const std::string& original, const std::vector<std::string>& words);

 private:
  void change_bytes(std::string& changed, const std::string& other);
  void change_tokens(std::vector<std::string>& tokens, const std::vector<std::string>& words);
  void change_lines(std::vector<std::string>& tokens);

  std::mt19937_64 random_;
};

}  // namespace steplapse::fuzz
