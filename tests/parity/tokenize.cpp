// tokenize VOCAB MERGES BOS EOS PAD: for each JSON string on stdin, one a line, the ids that kind clip_bpe gives it and
// the byte where each piece begins: {"ids": [...], "begins": [...]}.
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "model/tokenizer.h"

namespace {

std::string read(const char* path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

int main(int count, char** arguments) try {
  if (count != 6) throw std::invalid_argument("wanted VOCAB MERGES BOS EOS PAD");
  const steplapse::Manifest::Tokenizer spec{
      steplapse::TokenizerKind::clip_bpe, {arguments[1], arguments[2]}, 77,
      std::stoll(arguments[3]),           std::stoll(arguments[4]),     std::stoll(arguments[5])};
  const steplapse::Tokenizer tokenizer(spec, {read(arguments[1]), read(arguments[2])});
  for (std::string line; std::getline(std::cin, line);) {
    nlohmann::json ids = nlohmann::json::array(), begins = ids;
    for (const auto& piece : tokenizer.pieces(nlohmann::json::parse(line).get<std::string>())) {
      ids.push_back(piece.id);
      begins.push_back(piece.begin);
    }
    std::cout << nlohmann::json{{"ids", ids}, {"begins", begins}} << '\n';
  }
} catch (const std::exception& error) {
  std::cerr << "tokenize: " << error.what() << '\n';
  return 1;
}
