#include "model/program_graph.h"

#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/ir/ir.h>

#include <algorithm>
#include <map>

#include "base/aten.h"
#include "model/program_text.h"
#include "model/program_tree.h"

namespace steplapse {
namespace {

namespace jit = torch::jit;

constexpr int64_t kMostOperators = 2'000'000;  // once all calls are replaced by what they call

template <class Visit>
void visit_nodes(const jit::Block* block, const Visit& visit) {
  for (const jit::Node* node : block->nodes()) {
    visit(*node);
    for (const jit::Block* inner : node->blocks()) visit_nodes(inner, visit);
  }
}

template <class Visit>
void visit_nodes(const jit::CompilationUnit& code, const Visit& visit) {
  for (jit::Function* function : code.get_functions()) {
    if (auto* compiled = jit::tryToGraphFunction(*function)) visit_nodes(compiled->graph()->block(), visit);
  }
}

bool holds_device(const c10::Type& type) {
  if (type.kind() == c10::TypeKind::DeviceObjType) return true;
  for (const auto& part : type.containedTypes()) {
    if (holds_device(*part)) return true;
  }
  return false;
}

/// Refuses devices in the code: a traced program has the device that it was traced on.
void check_device(const jit::Node& node) {
  const bool literal = node.kind() == c10::prim::Constant && holds_device(*node.output()->type());
  if (!literal && node.kind() != c10::Symbol::fromQualString("aten::device")) return;
  const auto value = literal ? jit::toIValue(node.output()) : std::nullopt;
  throw Refused(names_a_device(value && value->isDevice() ? value->toDevice().str() : "of a tensor"));
}

/// Numbers that stand for dtypes, memory layouts and formats. libtorch believes them.
void check_kinds(const jit::Node& node) {
  static const std::map<std::string, std::set<int64_t>> taken = {
      {"dtype", {0, 1, 2, 3, 4, 5, 6, 7, 11, 15}}, {"layout", {0}}, {"memory_format", {0, 1, 2}}};
  const c10::FunctionSchema* schema = node.maybeSchema();
  for (size_t i = 0; schema && i < schema->arguments().size() && i < node.inputs().size(); ++i) {
    const auto kind = taken.find(schema->arguments()[i].name());
    if (kind == taken.end()) continue;
    const auto value = jit::toIValue(node.input(i));
    if (value && (value->isNone() || (value->isInt() && kind->second.contains(value->toInt())))) continue;
    throw Refused("its code calls " + std::string(node.kind().toQualString()) + " with a " + kind->first +
                  " that no exporter writes");
  }
}

/// How many operators a function has once each call in it is replaced by what it calls, as the executor does.
class InlinedSize {
 public:
  int64_t of(jit::Function& function) {
    auto* compiled = jit::tryToGraphFunction(function);
    if (!compiled) return 1;
    const auto [known, is_new] = sizes_.emplace(&function, 0);
    if (is_new) {
      int64_t size = 0;
      visit_nodes(compiled->graph()->block(), [&](const jit::Node& node) { size = added(size, node); });
      sizes_[&function] = size;
    }
    return sizes_[&function];
  }

 private:
  int64_t added(int64_t size, const jit::Node& node) {
    jit::Function* callee = nullptr;
    if (node.kind() == c10::prim::CallMethod) {
      if (const auto type = node.input(0)->type()->cast<c10::ClassType>())
        callee = type->findMethod(node.s(c10::attr::name));
    } else if (node.kind() == c10::prim::CallFunction) {
      if (const auto type = node.input(0)->type()->cast<c10::FunctionType>()) callee = type->function();
    }
    size += callee ? of(*callee) : 1;
    if (size <= kMostOperators) return size;
    throw Refused("its functions call each other so that more than " + std::to_string(kMostOperators) +
                  " operators would run");
  }

  std::map<jit::Function*, int64_t> sizes_;
};

/// What an argument must be, where it is a number or a list of numbers.
struct ArgumentRange {
  double least, most;
};

/// Arguments that exporters write as numbers. Others would fill the memory, or take a kernel to where it was never tried.
const std::map<std::string, ArgumentRange> kArgumentRanges{
    {"stride", {1, 64}},         {"padding", {0, 1024}},      {"dilation", {1, 64}},
    {"output_padding", {0, 64}}, {"groups", {1, 1 << 20}},    {"num_groups", {1, 1 << 20}},
    {"upscale_factor", {1, 64}}, {"chunks", {1, 1024}},       {"scale_factors", {1. / 64, 64}},
    {"scales_h", {1. / 64, 64}}, {"scales_w", {1. / 64, 64}},
};

bool is_in_range(const c10::IValue& value, const ArgumentRange& range) {
  if (value.isList()) {
    const auto items = value.toListRef();
    return std::all_of(items.begin(), items.end(), [&](const c10::IValue& item) { return is_in_range(item, range); });
  }
  if (value.isNone()) return true;
  if (!value.isInt() && !value.isDouble()) return false;
  const double number = value.isInt() ? static_cast<double>(value.toInt()) : value.toDouble();
  return number >= range.least && number <= range.most;
}

bool is_in_range(const jit::Value* value, const ArgumentRange& range) {
  const jit::Node& node = *value->node();
  if (node.kind() == c10::prim::ListConstruct) {
    return std::all_of(node.inputs().begin(), node.inputs().end(),
                       [&](const jit::Value* item) { return is_in_range(item, range); });
  }
  const auto constant = jit::toIValue(value);
  return constant && is_in_range(*constant, range);
}

void check_ranges(const jit::Node& node) {
  const c10::FunctionSchema* schema = node.maybeSchema();
  for (size_t i = 0; schema && i < schema->arguments().size() && i < node.inputs().size(); ++i) {
    const auto range = kArgumentRanges.find(schema->arguments()[i].name());
    if (range == kArgumentRanges.end() || is_in_range(node.input(i), range->second)) continue;
    throw Refused("its code calls " + std::string(node.kind().toQualString()) + " with a " + range->first +
                  " that no exporter writes");
  }
}

bool rounds_a_quotient(const jit::Node& node) {
  if (node.kind() == c10::Symbol::fromQualString("aten::floor_divide")) return true;
  const c10::FunctionSchema* schema = node.maybeSchema();
  return schema && schema->argumentIndexWithName("rounding_mode").has_value();
}

bool is_positive(const c10::IValue& value) {
  if (value.isTensor()) return value.toTensor().numel() == 1 && value.toTensor().item<double>() > 0;
  return value.isScalar() && value.toScalar().toDouble() > 0;
}

/// The processor ends a program that divides the least integer by -1, and libtorch does not look. Exporters divide sizes by
/// constants.
void check_division(const jit::Node& node) {
  if (!rounds_a_quotient(node)) return;
  const auto divisor = jit::toIValue(node.input(1));
  if (divisor && is_positive(*divisor)) return;
  throw Refused("its code calls " + std::string(node.kind().toQualString()) +
                " with a divisor that is no constant above 0, which no exporter writes");
}

void check_operator(const jit::Node& node, const std::set<std::string>& allowed) {
  check_device(node);
  check_kinds(node);
  const std::string name = node.kind().toQualString();
  if (!allowed.contains(name))
    throw Refused("its code calls " + name +
                  ", which is not on the list of allowed operators; a bundle's program may only compute");
  check_ranges(node);
  check_division(node);
}

}  // namespace

void check_program_graphs(const jit::CompilationUnit& code, const std::set<std::string>& allowed) {
  InlinedSize size;
  for (jit::Function* function : code.get_functions()) size.of(*function);
  visit_nodes(code, [&](const jit::Node& node) { check_operator(node, allowed); });
}

}  // namespace steplapse
