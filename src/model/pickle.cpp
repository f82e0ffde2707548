#include "model/pickle.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <stdexcept>

// The opcodes: https://github.com/python/cpython/blob/main/Lib/pickletools.py.

namespace steplapse {
namespace {

class Reader {
 public:
  Reader(std::string_view bytes, std::deque<PickledValue>& values) : bytes_(bytes), values_(values) {}

  const PickledValue* read() {
    if (take<uint8_t>() != 0x80 || take<uint8_t>() != 2) refuse("no pickle of protocol 2");
    for (;;) {
      const char opcode = take<char>();
      if (opcode == '.') return pop();
      step(opcode);
    }
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw std::invalid_argument(what + " at byte " + std::to_string(at_));
  }

  std::string_view take(size_t count) {
    if (count > bytes_.size() - at_) refuse("ends in the middle");
    at_ += count;
    return bytes_.substr(at_ - count, count);
  }
  template <class T>
  T take() {
    T number;
    std::memcpy(&number, take(sizeof(T)).data(), sizeof(T));
    return number;
  }
  std::string line() {
    const size_t end = bytes_.find('\n', at_);
    if (end == std::string_view::npos) refuse("ends in the middle");
    const std::string text(take(end - at_));
    take(1);
    return text;
  }

  void push(decltype(PickledValue::value) value) {
    stack_.push_back(&values_.emplace_back(PickledValue{std::move(value)}));
  }
  PickledValue* pop() {
    if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) refuse("takes a value that is not there");
    PickledValue* top = stack_.back();
    stack_.pop_back();
    return top;
  }
  /// The values above the last mark, which goes too.
  std::vector<const PickledValue*> pop_to_mark() {
    if (marks_.empty()) refuse("takes a mark that is not there");
    std::vector<const PickledValue*> items(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }
  /// The value on top of the stack, which must be a T.
  template <class T>
  T& top() {
    PickledValue* value = pop();
    stack_.push_back(value);
    T* found = std::get_if<T>(&value->value);
    if (!found) refuse("fills what is no container");
    return *found;
  }

  void tuple_of(size_t count) {
    std::vector<const PickledValue*> items(count);
    for (size_t i = count; i-- > 0;) items[i] = pop();
    push(PickledValue::Tuple{std::move(items)});
  }
  void append_items() {
    const auto items = pop_to_mark();
    auto& list = top<PickledValue::List>().items;
    list.insert(list.end(), items.begin(), items.end());
  }
  void set_items() {
    const auto items = pop_to_mark();
    if (items.size() % 2 != 0) refuse("sets a key without a value");
    auto& dict = top<PickledValue::Dict>().items;
    for (size_t i = 0; i < items.size(); i += 2) dict.emplace_back(items[i], items[i + 1]);
  }
  void name() {
    std::string module = line();
    push(PickledValue::Name{std::move(module), line()});
  }
  void call() {
    const PickledValue* arguments = pop();
    const PickledValue* callee = pop();
    push(PickledValue::Call{callee, arguments});
  }
  void remember(uint32_t key) {
    PickledValue* value = pop();
    stack_.push_back(value);
    memo_[key] = value;
  }
  void recall(uint32_t key) {
    const auto found = memo_.find(key);
    if (found == memo_.end()) refuse("recalls what it never stored");
    stack_.push_back(found->second);
  }
  double big_endian_double() {
    char bytes[8];
    std::memcpy(bytes, take(8).data(), 8);
    std::reverse(bytes, bytes + 8);
    double number;
    std::memcpy(&number, bytes, 8);
    return number;
  }
  int64_t long_integer() {
    if (take<uint8_t>() != 8) refuse("a long integer that is not of 8 bytes");
    return take<int64_t>();
  }

  void step(char opcode) {
    switch (opcode) {
      case 'N': return push(PickledValue::None{});
      case '\x88': return push(true);
      case '\x89': return push(false);
      case 'K': return push(int64_t{take<uint8_t>()});
      case 'M': return push(int64_t{take<uint16_t>()});
      case 'J': return push(int64_t{take<int32_t>()});
      case '\x8a': return push(long_integer());
      case 'G': return push(big_endian_double());
      case 'X': return push(std::string(take(take<uint32_t>())));
      case '(': return marks_.push_back(stack_.size());
      case ')': return push(PickledValue::Tuple{});
      case '\x85': return tuple_of(1);
      case '\x86': return tuple_of(2);
      case '\x87': return tuple_of(3);
      case 't': return push(PickledValue::Tuple{pop_to_mark()});
      case ']': return push(PickledValue::List{});
      case 'e': return append_items();
      case '}': return push(PickledValue::Dict{});
      case 'u': return set_items();
      case 'c': return name();
      case '\x81': pop(); return;  // a new object: its class stays, its empty arguments go, its state comes with 'b'
      case 'b':
      case 'R': return call();
      case 'Q': return push(PickledValue::Storage{pop()});
      case 'q': return remember(take<uint8_t>());
      case 'r': return remember(take<uint32_t>());
      case 'h': return recall(take<uint8_t>());
      case 'j': return recall(take<uint32_t>());
      default: refuse("opcode " + std::to_string(static_cast<unsigned char>(opcode)) + " of no program");
    }
  }

  std::string_view bytes_;
  size_t at_ = 0;
  std::deque<PickledValue>& values_;
  std::vector<PickledValue*> stack_;
  std::vector<size_t> marks_;
  std::map<uint32_t, PickledValue*> memo_;
};

}  // namespace

Pickle::Pickle(std::string_view bytes) : root_(Reader(bytes, values_).read()) {}

}  // namespace steplapse
