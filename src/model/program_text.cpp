#include "model/program_text.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include "base/text.h"

namespace steplapse {
namespace {

constexpr size_t kLongestLine = 1 << 16;
constexpr size_t kLongestToken = 4096;
constexpr int kMostBrackets = 40;      // open at once
constexpr int kMostDots = 40;          // in one name or chain
constexpr size_t kDeepestIndent = 64;  // spaces
constexpr int kMostEmptyLines = 2;     // one after the other

/// Of Python's and TorchScript's words those that no traced module has.
constexpr std::array<std::string_view, 27> kOtherWords{
    "if",    "else",   "elif",   "for",  "while",    "with",  "lambda", "assert", "raise",
    "del",   "in",     "is",     "not",  "and",      "or",    "pass",   "break",  "continue",
    "yield", "global", "import", "from", "nonlocal", "async", "await",  "try",    "except"};

bool begins_word(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_'; }
bool in_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

class ProgramText {
 public:
  explicit ProgramText(const std::string& code) : code_(code) {}

  void check() {
    while (at_ < code_.size()) step();
    if (brackets_ != 0) refuse("leaves a bracket open");
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw Refused("its code " + what + " (line " + std::to_string(line_) + "); no program that was traced has that");
  }
  char here() const { return code_[at_]; }
  char behind(size_t distance = 1) const { return at_ + distance < code_.size() ? code_[at_ + distance] : '\0'; }

  void step() {
    const char c = here();
    if (c == '\n') return line_end();
    if (c == ' ') return spaces();
    if (begins_word(c)) return word();
    if (std::isdigit(static_cast<unsigned char>(c)) != 0) return number();
    if (c == '"' || c == '\'') return text();
    if (c == '-') return minus();
    if (c == '.') return dot();
    if (std::string_view("([{").find(c) != std::string_view::npos) return bracket(1);
    if (std::string_view(")]}").find(c) != std::string_view::npos) return bracket(-1);
    if (std::string_view(",:=").find(c) == std::string_view::npos) refuse("has a " + in_quotes(std::string(1, c)));
    if (c == '=' && behind() == '=') refuse("compares");
    if (c == ',' || c == '=') dots_ = 0;
    ++at_;
  }

  void line_end() {
    empty_lines_ = at_ == line_begins_ ? empty_lines_ + 1 : 0;
    if (empty_lines_ > kMostEmptyLines) refuse("has many empty lines");
    if (at_ - line_begins_ > kLongestLine) refuse("has a line of more than " + std::to_string(kLongestLine) + " bytes");
    line_begins_ = ++at_;
    ++line_;
    dots_ = 0;
  }
  void spaces() {
    const size_t begin = at_;
    while (at_ < code_.size() && here() == ' ') ++at_;
    if (at_ - begin > kDeepestIndent) refuse("is indented too deep");
  }
  void word() {
    const size_t begin = at_;
    while (at_ < code_.size() && in_word(here())) ++at_;
    if (at_ - begin > kLongestToken) refuse("has a name of " + std::to_string(at_ - begin) + " bytes");
    const std::string_view word = std::string_view(code_).substr(begin, at_ - begin);
    if (std::find(kOtherWords.begin(), kOtherWords.end(), word) != kOtherWords.end())
      refuse("has the word " + in_quotes(word));
  }
  /// 12, 1.5, 1.0000000000000001e-05, 2.j is not.
  void number() {
    const size_t begin = at_;
    const auto is_part = [&](char c) {
      const bool exponent = at_ > begin && (code_[at_ - 1] == 'e' || code_[at_ - 1] == 'E');
      return std::isdigit(static_cast<unsigned char>(c)) != 0 || c == '.' || c == 'e' || c == 'E' ||
             (exponent && (c == '-' || c == '+'));
    };
    while (at_ < code_.size() && is_part(here())) ++at_;
    if (at_ - begin > 40 || (at_ < code_.size() && in_word(here()))) refuse("has a number that is none");
  }
  /// A method of a text would be computed while the code is read.
  void text() {
    const char quote = here();
    const size_t begin = at_++;
    if (here_or_end() == quote && behind() == quote) refuse("has a text in three quotes");
    while (here_or_end() != quote) {
      if (here_or_end() == '\n' || here_or_end() == '\0') refuse("has a text that does not end in its line");
      at_ += here() == '\\' ? 2 : 1;
    }
    ++at_;
    if (at_ - begin > kLongestToken) refuse("has a text of " + std::to_string(at_ - begin) + " bytes");
    size_t next = at_;
    while (next < code_.size() && code_[next] == ' ') ++next;
    if (next < code_.size() && std::string_view(".([\"'").find(code_[next]) != std::string_view::npos)
      refuse("does something with a text");
  }
  char here_or_end() const { return at_ < code_.size() ? code_[at_] : '\0'; }

  /// -> of a function, or the sign of a number.
  void minus() {
    if (behind() != '>' && std::isdigit(static_cast<unsigned char>(behind())) == 0) refuse("has an operator");
    size_t before = at_;
    while (before > line_begins_ && code_[before - 1] == ' ') --before;
    const char last = before > line_begins_ ? code_[before - 1] : '\n';
    if (behind() != '>' && (in_word(last) || std::string_view(")]}\"'").find(last) != std::string_view::npos) &&
        !ends_with_return(before))
      refuse("has an operator");
    at_ += behind() == '>' ? 2 : 1;
  }
  bool ends_with_return(size_t end) const { return std::string_view(code_).substr(0, end).ends_with("return"); }

  void dot() {
    if (++dots_ > kMostDots) refuse("has a chain of many dots");
    ++at_;
  }
  void bracket(int change) {
    brackets_ += change;
    if (brackets_ < 0) refuse("closes a bracket that is not open");
    if (brackets_ > kMostBrackets) refuse("is nested too deep");
    ++at_;
  }

  const std::string& code_;
  size_t at_ = 0, line_begins_ = 0;
  int64_t line_ = 1;
  int brackets_ = 0, dots_ = 0, empty_lines_ = 0;
};

}  // namespace

void check_program_text(const std::string& code) { ProgramText(code).check(); }

}  // namespace steplapse
