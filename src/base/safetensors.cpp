#include "base/safetensors.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <system_error>
#include <vector>

#include "base/aten.h"
#include "base/file_io.h"
#include "base/mapped_file.h"
#include "base/strict_json.h"

// The format: https://github.com/huggingface/safetensors#format. Eight bytes of header length N (little-endian), N
// bytes of JSON {"name": {"dtype", "shape", "data_offsets": [begin, end]}, ...}, then the data, all of it used.

namespace steplapse {
namespace {

using nlohmann::json;

constexpr uint64_t kLongestHeader = 100'000'000;  // the reference implementation's limit
constexpr uint64_t kPrefix = 8;                   // bytes of the header's length

struct Dtype {
  const char* name;
  at::ScalarType type;
};
constexpr Dtype kDtypes[] = {
    {"F32", at::kFloat}, {"F16", at::kHalf},  {"BF16", at::kBFloat16}, {"F64", at::kDouble}, {"I64", at::kLong},
    {"I32", at::kInt},   {"I16", at::kShort}, {"I8", at::kChar},       {"U8", at::kByte},    {"BOOL", at::kBool},
};

/// What the header says of one tensor.
struct TensorEntry {
  std::string name;
  at::ScalarType dtype;
  std::vector<int64_t> shape;
  uint64_t begin, end;  ///< bytes of the data
};

/// What is wrong with the file, without its path.
struct Wrong : std::runtime_error {
  using std::runtime_error::runtime_error;
};

uint64_t unsigned_of(const json& value, const std::string& place) {
  if (!value.is_number_unsigned()) throw Wrong(place + " is " + shown(value) + ", expected an integer, not negative");
  return value.get<uint64_t>();
}

at::ScalarType dtype_of(const json& value, const std::string& place) {
  for (const Dtype& dtype : kDtypes) {
    if (value == dtype.name) return dtype.type;
  }
  throw Wrong(place + " has dtype " + shown(value) + ", expected F32, F16, BF16, I64 or another that PyTorch has");
}

uint64_t times(uint64_t a, uint64_t b, const std::string& place) {
  uint64_t product;
  if (__builtin_mul_overflow(a, b, &product) || product > INT64_MAX)
    throw Wrong(place + " has a shape of more than 2^63 bytes");
  return product;
}

TensorEntry entry_of(const std::string& name, const json& value, uint64_t data_size) {
  const std::string place = "tensor " + shown(json(name));
  if (!value.is_object() || value.size() != 3 || !value.contains("dtype") || !value.contains("shape") ||
      !value.contains("data_offsets") || !value["shape"].is_array() || !value["data_offsets"].is_array() ||
      value["data_offsets"].size() != 2) {
    throw Wrong(place + " must have dtype, shape and data_offsets [begin, end], and nothing else");
  }
  TensorEntry entry{name,
                    dtype_of(value["dtype"], place),
                    {},
                    unsigned_of(value["data_offsets"][0], place + "'s begin"),
                    unsigned_of(value["data_offsets"][1], place + "'s end")};
  uint64_t bytes = at::elementSize(entry.dtype);
  for (const json& side : value["shape"]) {
    bytes = times(bytes, std::max<uint64_t>(1, unsigned_of(side, place + "'s shape")), place);
    entry.shape.push_back(side.get<int64_t>());
  }
  if (std::count(entry.shape.begin(), entry.shape.end(), 0) > 0) bytes = 0;
  if (entry.begin > entry.end || entry.end > data_size) {
    throw Wrong(place + " lies at bytes " + std::to_string(entry.begin) + " to " + std::to_string(entry.end) + " of " +
                std::to_string(data_size));
  }
  if (entry.end - entry.begin != bytes) {
    throw Wrong(place + " has " + std::to_string(entry.end - entry.begin) + " bytes, its dtype and shape ask for " +
                std::to_string(bytes));
  }
  return entry;
}

/// Sorts the entries by their place. Each must begin where the one before it ends; the last must end where the data
/// ends.
void check_covered(std::vector<TensorEntry>& entries, uint64_t data_size) {
  std::sort(entries.begin(), entries.end(), [](const TensorEntry& a, const TensorEntry& b) {
    return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
  });
  uint64_t covered = 0;
  for (const TensorEntry& entry : entries) {
    if (entry.begin != covered) {
      throw Wrong("tensor " + shown(json(entry.name)) + " begins at byte " + std::to_string(entry.begin) + ", " +
                  (entry.begin < covered ? "inside the one before, which ends at " : "after a gap from ") +
                  std::to_string(covered));
    }
    covered = entry.end;
  }
  if (covered != data_size) {
    throw Wrong("its tensors end at byte " + std::to_string(covered) + " of " + std::to_string(data_size));
  }
}

void check_metadata(const json& metadata) {
  const auto is_text = [](const json& value) { return value.is_string(); };
  if (!metadata.is_object() || !std::all_of(metadata.begin(), metadata.end(), is_text)) {
    throw Wrong("'__metadata__' is not an object of texts");
  }
}

std::vector<TensorEntry> header_of(std::string_view text, uint64_t data_size) {
  const json header = parse_strict_json(text);
  if (!header.is_object()) throw Wrong("its header is " + shown(header) + ", expected an object");
  std::vector<TensorEntry> entries;
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") {
      check_metadata(value);
    } else {
      entries.push_back(entry_of(name, value, data_size));
    }
  }
  check_covered(entries, data_size);
  return entries;
}

std::vector<TensorEntry> header_of_file(std::string_view file, uint64_t* data_begin) {
  uint64_t length;
  if (file.size() < kPrefix) throw Wrong("has " + std::to_string(file.size()) + " bytes, too few for a header");
  std::memcpy(&length, file.data(), kPrefix);
  if (length > kLongestHeader || length > file.size() - kPrefix) {
    throw Wrong("says its header has " + std::to_string(length) + " bytes, the file has " +
                std::to_string(file.size()));
  }
  *data_begin = kPrefix + length;
  return header_of(file.substr(kPrefix, length), file.size() - *data_begin);
}

Tensor view_of(const std::shared_ptr<MappedFile>& mapping, uint64_t data_begin, const TensorEntry& entry) {
  char* data = mapping->bytes() + data_begin + entry.begin;
  const auto options = at::TensorOptions(entry.dtype);
  if (entry.begin == entry.end) return at::empty(entry.shape, options);
  if (reinterpret_cast<uintptr_t>(data) % at::elementSize(entry.dtype) == 0) {
    return at::from_blob(data, entry.shape, [mapping](void*) {}, options);
  }
  const Tensor copy = at::empty(entry.shape, options);  // misaligned by a header of odd length: rare
  std::memcpy(copy.mutable_data_ptr(), data, entry.end - entry.begin);
  return copy;
}

NamedTensors tensors_of(int descriptor, const std::string& path) {
  struct stat status;
  if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) throw Wrong("is not a plain file");
  const auto mapping = std::make_shared<MappedFile>(descriptor, static_cast<size_t>(status.st_size), path);
  uint64_t data_begin = 0;
  NamedTensors tensors;
  for (const TensorEntry& entry : header_of_file({mapping->bytes(), mapping->size()}, &data_begin)) {
    tensors[entry.name] = view_of(mapping, data_begin, entry);
  }
  return tensors;
}

}  // namespace

NamedTensors map_safetensors(int descriptor, const std::string& path) {
  try {
    return tensors_of(descriptor, path);
  } catch (const Wrong& error) {
    throw SafetensorsError(path + ": " + error.what());
  } catch (const std::system_error& error) {
    throw SafetensorsError(path + ": can't be mapped: " + error.code().message());
  } catch (const std::invalid_argument& error) {
    throw SafetensorsError(path + ": its header " + error.what());
  }
}

NamedTensors read_safetensors(const std::filesystem::path& path) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.is_open()) throw SafetensorsError(path.string() + ": can't be opened: " + std::strerror(errno));
  return map_safetensors(file.number(), path.string());
}

std::string to_safetensors(const NamedTensors& tensors, const std::map<std::string, std::string>& metadata) {
  json header = json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::vector<std::pair<std::string, Tensor>> sorted(tensors.begin(), tensors.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second.element_size() > b.second.element_size(); });
  std::string data;
  for (const auto& [name, tensor] : sorted) {
    const Tensor plain = tensor.cpu().contiguous();
    const size_t begin = data.size();
    data.append(static_cast<const char*>(plain.const_data_ptr()), plain.nbytes());
    header[name] = {{"dtype", safetensors_dtype(plain.scalar_type())},
                    {"shape", plain.sizes().vec()},
                    {"data_offsets", {begin, data.size()}}};
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // so that the data is aligned
  const uint64_t length = text.size();
  return std::string(reinterpret_cast<const char*>(&length), kPrefix) + text + data;
}

std::string safetensors_dtype(at::ScalarType type) {
  for (const Dtype& dtype : kDtypes) {
    if (dtype.type == type) return dtype.name;
  }
  throw std::invalid_argument(std::string("safetensors has no dtype for ") + at::toString(type));
}

}  // namespace steplapse
