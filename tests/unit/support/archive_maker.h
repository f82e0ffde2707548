#pragma once

#include <map>
#include <string>

namespace steplapse::test_support {

/// A pickle of an object of class `name` in module `__torch__`, with a pickled dict as its state.
std::string pickled_object(const std::string& name, const std::string& dict = "}");
std::string pickled_text(const std::string& text);
/// A pickled dict of names and pickled values.
std::string pickled_dict(const std::map<std::string, std::string>& items);
/// A pickled float32 tensor: numbers from the record `key`, of one dimension.
std::string pickled_tensor(const std::string& key, int elements, int size, int stride, int offset = 0);
std::string pickle_of(const std::string& value);

/// A TorchScript archive written by hand: code, pickles and whatever else, as no exporter would write it.
using Entries = std::map<std::string, std::string>;
std::string archive_of(const Entries& entries, bool compress = false);

/// The entries of a program whose code is this and whose module is an M without attributes.
Entries program_of(const std::string& code);

/// A class M with these lines as its forward.
std::string forward_of(const std::string& lines);

}  // namespace steplapse::test_support
