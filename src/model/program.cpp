#include "model/program.h"

#include <torch/csrc/jit/operator_upgraders/upgraders_entry.h>
#include <torch/csrc/jit/serialization/import_source.h>

#include <cstring>
#include <map>
#include <sstream>
#include <string_view>
#include <vector>

#include "allowed_operators.h"
#include "base/aten.h"
#include "base/text.h"
#include "model/archive.h"
#include "model/libtorch_errors.h"
#include "model/libtorch_warnings.h"
#include "model/pickle.h"
#include "model/program_graph.h"
#include "model/program_text.h"
#include "model/program_tree.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

namespace jit = torch::jit;

constexpr int kDeepestNesting = 200;
constexpr int64_t kMostValues = 1'000'000;
constexpr size_t kMostCode = 6 << 20;  // bytes

bool begins(std::string_view text, std::string_view with) { return text.substr(0, with.size()) == with; }

const std::string& record(const Records& records, const std::string& name) {
  const auto found = records.find(name);
  if (found == records.end()) throw Refused("has no entry '" + name + "'; it is no TorchScript archive");
  return found->second;
}

// ---- The code

const std::set<std::string>& allowed_operators() {
  static const std::set<std::string> allowed = [] {
    std::set<std::string> names;
    std::istringstream lines{std::string(kAllowedOperators)};
    for (std::string line; std::getline(lines, line);) {
      if (!line.empty() && line[0] != '#') names.insert(line);
    }
    return names;
  }();
  return allowed;
}

/// So that compiling it runs nothing.
void check_code(const Records& records) {
  size_t bytes = 0;
  for (const auto& [name, content] : records) {
    if (!begins(name, "code/")) continue;
    bytes += content.size();
    if (bytes > kMostCode) throw Refused("its code has more than " + std::to_string(kMostCode) + " bytes");
    for (const char* method : {"__setstate__", "__getstate__", "__forward_hooks__", "__forward_pre_hooks__"}) {
      if (content.find(method) != std::string::npos)
        throw Refused(std::string("its code has ") + method + "; a bundle's program may only compute");
    }
    if (content.find("torch.classes") != std::string::npos)
      throw Refused("its code uses torch.classes; a bundle's program may only compute");
    check_program_text(content);
    check_program_tree(content, allowed_operators());
  }
}

// ---- The pickles: constants, and the module with its attributes

const std::vector<const PickledValue*>& items_of(const PickledValue* value, size_t at_least) {
  const auto* tuple = value->get<PickledValue::Tuple>();
  if (!tuple || tuple->items.size() < at_least) throw Refused("its pickle has no tuple where one must be");
  return tuple->items;
}

template <class T>
const T& as(const PickledValue* value, const char* what) {
  const T* found = value->get<T>();
  if (!found) throw Refused(std::string("its pickle has no ") + what + " where one must be");
  return *found;
}

std::vector<int64_t> integers_of(const PickledValue* value) {
  std::vector<int64_t> integers;
  for (const PickledValue* item : items_of(value, 0)) integers.push_back(as<int64_t>(item, "integer"));
  return integers;
}

bool calls(const PickledValue::Call& call, const char* module, const char* name) {
  const auto* callee = call.callee->get<PickledValue::Name>();
  return callee && callee->module == module && callee->name == name;
}

at::ScalarType storage_dtype(const PickledValue* value) {
  static const std::map<std::string, at::ScalarType> dtypes = {
      {"FloatStorage", at::kFloat},  {"HalfStorage", at::kHalf}, {"BFloat16Storage", at::kBFloat16},
      {"LongStorage", at::kLong},    {"IntStorage", at::kInt},   {"BoolStorage", at::kBool},
      {"DoubleStorage", at::kDouble}};
  const auto found = dtypes.find(as<PickledValue::Name>(value, "dtype").name);
  if (found == dtypes.end()) throw Refused("its pickle has a tensor of an unknown dtype");
  return found->second;
}

/// A tensor's sizes, strides and offset, all counted in elements.
struct PickledPlace {
  std::vector<int64_t> sizes, strides;
  int64_t offset;
};

/// A stride of 0 would make a tensor of any size from one element; what lies outside would be read from elsewhere.
bool fits_in(const PickledPlace& place, int64_t elements) {
  int64_t count = 1, last = place.offset;
  if (place.offset < 0 || place.sizes.size() != place.strides.size()) return false;
  for (size_t i = 0; i < place.sizes.size(); ++i) {
    int64_t reach = 0;
    if (place.sizes[i] < 0 || place.strides[i] < 0 || __builtin_mul_overflow(count, place.sizes[i], &count) ||
        __builtin_mul_overflow(std::max<int64_t>(0, place.sizes[i] - 1), place.strides[i], &reach) ||
        __builtin_add_overflow(last, reach, &last) || count > elements)
      return false;
  }
  return count == 0 ? place.offset <= elements : last < elements;
}

/// torch._utils._rebuild_tensor_v2(storage, offset, sizes, strides, ...), where a storage is
/// ('storage', dtype, key, device, elements) and the record `key` holds its bytes.
at::Tensor tensor_of(const PickledValue* value, const std::string& folder, const Records& records) {
  const auto& call = as<PickledValue::Call>(value, "tensor");
  if (!calls(call, "torch._utils", "_rebuild_tensor_v2")) throw Refused("its pickle has a tensor of an unknown kind");
  const auto& arguments = items_of(call.arguments, 4);
  const auto& storage = items_of(as<PickledValue::Storage>(arguments[0], "storage").id, 5);
  const at::ScalarType dtype = storage_dtype(storage[1]);
  const std::string name = folder + as<std::string>(storage[2], "storage's name");
  const int64_t elements = as<int64_t>(storage[4], "number of elements");
  const auto found = records.find(name);
  const size_t bytes = found == records.end() ? 0 : found->second.size();
  if (elements < 0 || static_cast<uint64_t>(elements) != bytes / at::elementSize(dtype)) {
    throw Refused("entry " + in_quotes(name) + " has " + std::to_string(bytes) + " bytes for " +
                  std::to_string(elements) + " elements of " + at::toString(dtype));
  }
  const PickledPlace place{integers_of(arguments[2]), integers_of(arguments[3]), as<int64_t>(arguments[1], "offset")};
  if (!fits_in(place, elements))
    throw Refused("entry " + in_quotes(name) + " has " + std::to_string(elements) +
                  " elements, fewer than its tensor's sizes, strides and offset ask for");
  const at::Tensor all = at::empty({elements}, dtype);
  if (elements > 0) std::memcpy(all.mutable_data_ptr(), found->second.data(), all.nbytes());
  return all.as_strided(place.sizes, place.strides, place.offset).clone();
}

std::vector<c10::IValue> constants_of(const Records& records, at::Device device) {
  const Pickle pickle(record(records, "constants.pkl"));
  std::vector<c10::IValue> constants;
  for (const PickledValue* item : items_of(&pickle.root(), 0)) {
    constants.emplace_back(tensor_of(item, "constants/", records).to(device));
  }
  return constants;
}

/// Builds the module and its attributes by the types that the code declares.
class Builder {
 public:
  Builder(const Records& records, std::shared_ptr<jit::CompilationUnit> code, const jit::SourceImporter& importer)
      : records_(records), code_(std::move(code)), importer_(importer) {}

  jit::Module module_of(const PickledValue* root) {
    return jit::Module(object_of(root, class_of(as<PickledValue::Call>(root, "module")), 0));
  }

 private:
  c10::ClassTypePtr class_of(const PickledValue::Call& call) const {
    const auto& name = as<PickledValue::Name>(call.callee, "class");
    const std::string full = name.module + "." + name.name;
    if (!begins(full, "__torch__.") || full.find("torch.classes") != std::string::npos) {
      throw Refused("its pickle makes a " + in_quotes(full) + ", which is no module of its code");
    }
    const auto type = importer_.loadType(c10::QualifiedName(full));
    const auto found = type ? type->cast<c10::ClassType>() : nullptr;
    if (!found || !found->is_module()) throw Refused(in_quotes(full) + " is no module of its code");
    return found;
  }

  c10::intrusive_ptr<c10::ivalue::Object> object_of(const PickledValue* value, const c10::ClassTypePtr& type,
                                                    int depth) {
    const auto& call = as<PickledValue::Call>(value, "module");
    if (class_of(call) != type)  // also of an object that is there already
      throw Refused("its pickle has another module where a " + type->str() + " must be");
    if (const auto made = objects_.find(value); made != objects_.end()) return made->second;
    std::map<std::string, const PickledValue*> state;
    for (const auto& [key, attribute] : as<PickledValue::Dict>(call.arguments, "dict").items) {
      state[as<std::string>(key, "attribute's name")] = attribute;
    }
    const auto object = c10::ivalue::Object::create(c10::StrongTypePtr(code_, type), type->numAttributes());
    for (size_t i = 0; i < type->numAttributes(); ++i) {
      const std::string& name = type->getAttributeName(i);
      if (!state.contains(name)) throw Refused("attribute " + in_quotes(name) + " of " + type->str() + " is missing");
      object->setSlot(i, attribute_of(state[name], type->getAttribute(i), depth + 1));
    }
    objects_[value] = object;
    return object;
  }

  c10::IValue attribute_of(const PickledValue* value, const c10::TypePtr& type, int depth) {
    if (++values_ > kMostValues) throw Refused("its modules hold more values than a program needs");
    if (depth > kDeepestNesting) throw Refused("its modules are nested too deep");
    if (value->get<PickledValue::None>() && c10::NoneType::get()->isSubtypeOf(*type)) return {};
    switch (type->kind()) {
      case c10::TypeKind::BoolType: return as<bool>(value, "bool");
      case c10::TypeKind::IntType: return as<int64_t>(value, "integer");
      case c10::TypeKind::FloatType: return as<double>(value, "number");
      case c10::TypeKind::StringType: return as<std::string>(value, "text");
      case c10::TypeKind::TensorType: return empty_tensor(value);
      case c10::TypeKind::OptionalType: return attribute_of(value, type->containedType(0), depth + 1);
      case c10::TypeKind::ListType: return list_of(value, type->containedType(0), depth + 1);
      case c10::TypeKind::ClassType: return object_of(value, type->expect<c10::ClassType>(), depth + 1);
      default: throw Refused("it has an attribute of type " + type->str() + ", which no bundle needs");
    }
  }

  c10::IValue list_of(const PickledValue* value, const c10::TypePtr& type, int depth) {
    // Lists come as torch.jit._pickle.build_intlist((list,)) or restore_type_tag((list, type)).
    if (const auto* call = value->get<PickledValue::Call>()) value = items_of(call->arguments, 1)[0];
    c10::impl::GenericList list(type);
    for (const PickledValue* item : as<PickledValue::List>(value, "list").items)
      list.push_back(attribute_of(item, type, depth + 1));
    return list;
  }

  at::Tensor empty_tensor(const PickledValue* value) const {
    const at::Tensor tensor = tensor_of(value, "data/", records_);
    if (tensor.numel() != 0) {
      throw Refused("it holds a tensor of its own, of " + std::to_string(tensor.numel()) +
                    " elements; all weights belong into the safetensors file");
    }
    return tensor;
  }

  const Records& records_;
  std::shared_ptr<jit::CompilationUnit> code_;
  const jit::SourceImporter& importer_;
  std::map<const PickledValue*, c10::intrusive_ptr<c10::ivalue::Object>> objects_;
  int64_t values_ = 0;  // that were built: a list that holds another twice, and so on, doubles with each
};

// ---- All together

/// `__torch__.unet` is in code/__torch__/unet.py.
std::string path_of_code(std::string qualifier) {
  for (char& character : qualifier) {
    if (character == '.') character = '/';
  }
  return "code/" + qualifier + ".py";
}

jit::Module module_of(const std::string& archive, at::Device device) {
  const Records records = unpack_archive(archive);
  const uint64_t version = version_of(records);
  if (const auto order = records.find("byteorder"); order != records.end() && order->second != "little") {
    throw Refused("its byte order is not little-endian");
  }
  check_code(records);

  jit::populate_upgraders_graph_map();  // so that the operators of older archives are known
  const auto code = std::make_shared<jit::CompilationUnit>();
  const std::vector<c10::IValue> constants = constants_of(records, device);
  const jit::SourceImporter importer(
      code, &constants,
      [&](const std::string& qualifier) -> std::shared_ptr<jit::Source> {
        const auto found = records.find(path_of_code(qualifier));
        return found == records.end() ? nullptr : std::make_shared<jit::Source>(found->second, found->first, 1);
      },
      version);
  const Pickle data(record(records, "data.pkl"));
  const jit::Module module = Builder(records, code, importer).module_of(&data.root());
  check_program_graphs(*code, allowed_operators());
  return module;
}

}  // namespace

jit::Module read_program(const std::string& path, const std::string& archive, at::Device device) {
  const LibtorchWarnings warnings;
  try {
    return module_of(archive, device);
  } catch (const Refused& error) {
    throw BundleError(path + ": " + error.what());
  } catch (const ArchiveError& error) {
    throw BundleError(path + ": " + error.what());
  } catch (const std::invalid_argument& error) {
    throw BundleError(path + ": its pickle " + error.what());
  } catch (const c10::Error& error) {
    throw BundleError(path + ": is no TorchScript archive: " + reason_in(error.what_without_backtrace()));
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    throw BundleError(path + ": its code does not compile: " + reason_in(error.what()));
  }
}

}  // namespace steplapse
