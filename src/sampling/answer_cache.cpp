#include "sampling/answer_cache.h"

#include <string_view>

#include "base/aten.h"
#include "base/sha256.h"
#include "base/shape_text.h"

namespace steplapse {

std::optional<Tensor> AnswerCache::find(const std::string& key) {
  const auto place = places_.find(key);
  if (place == places_.end()) return std::nullopt;
  kept_.splice(kept_.begin(), kept_, place->second);
  return place->second->second;
}

void AnswerCache::keep(const std::string& key, const Tensor& answer) {
  if (has(key)) return;
  kept_.emplace_front(key, answer);
  places_[key] = kept_.begin();
  bytes_ += bytes_of(kept_.front());
  while (bytes_ > most_bytes_ && !kept_.empty()) {
    bytes_ -= bytes_of(kept_.back());
    places_.erase(kept_.back().first);
    kept_.pop_back();
  }
}

size_t AnswerCache::bytes_of(const Kept::value_type& kept) { return 2 * kept.first.size() + kept.second.nbytes(); }

std::string key_of(const Tensor& tensor) {
  const Tensor numbers = tensor.contiguous();
  return shape_text(numbers.sizes()) + sha256({static_cast<const char*>(numbers.const_data_ptr()), numbers.nbytes()});
}

std::string key_of(const std::vector<Tensor>& tensors) {
  std::string keys;
  for (const Tensor& tensor : tensors) keys += key_of(tensor);
  return sha256(keys);
}

}  // namespace steplapse
