#include <c10/core/InferenceMode.h>

#include "base/aten.h"
#include "model/archive.h"
#include "model/libtorch_errors.h"
#include "model/libtorch_warnings.h"
#include "model/program.h"
#include "reader_targets.h"
#include "seeds.h"
#include "support/archive_maker.h"
#include "support/bundle_maker.h"

namespace steplapse::fuzz {
namespace {

using namespace test_support;

/// Calls of the operators that programs may have, on x [1, 4, 4, 4] and i, integers of any size.
const std::vector<std::string> kCalls{
    "torch.add(x, CONSTANTS.c0)",
    "torch.sub(x, x, alpha=2)",
    "torch.mul(x, 0.5)",
    "torch.div(x, CONSTANTS.c0)",
    "torch.div(i, CONSTANTS.c0, rounding_mode=\"trunc\")",
    "torch.div(i, 2, rounding_mode=\"floor\")",
    "torch.floor_divide(i, CONSTANTS.c0)",
    "torch.floor_divide(ops.prim.NumToTensor(torch.size(x, 1)), CONSTANTS.c0)",
    "torch.true_divide(i, 3)",
    "torch._convolution(x, torch.ones_like(x), None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1, False, False, True, "
    "True)",
    "torch._convolution(x, torch.transpose(torch.ones_like(x), 0, 1), None, [2, 2], [1, 1], [1, 1], True, [0, 0], 1, "
    "False, False, True, "
    "True)",
    "torch.embedding(torch.reshape(x, [16, 4]), torch.clamp(i, 0, 15))",
    "torch.expand(x, [int(torch.size(x, 0)), -1, 4, 4])",
    "torch.flatten(x, 1, -1)",
    "torch.full_like(x, 2, dtype=6)",
    "torch.gather(x, 1, torch.zeros_like(x, dtype=4))",
    "torch.gelu(x)",
    "torch.group_norm(x, 2, None, None, 1.0000000000000001e-05)",
    "torch.layer_norm(x, [4, 4], None, None, 1.0000000000000001e-05)",
    "torch.linear(x, torch.reshape(torch.slice(x, 2, 0, 1), [4, 4]))",
    "torch.mean(x, [1, 2], True, dtype=None)",
    "torch.argmax(x, -1)",
    "torch.permute(x, [0, 2, 3, 1])",
    "torch.pixel_shuffle(x, 2)",
    "torch.reshape(x, [1, -1, 2, 2])",
    "torch.view(x, [1, 16, 4])",
    "torch.scaled_dot_product_attention(x, x, x, None, 0., False, scale=None, enable_gqa=False)",
    "torch.select(x, 1, 0)",
    "torch.slice(x, 1, 0, 9223372036854775807, 1)",
    "torch.stack([x, x], 0)",
    "torch.cat([x, x], 1)",
    "torch.to(i, 6, False, False, None)",
    "torch.contiguous(x, memory_format=0)",
    "torch.transpose(x, 1, 2)",
    "torch.unsqueeze(x, -1)",
    "torch.upsample_nearest2d(x, None, [2., 2.])",
    "torch.upsample_nearest2d(x, [8, 8], None)",
    "torch.upsample_nearest2d(x, [8, 8], 2., 2.)",
    "torch.where(torch.eq(x, 1), x, torch.sin(x))",
    "torch.dropout(x, 0., False)",
    "torch.clamp(x, -1., 1.)",
};

/// What stands in the place of a word or a number of the code.
std::vector<std::string> code_words() {
  std::vector<std::string> words{"None",   "True",      "False",      "[]",        "-1",     "1e30",
                                 "1e-40",  "0.",        "int",        "float",     "torch",  "x",
                                 "i",      "if",        "def",        "class",     "return", "not",
                                 "%",      "//",        "#",          "\"\"\"",    "\"a\"",  "(",
                                 ")",      "[",         "]",          "=",         ".a",     "CONSTANTS.c9",
                                 "self",   "annotate",  "getattr",    "__torch__", "device", "forward",
                                 "Tensor", "List[int]", "Final[int]", "prim",      "ops",    "99999999999999999999"};
  for (const char* name : {"add", "chunk", "div", "floor_divide", "expand", "reshape", "view", "full_like", "slice",
                           "size", "stack", "where", "to", "pixel_shuffle", "save", "zeros", "ljust", "count"})
    words.push_back(name);
  return words;
}

/// A program of these calls. All answers are asked for: what nobody asks for is not computed.
Entries program_of_calls(const std::vector<std::string>& calls) {
  std::string lines, types, names;
  for (const std::string& call : calls) {
    const std::string name = "y" + std::to_string(lines.size());
    lines += "    " + name + " = " + call + "\n";
    types += (types.empty() ? "" : ", ") + std::string("Tensor");
    names += name + ", ";
  }
  Entries entries = program_of(
      "class M(Module):\n  __parameters__ = []\n  __buffers__ = []\n  training : bool\n"
      "  def forward(self: __torch__.M, x: Tensor, i: Tensor) -> Tuple[" +
      types + "]:\n" + lines + "    return (" + names + ")\n");
  entries["data.pkl"] = pickle_of(pickled_object("M", pickled_dict({{"training", "\x89"}})));
  entries["constants.pkl"] = pickle_of(pickled_tensor("0", 1, 1, 1) + "\x85");
  const float two = 2;
  entries["constants/0"] = std::string(reinterpret_cast<const char*>(&two), sizeof two);
  return entries;
}

Entries some_program(Mutator& mutator) {
  std::vector<std::string> calls;
  for (size_t count = 1 + mutator.below(3); count > 0; --count) calls.push_back(mutator.one_of(kCalls));
  return program_of_calls(calls);
}

/// The entries of our own model's programs, and of the smallest ones.
std::vector<Entries> program_seeds() {
  std::vector<Entries> seeds;
  for (const char* name : {"decoder_linear.pt", "text_encoder.pt"}) {
    Entries entries = unpack_archive(of_our_model(name));
    for (const char* written : {"version", "byteorder", ".data/version"}) entries.erase(written);  // the writer's own
    seeds.push_back(std::move(entries));
  }
  for (const auto& [name, entries] : BundleMaker().programs) seeds.push_back(entries);
  return seeds;
}

/// Runs what was taken: it may fail, and in our words.
void run_program(torch::jit::Module& module) {
  const auto function = module.find_method("forward");
  if (!function) return;
  std::vector<c10::IValue> inputs;
  for (size_t k = 1; k < function->function().getSchema().arguments().size(); ++k) {
    inputs.emplace_back(k == 1
                            ? at::ones({1, 4, 4, 4})
                            : at::tensor({int64_t{1}, int64_t{0}, int64_t{-1}, INT64_MIN}, at::kLong).reshape({1, 4}));
  }
  with_libtorch_errors("x", [&] {
    const c10::InferenceMode inference;
    const LibtorchWarnings warnings;
    return module.forward(inputs);
  });
}

void read_and_run(const Entries& entries, bool compress = false) {
  torch::jit::Module module = read_program("x.pt", archive_of(entries, compress));
  run_program(module);
}

/// An entry whose name begins so.
std::string& entry_of(Entries& entries, Mutator& mutator, const std::string& begin) {
  std::vector<std::string> names;
  for (const auto& [name, ignored] : entries) {
    if (name.starts_with(begin)) names.push_back(name);
  }
  return entries[names.empty() ? begin : mutator.one_of(names)];
}

/// Mutants of what is refused find nothing.
void check_calls() {
  std::string faults;
  for (const std::string& call : kCalls) {
    try {
      read_and_run(program_of_calls({call}));
    } catch (const std::exception& error) {
      faults += call + ": " + error.what() + "\n";
    }
  }
  if (!faults.empty()) throw std::logic_error("calls that every program may have are refused:\n" + faults);
}

}  // namespace

Target archive_target() {
  return {[seeds = program_seeds()](Mutator& mutator) {
    const std::string bytes = archive_of(mutator.one_of(seeds), mutator.one_in(2));
    torch::jit::Module module = read_program("x.pt", mutator.bytes(bytes, bytes));
  }};
}

Target pickle_target() {
  return {[seeds = program_seeds()](Mutator& mutator) {
    Entries entries = mutator.one_in(2) ? some_program(mutator) : mutator.one_of(seeds);
    std::string& pickle = entries[mutator.one_in(3) ? "constants.pkl" : "data.pkl"];
    pickle = mutator.bytes(pickle, pickle);
    read_and_run(entries);
  }};
}

Target code_target() {
  check_calls();
  const auto read = [seeds = program_seeds(), words = code_words()](Mutator& mutator) {
    Entries entries = mutator.one_in(8) ? mutator.one_of(seeds) : some_program(mutator);
    std::string& code = entry_of(entries, mutator, "code/");
    code = mutator.one_in(8) ? mutator.bytes(code, code) : mutator.text(code, words);
    read_and_run(entries);
  };
  return {.read_mutant = read, .may_lack_memory = true};
}

}  // namespace steplapse::fuzz
