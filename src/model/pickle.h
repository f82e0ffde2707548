#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace steplapse {

/// A value of a pickle. Classes and functions are kept as names, and calls as a name with its arguments: nothing is
/// called. Values may be shared. In a hostile pickle a value may contain itself.
struct PickledValue {
  struct None {};
  struct Name {  ///< a class or function
    std::string module, name;
  };
  struct Call {  ///< a call that Python would make: a function with its arguments, or a class with its state
    const PickledValue* callee;
    const PickledValue* arguments;
  };
  struct Storage {  ///< the reference to a tensor's numbers
    const PickledValue* id;
  };
  struct Tuple {
    std::vector<const PickledValue*> items;
  };
  struct List {
    std::vector<const PickledValue*> items;
  };
  struct Dict {
    std::vector<std::pair<const PickledValue*, const PickledValue*>> items;
  };
  std::variant<None, bool, int64_t, double, std::string, Name, Call, Storage, Tuple, List, Dict> value;

  template <class T>
  const T* get() const {
    return std::get_if<T>(&value);
  }
};

/// A pickle as torch.jit.save writes it: protocol 2, with only the opcodes that its C++ writer uses. libtorch's own
/// reader trusts the stream: it runs the code that classes ask for, and believes counts and types. This one does
/// neither.
///
/// Source: https://github.com/python/cpython/blob/main/Lib/pickletools.py.
class Pickle {
 public:
  /// @throws std::invalid_argument  the pickle is malformed; the text names the byte
  explicit Pickle(std::string_view bytes);

  const PickledValue& root() const { return *root_; }

 private:
  std::deque<PickledValue> values_;  ///< all values; they point to each other
  const PickledValue* root_ = nullptr;
};

}  // namespace steplapse
