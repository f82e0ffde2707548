#pragma once

#include <vector>

#include "model/tokenizer.h"

namespace steplapse {

/// One member of all pieces.
template <class Member>
std::vector<Member> each(const std::vector<Piece>& pieces, Member Piece::* member) {
  std::vector<Member> values;
  for (const Piece& piece : pieces) values.push_back(piece.*member);
  return values;
}

}  // namespace steplapse
