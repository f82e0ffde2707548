#pragma once

#include <cstddef>
#include <list>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "steplapse/tensor.h"

namespace steplapse {

/// What the network answered, by what it was asked. The answers that nobody asked for the longest are dropped first.
class AnswerCache {
 public:
  explicit AnswerCache(size_t most_bytes) : most_bytes_(most_bytes) {}

  bool has(const std::string& key) const { return places_.contains(key); }
  std::optional<Tensor> find(const std::string& key);
  void keep(const std::string& key, const Tensor& answer);

 private:
  using Kept = std::list<std::pair<std::string, Tensor>>;  // the last one asked for comes first
  static size_t bytes_of(const Kept::value_type& kept);

  const size_t most_bytes_;
  size_t bytes_ = 0;
  Kept kept_;
  std::unordered_map<std::string, Kept::iterator> places_;
};

/// A text that stands for the numbers, shape included: equal for tensors that are equal to the bit.
std::string key_of(const Tensor& tensor);
std::string key_of(const std::vector<Tensor>& tensors);

}  // namespace steplapse
