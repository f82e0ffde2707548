#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cli/flag_values.h"

namespace steplapse {

/// What is to be done with a flag that was given, once a command is parsed.
struct Reader {
  std::function<void()> read;
  std::string flag = {};  ///< "" where several are looked at
  /// Sets what the flag's text means, given or not.
  std::function<void(const std::string& flag, const std::string& text)> set = {};
};
using Readers = std::vector<Reader>;

inline void read(const Readers& readers) {
  for (const auto& reader : readers) reader.read();
}

/// Adds flags to a group of a command's help, and to `readers` what each of them sets. The readers run in the order in which
/// the flags were added, and only for those that were given.
class Binder {
 public:
  Binder(CLI::App& command, std::string group, Readers& readers)
      : command_(command), group_(std::move(group)), readers_(readers) {}

  /// @param parse  value(flag, text): what the field gets; throws UsageError. The field must outlive the readers.
  template <typename Field, typename Parse>
  CLI::Option* operator()(const char* name, const char* type, const char* help, Field& field, Parse parse) {
    return with(name, type, help,
                [&field, parse](const std::string& flag, const std::string& text) { field = parse(flag, text); });
  }

  /// For a flag that sets more than a field. @param set  void(flag, text)
  template <typename Set>
  CLI::Option* with(const char* name, const char* type, const char* help, Set set) {
    const auto text = std::make_shared<std::string>();
    CLI::Option* option = command_.add_option(name, *text, help)->type_name(type)->group(group_);
    const auto if_given = [=, flag = std::string(name)] {
      if (option->count() > 0) set(flag, *text);
    };
    readers_.push_back({if_given, name, set});
    return option;
  }

 private:
  CLI::App& command_;
  std::string group_;
  Readers& readers_;
};

// ---- what a flag's text may be

inline auto number(double least, double most) {
  return [=](const std::string& flag, const std::string& text) { return real_number(flag, text, least, most); };
}

inline auto integer(int64_t least, int64_t most = kAnyNumber) {
  return [=](const std::string& flag, const std::string& text) { return integer_number(flag, text, least, most); };
}

inline std::string as_it_is(const std::string& /*flag*/, const std::string& text) { return text; }

}  // namespace steplapse
