#include "model/program_tree.h"

#include <torch/csrc/jit/frontend/parser.h>
#include <torch/csrc/jit/frontend/tree_views.h>

#include <algorithm>
#include <cctype>
#include <memory>
#include <optional>
#include <vector>

#include "base/text.h"
#include "model/program_text.h"

namespace steplapse {
namespace {

namespace jit = torch::jit;

constexpr const char* kRunsWhileRead = ", which would run while it is read";

/// A chain of names: torch.add is {"torch", "add"}. None where it begins with something else.
std::optional<std::vector<std::string>> chain_of(const jit::TreeRef& tree) {
  if (tree->kind() == jit::TK_VAR) return std::vector{jit::Var(tree).name().name()};
  if (tree->kind() != '.') return std::nullopt;
  auto names = chain_of(jit::Select(tree).value());
  if (names) names->push_back(jit::Select(tree).selector().name());
  return names;
}

/// forward, forward1, ...: a traced module has a method for each time that it was called.
bool is_forward(const std::string& method) {
  return method.starts_with("forward") &&
         std::all_of(method.begin() + 7, method.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
}

/// The statements of one function, in their order.
class FunctionTree {
 public:
  explicit FunctionTree(const std::set<std::string>& allowed) : allowed_(allowed) {}

  void check(const jit::Def& function) {
    for (const jit::Param& parameter : function.decl().params()) {
      if (parameter.defaultValue().present())
        throw Refused(std::string("its code has a default value of an argument") + kRunsWhileRead);
    }
    for (const jit::Stmt& statement : function.statements()) check_statement(statement);
  }

 private:
  void check_statement(const jit::Stmt& statement) {
    switch (statement.kind()) {
      case jit::TK_ASSIGN: return check_assignment(jit::Assign(statement));
      case jit::TK_RETURN: is_constant(jit::Return(statement).expr()); return;
      case jit::TK_EXPR_STMT: is_constant(jit::ExprStmt(statement).expr()); return;
      default: throw Refused("its code has a " + jit::kindToString(statement.kind()) + ", which no traced module has");
    }
  }

  void check_assignment(const jit::Assign& assignment) {
    const bool constant = assignment.rhs().present() && is_constant(assignment.rhs().get());
    for (const jit::Expr& target : assignment.lhs_list()) assign(target, constant);
  }

  void assign(const jit::TreeRef& target, bool constant) {
    if (target->kind() == jit::TK_TUPLE_LITERAL || target->kind() == jit::TK_LIST_LITERAL) {
      for (const jit::TreeRef& part : target->trees().at(0)->trees()) assign(part, constant);
      return;
    }
    if (target->kind() != jit::TK_VAR) throw Refused("its code assigns to what is no name");
    const std::string name = jit::Var(target).name().name();
    if (name == "torch" || name == "ops" || name == "CONSTANTS" || name == "__torch__")
      throw Refused("its code gives " + in_quotes(name) + " another meaning");
    if (constant) {
      constants_.insert(name);
    } else {
      constants_.erase(name);
    }
  }

  /// Checks an expression. @return whether the compiler knows its value
  bool is_constant(const jit::TreeRef& tree) {
    switch (tree->kind()) {
      case jit::TK_CONST:
      case jit::TK_STRINGLITERAL:
      case jit::TK_TRUE:
      case jit::TK_FALSE:
      case jit::TK_NONE: return true;
      case jit::TK_UNARY_MINUS:
        if (tree->trees().at(0)->kind() != jit::TK_CONST) throw Refused("its code has an operator");
        return true;
      case jit::TK_LIST_LITERAL:
      case jit::TK_TUPLE_LITERAL: return are_constant(tree->trees().at(0)->trees());
      case jit::TK_VAR: return constants_.contains(jit::Var(tree).name().name());
      case '.': return is_constant_chain(tree);
      case jit::TK_APPLY: return is_constant_call(jit::Apply(tree));
      default: throw Refused("its code has a " + jit::kindToString(tree->kind()) + ", which no traced module has");
    }
  }
  /// Looks at all of them.
  bool are_constant(const jit::TreeList& trees) {
    bool all = true;
    for (const jit::TreeRef& tree : trees) all = is_constant(tree) && all;
    return all;
  }
  bool is_constant_chain(const jit::TreeRef& tree) {
    const auto names = chain_of(tree);
    if (!names) throw Refused("its code takes an attribute of what is no module");
    return names->front() == "CONSTANTS" || constants_.contains(names->front());
  }

  bool is_constant_call(const jit::Apply& call) {
    const auto names = chain_of(call.callee());
    if (!names) throw Refused("its code calls what is no name");
    const std::string& root = names->front();
    if (root == "annotate") return is_constant(last_argument(call));  // (type, value)
    if (root == "getattr") {                                          // (module, "name")
      const bool constant = is_constant(call.inputs()[0]);
      if (constant) throw Refused("its code takes an attribute of a constant");
      return false;
    }
    if (*names == std::vector<std::string>{"torch", "device"}) throw Refused(names_a_device(device_in(call)));
    const bool constant = are_constant(call.inputs().get()->trees()) && named_are_constant(call);
    if (root == "__torch__") return constant;
    if (root == "torch" || root == "ops" || names->size() == 1) {
      check_operator(*names);
      if (constant) throw Refused("its code calls " + joined(*names, ".") + " with constants alone" + kRunsWhileRead);
      return false;
    }
    if (!is_forward(names->back()) || constants_.contains(root) || root == "CONSTANTS")
      throw Refused("its code calls " + in_quotes(joined(*names, ".")) +
                    ", expected an operator or forward of a module");
    return false;
  }
  bool named_are_constant(const jit::Apply& call) {
    bool all = true;
    for (const jit::Attribute& named : call.attributes()) all = is_constant(named.value()) && all;
    return all;
  }
  static std::string device_in(const jit::Apply& call) {
    if (call.inputs().size() != 1 || call.inputs()[0].kind() != jit::TK_STRINGLITERAL) return "of a tensor";
    return escaped(jit::StringLiteral(call.inputs()[0]).text(), 40);
  }
  static jit::TreeRef last_argument(const jit::Apply& call) {
    if (call.inputs().size() != 2) throw Refused("its code calls annotate without a type and a value");
    return call.inputs()[1];
  }

  /// torch.add, ops.prim.NumToTensor, or a conversion.
  void check_operator(const std::vector<std::string>& names) const {
    const bool conversion =
        names.size() == 1 && (names[0] == "int" || names[0] == "float" || names[0] == "bool" || names[0] == "list");
    const std::string name = names.size() == 2   ? "aten::" + names[1]
                             : names.size() == 3 ? names[1] + "::" + names[2]
                                                 : joined(names, ".");
    if (conversion || allowed_.contains(name)) return;
    throw Refused("its code calls " + name +
                  ", which is not on the list of allowed operators; a bundle's program may only compute");
  }

  const std::set<std::string>& allowed_;
  std::set<std::string> constants_;  // names whose values the compiler knows
};

/// `training : bool`, `__parameters__ = ["a", ]` and `__annotations__["0"] = __torch__.M`.
void check_class_assignment(const jit::Assign& assignment) {
  if (!assignment.rhs().present()) return;
  const jit::TreeRef value = assignment.rhs().get();
  if (assignment.type().present()) throw Refused(std::string("its code has a class's constant") + kRunsWhileRead);
  if (value->kind() != jit::TK_LIST_LITERAL && !chain_of(value) && value->kind() != jit::TK_SUBSCRIPT)
    throw Refused(std::string("its code has a class's constant") + kRunsWhileRead);
  if (value->kind() != jit::TK_LIST_LITERAL) return;
  for (const jit::TreeRef& item : value->trees().at(0)->trees()) {
    if (item->kind() != jit::TK_STRINGLITERAL)
      throw Refused(std::string("its code has a class's constant") + kRunsWhileRead);
  }
}

void check_class(const jit::ClassDef& definition, const std::set<std::string>& allowed) {
  for (const jit::Stmt& statement : definition.body()) {
    if (statement.kind() == jit::TK_DEF) {
      FunctionTree(allowed).check(jit::Def(statement));
    } else if (statement.kind() == jit::TK_ASSIGN) {
      check_class_assignment(jit::Assign(statement));
    } else {
      throw Refused("its code has a " + jit::kindToString(statement.kind()) + " in a class");
    }
  }
}

}  // namespace

std::string names_a_device(const std::string& device) {
  return "its code names the device " + device +
         ", and would run nowhere else; export it with scripts/export_bundle.py, which leaves no device in it";
}

void check_program_tree(const std::string& code, const std::set<std::string>& allowed) {
  jit::Parser parser(std::make_shared<jit::Source>(code, std::nullopt, 0));
  while (parser.lexer().cur().kind != jit::TK_EOF) {
    if (parser.lexer().cur().kind == jit::TK_CLASS_DEF) {
      check_class(jit::ClassDef(parser.parseClass()), allowed);
    } else {
      FunctionTree(allowed).check(jit::Def(parser.parseFunction(/*is_method=*/false)));
    }
  }
}

}  // namespace steplapse
