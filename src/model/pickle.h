#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace steplapse {

/// A value in a pickle. Classes and functions are names here, and what is made of them is the name with its arguments:
/// nothing is called. Values may be shared, and in a hostile pickle may hold themselves.
struct PickledValue {
  struct None {};
  struct Name {  ///< a class or function
    std::string module, name;
  };
  struct Call {  ///< what Python would call, and with what: a function with its arguments, a class with its state
    const PickledValue* callee;
    const PickledValue* arguments;
  };
  struct Storage {  ///< what a tensor's numbers are known by
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

/// A pickle as torch.jit.save writes it: protocol 2, and only the opcodes that its C++ writer uses. libtorch's own
/// reader trusts the stream (it runs what a class asks for, and believes counts and types); this one does not.
class Pickle {
 public:
  /// @throws std::invalid_argument  what is wrong, and at which byte
  explicit Pickle(std::string_view bytes);

  const PickledValue& root() const { return *root_; }

 private:
  std::deque<PickledValue> values_;  ///< all of them: they point at each other, and go together
  const PickledValue* root_ = nullptr;
};

}  // namespace steplapse
