#include "model/program.h"

#include <caffe2/serialize/in_memory_adapter.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/jit/serialization/import.h>

#include <filesystem>

#include "base/aten.h"
#include "steplapse/error.h"
#include "support/archive_maker.h"

namespace steplapse {
namespace {

using namespace test_support;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using ::testing::StrEq;

namespace fs = std::filesystem;

/// What read_program says of an archive; empty if it takes it.
std::string refusal(const Entries& entries) {
  try {
    read_program("x.pt", archive_of(entries));
    return "";
  } catch (const BundleError& error) {
    return error.what();
  }
}

/// What libtorch's own loader does with the same bytes: the attack must be a real one.
void load_with_libtorch(const Entries& entries) {
  const std::string archive = archive_of(entries);
  torch::jit::load(std::make_shared<caffe2::serialize::MemoryReadAdapter>(archive.data(), archive.size()));
}

/// A file that hostile code would write. Each test has its own, and none is left.
class Program : public ::testing::Test {
 protected:
  Program() { fs::remove(loot_); }
  ~Program() override { fs::remove(loot_); }

  /// Loaded by libtorch the archive writes the file; here it is refused with this message, and writes nothing.
  void expect_disarmed(const Entries& entries, const std::string& message) {
    std::string said;
    try {
      load_with_libtorch(entries);
    } catch (const std::exception& error) {  // it may well fail after the harm is done
      said = error.what();
    }
    EXPECT_TRUE(fs::exists(loot_)) << "this archive does no harm when libtorch loads it: " << said;
    fs::remove(loot_);
    EXPECT_EQ(refusal(entries), message);
    EXPECT_FALSE(fs::exists(loot_));
  }

  fs::path loot_ = fs::temp_directory_path() / ("steplapse_loot_" + std::to_string(getpid()));
  std::string save_x_ = "torch.save(x, \"" + loot_.string() + "\")";
  std::string save_ = "torch.save(torch.zeros([1]), \"" + loot_.string() + "\")";
};

std::string not_allowed(const std::string& name) {
  return "x.pt: its code calls " + name +
         ", which is not on the list of allowed operators; a bundle's program may only compute";
}

TEST_F(Program, ComputesWhatItsCodeSays) {
  const auto module = read_program("x.pt", archive_of(program_of(forward_of("    return torch.add(x, x)\n"))));
  EXPECT_TRUE(at::equal(module.get_method("forward")({at::ones({2})}).toTensor(), at::full({2}, 2.0)));
}

TEST_F(Program, HasItsAttributesAndSubmodules) {
  const std::string code =
      "class M(Module):\n  __parameters__ = []\n  __buffers__ = [\"b\", ]\n  b : Tensor\n  n : int\n  f : float\n"
      "  o : Optional[bool]\n  l : List[int]\n  child : __torch__.C\n"
      "  def forward(self: __torch__.M, x: Tensor) -> Tensor:\n"
      "    child = self.child\n    return torch.add((child).forward(x, ), self.n)\n"
      "class C(Module):\n  __parameters__ = [\"w\", ]\n  __buffers__ = []\n  w : Tensor\n  on : bool\n"
      "  def forward(self: __torch__.C, x: Tensor) -> Tensor:\n    return torch.mul(x, self.w)\n";
  Entries entries = program_of(code);
  const std::string child = pickled_object("C", pickled_dict({{"w", pickled_tensor("1", 0, 0, 1)}, {"on", "\x88"}}));
  entries["data.pkl"] = pickle_of(pickled_object("M", pickled_dict({{"b", pickled_tensor("0", 0, 0, 1)},
                                                                    {"n", "K\x07"},
                                                                    {"f", std::string("G\x3f\xe0\0\0\0\0\0\0", 9)},
                                                                    {"o", "N"},
                                                                    {"l",
                                                                     "ctorch.jit._pickle\nbuild_intlist\n](K\x05K\x06"
                                                                     "e\x85R"},
                                                                    {"child", child}})));
  auto module = read_program("x.pt", archive_of(entries));
  EXPECT_EQ(module.attr("f").toDouble(), 0.5);
  EXPECT_EQ(module.attr("l").toIntVector(), (std::vector<int64_t>{5, 6}));
  EXPECT_TRUE(module.attr("o").isNone());
  EXPECT_EQ(module.attr("b").toTensor().numel(), 0);
  EXPECT_TRUE(module.attr("child").toModule().attr("on").toBool());
  module.attr("child").toModule().setattr("w", at::full({1}, 3.0f));
  EXPECT_TRUE(at::equal(module.forward({at::ones({1})}).toTensor(), at::full({1}, 10.0f)));
}

TEST_F(Program, HasItsConstants) {
  Entries entries = program_of(forward_of("    return torch.add(x, CONSTANTS.c0)\n"));
  entries["constants.pkl"] = pickle_of(pickled_tensor("0", 3, 2, 2) + "\x85");  // every second of 1, 2, 3
  const float numbers[] = {1, 2, 3};
  entries["constants/0"] = std::string(reinterpret_cast<const char*>(numbers), sizeof numbers);
  auto module = read_program("x.pt", archive_of(entries));
  EXPECT_TRUE(at::equal(module.forward({at::zeros({2})}).toTensor(), at::tensor({1.0f, 3.0f})));
}

TEST_F(Program, ThatSavesInForwardIsRefused) {
  EXPECT_EQ(refusal(program_of(forward_of("    _0 = " + save_x_ + "\n    return x\n"))), not_allowed("aten::save"));
}

TEST_F(Program, ThatReadsAFileInForwardIsRefused) {
  const std::string lines = "    return torch.from_file(\"/etc/passwd\", False, 10)\n";
  EXPECT_EQ(refusal(program_of(forward_of(lines))), not_allowed("aten::from_file"));
}

TEST_F(Program, ThatHidesAnOperatorIsRefused) {
  const std::string in_branch = forward_of("    if bool(x):\n      _0 = " + save_x_ + "\n    return x\n");
  EXPECT_EQ(refusal(program_of(in_branch)),
            "x.pt: its code has the word 'if' (line 5); no program that was traced has that");
  const std::string in_function =
      "def f(x: Tensor) -> Tensor:\n  _0 = " + save_x_ + "\n  return x\n" + forward_of("    return __torch__.f(x, )\n");
  EXPECT_THAT(refusal(program_of(in_function)), HasSubstr("which is not on the list"));
  const std::string in_other_method = forward_of("    return x\n") +
                                      "  def other(self: __torch__.M, x: Tensor) -> Tensor:\n    _0 = " + save_x_ +
                                      "\n    return x\n";
  EXPECT_EQ(refusal(program_of(in_other_method)), not_allowed("aten::save"));
  const std::string of_another_library =
      forward_of("    _0 = ops.profiler._record_function_enter(\"a\")\n    return x\n");
  EXPECT_EQ(refusal(program_of(of_another_library)), not_allowed("profiler::_record_function_enter"));
}

TEST_F(Program, ThatRestoresItselfIsDisarmed) {
  const std::string code = forward_of("    return x\n") +
                           "  def __getstate__(self: __torch__.M) -> int:\n    return 1\n"
                           "  def __setstate__(self: __torch__.M, state: int) -> NoneType:\n    _0 = " +
                           save_ + "\n    return None\n";
  Entries entries = program_of(code);
  entries["data.pkl"] = pickle_of(pickled_object("M", "K\x01"));
  expect_disarmed(entries, "x.pt: its code has __setstate__; a bundle's program may only compute");
}

// The compiler runs these expressions to learn their values: reading the code is not free of running it.
TEST_F(Program, ThatSavesInADefaultValueIsDisarmed) {
  const std::string code =
      "class M(Module):\n  __parameters__ = []\n  __buffers__ = []\n"
      "  def forward(self: __torch__.M, x: Tensor, y: Tuple[()]=" +
      save_ + ") -> Tensor:\n    return x\n";
  expect_disarmed(program_of(code),
                  "x.pt: its code has a default value of an argument, which would run while it is read");
}

TEST_F(Program, ThatSavesInAClassConstantIsDisarmed) {
  const std::string code =
      "class M(Module):\n  __parameters__ = []\n  __buffers__ = []\n  k : Final[Tuple[()]] = " + save_ +
      "\n  def forward(self: __torch__.M, x: Tensor) -> Tensor:\n    return x\n";
  expect_disarmed(program_of(code), "x.pt: its code has a class's constant, which would run while it is read");
}

TEST_F(Program, ThatNamesADeviceIsRefused) {
  const std::string message =
      "x.pt: its code names the device cpu, and would run nowhere else; export it with scripts/export_bundle.py, which "
      "leaves no device in it";
  EXPECT_EQ(refusal(program_of(forward_of("    return torch.to(x, torch.device(\"cpu\"), 6)\n"))), message);
  EXPECT_EQ(refusal(program_of(forward_of("    return torch.to(x, \"cpu\", 6)\n"))), message);
  EXPECT_THAT(refusal(program_of(forward_of("    return torch.zeros([1], device=torch.device(\"cuda:1\"))\n"))),
              StartsWith("x.pt: its code names the device cuda:1,"));
}

TEST_F(Program, WithALongNameIsRefused) {
  Entries entries = program_of(forward_of("    return x\n"));
  entries["code/" + std::string(248, 'a') + ".py"] = "";  // 256 bytes
  EXPECT_EQ(refusal(entries), "x.pt: entry 'code/" + std::string(35, 'a') + "…' has a name of 256 bytes or more");
}

TEST_F(Program, WithEntriesThatNoProgramHasIsRefused) {
  Entries entries = program_of(forward_of("    return x\n"));
  entries["model.json"] = "{}";  // libtorch's older loader, with checks of its own, would take over
  EXPECT_EQ(refusal(entries), "x.pt: entry 'model.json' is none that a program has");
}

TEST_F(Program, ThatUnpacksToTooMuchIsRefused) {
  Entries entries = program_of(forward_of("    return x\n"));
  entries["data/0"] = std::string((64 << 20) + 1, 'a');
  try {
    read_program("x.pt", archive_of(entries, /*compress=*/true));
    FAIL() << "it was taken";
  } catch (const BundleError& error) {
    EXPECT_STREQ(error.what(), "x.pt: entry 'data/0' unpacks to 67108865 bytes, more than a program needs");
  }
}

TEST_F(Program, WithWeightsOfItsOwnIsRefused) {
  Entries entries = program_of(
      "class M(Module):\n  __parameters__ = [\"w\", ]\n  __buffers__ = []\n  w : Tensor\n"
      "  def forward(self: __torch__.M, x: Tensor) -> Tensor:\n    return x\n");
  entries["data.pkl"] = pickle_of(pickled_object("M", pickled_dict({{"w", pickled_tensor("0", 2, 2, 1)}})));
  entries["data/0"] = std::string(8, '\0');
  EXPECT_EQ(refusal(entries),
            "x.pt: it holds a tensor of its own, of 2 elements; all weights belong into the safetensors file");
}

TEST_F(Program, WhoseConstantsLieAboutTheirSizeIsRefused) {
  Entries entries = program_of(forward_of("    return torch.add(x, CONSTANTS.c0)\n"));
  entries["constants/0"] = std::string(8, '\0');
  entries["constants.pkl"] = pickle_of(pickled_tensor("0", 100, 100, 1) + "\x85");
  EXPECT_EQ(refusal(entries), "x.pt: entry 'constants/0' has 8 bytes for 100 elements of Float");
  entries["constants.pkl"] = pickle_of(pickled_tensor("0", 2, 100, 1) + "\x85");
  const char* const too_few =
      "x.pt: entry 'constants/0' has 2 elements, fewer than its tensor's sizes, strides and offset ask for";
  EXPECT_EQ(refusal(entries), too_few);
  entries["constants.pkl"] = pickle_of(pickled_tensor("0", 2, 2, 1, /*offset=*/1) + "\x85");
  EXPECT_EQ(refusal(entries), too_few);
  entries["constants.pkl"] = pickle_of(pickled_tensor("0", 2, 100, /*stride=*/0) + "\x85");
  EXPECT_EQ(refusal(entries), too_few);
}

TEST_F(Program, WhoseCodeAsksForAConstantThatIsNotThereIsRefused) {
  EXPECT_THAT(refusal(program_of(forward_of("    return torch.add(x, CONSTANTS.c7)\n"))), StartsWith("x.pt: "));
}

TEST_F(Program, WhoseAttributesAreOfOtherTypesIsRefused) {
  const std::string code =
      "class M(Module):\n  __parameters__ = []\n  __buffers__ = []\n  n : int\n  c : __torch__.C\n"
      "  def forward(self: __torch__.M, x: Tensor) -> Tensor:\n    return x\n"
      "class C(Module):\n  __parameters__ = []\n  __buffers__ = []\n"
      "class D(Module):\n  __parameters__ = []\n  __buffers__ = []\n";
  const auto with = [&](const std::map<std::string, std::string>& state) {
    Entries entries = program_of(code);
    entries["data.pkl"] = pickle_of(pickled_object("M", pickled_dict(state)));
    return refusal(entries);
  };
  EXPECT_EQ(with({{"n", "K\x01"}, {"c", pickled_object("C")}}), "");
  EXPECT_EQ(with({{"n", pickled_text("1")}, {"c", pickled_object("C")}}),
            "x.pt: its pickle has no integer where one must be");
  EXPECT_EQ(with({{"n", "K\x01"}, {"c", pickled_object("D")}}),
            "x.pt: its pickle has another module where a __torch__.C must be");
  EXPECT_EQ(with({{"n", "K\x01"}}), "x.pt: attribute 'c' of __torch__.M is missing");
}

// Libtorch would fill the slots of a D through an object that has those of a C.
TEST_F(Program, ThatGivesOneObjectForTwoClassesIsRefused) {
  Entries entries = program_of(
      "class M(Module):\n  __parameters__ = []\n  __buffers__ = []\n  c : __torch__.C\n  d : __torch__.D\n"
      "  def forward(self: __torch__.M, x: Tensor) -> Tensor:\n    return x\n"
      "class C(Module):\n  __parameters__ = []\n  __buffers__ = []\n"
      "class D(Module):\n  __parameters__ = []\n  __buffers__ = []\n  s : str\n");
  entries["data.pkl"] = pickle_of("c__torch__\nM\n)\x81}(" + pickled_text("c") + pickled_object("C") + "q\x01" +
                                  pickled_text("d") + "h\x01ub");
  EXPECT_EQ(refusal(entries), "x.pt: its pickle has another module where a __torch__.D must be");
}

// A list that has another twice, which has another twice: 2^36 numbers in 300 bytes.
TEST_F(Program, WhoseListsDoubleIsRefused) {
  std::string type = "List[int]", list =
                                      "](K\x01K\x01"
                                      "eq\x01";
  for (char i = 1; i < 36; ++i) {
    type = "List[" + type + "]";
    list = "](" + list + "h" + i + "eq" + static_cast<char>(i + 1);
  }
  Entries entries = program_of("class M(Module):\n  __parameters__ = []\n  __buffers__ = []\n  l : " + type +
                               "\n  def forward(self: __torch__.M, x: Tensor) -> Tensor:\n    return x\n");
  entries["data.pkl"] = pickle_of("c__torch__\nM\n)\x81}(" + pickled_text("l") + list + "ub");
  EXPECT_EQ(refusal(entries), "x.pt: its modules hold more values than a program needs");
}

TEST_F(Program, WhoseFunctionsDoubleIsRefused) {
  std::string code = "def f0(x: Tensor) -> Tensor:\n  return torch.add(x, x)\n";
  for (int i = 1; i < 40; ++i) {
    const std::string before = "__torch__.f" + std::to_string(i - 1);
    code += "def f" + std::to_string(i) + "(x: Tensor) -> Tensor:\n  return torch.add(" + before + "(x, ), " + before +
            "(x, ))\n";
  }
  EXPECT_EQ(refusal(program_of(code + forward_of("    return __torch__.f39(x, )\n"))),
            "x.pt: its functions call each other so that more than 2000000 operators would run");
}

// Each method calls the next twice.
TEST_F(Program, WhoseMethodsDoubleIsRefused) {
  std::string code = "class M(Module):\n  __parameters__ = []\n  __buffers__ = []\n";
  for (int i = 0; i < 40; ++i) {
    const std::string self = "  def forward" + (i == 0 ? "" : std::to_string(i)) +
                             "(self: __torch__.M, x: Tensor) -> Tensor:\n",
                      next = "(self).forward" + std::to_string(i + 1) + "(x, )";
    code += self + (i < 39 ? "    return torch.add(" + next + ", " + next + ")\n" : "    return torch.add(x, x)\n");
  }
  EXPECT_EQ(refusal(program_of(code)),
            "x.pt: its functions call each other so that more than 2000000 operators would run");
}

TEST_F(Program, OfMuchCodeIsRefused) {
  std::string code = forward_of("    return x\n");
  while (code.size() < 8 << 20) code += "def f" + std::to_string(code.size()) + "(x: Tensor) -> Tensor:\n  return x\n";
  EXPECT_EQ(refusal(program_of(code)), "x.pt: its code has more than 6291456 bytes");
}

TEST_F(Program, WhoseConstantIsRepeatedWithoutEndIsRefused) {
  Entries entries = program_of(forward_of("    return torch.add(x, CONSTANTS.c0)\n"));
  entries["constants/0"] = std::string(4, '\0');
  std::string tensor = pickled_tensor("0", 1, 1, /*stride=*/0);
  const std::string size("K\x01\x85K", 4), billion = std::string("J\0\xca\x9a\x3b", 5) + "\x85K";
  tensor.replace(tensor.find(size), size.size(), billion);
  entries["constants.pkl"] = pickle_of(tensor + "\x85");
  EXPECT_EQ(refusal(entries),
            "x.pt: entry 'constants/0' has 1 elements, fewer than its tensor's sizes, strides and offset ask for");
}

// The processor ends a program that divides the least integer by -1.
TEST_F(Program, ThatDividesByWhatIsNoConstantIsRefused) {
  const std::string message = " with a divisor that is no constant above 0, which no exporter writes";
  for (const char* divisor : {"-1", "0", "x", "CONSTANTS.c0"}) {
    Entries entries =
        program_of(forward_of("    return torch.div(x, " + std::string(divisor) + ", rounding_mode=\"trunc\")\n"));
    entries["constants.pkl"] = pickle_of(pickled_tensor("0", 1, 1, 1) + "\x85");
    const float minus_one = -1;
    entries["constants/0"] = std::string(reinterpret_cast<const char*>(&minus_one), sizeof minus_one);
    EXPECT_EQ(refusal(entries), "x.pt: its code calls aten::div" + message) << divisor;
  }
  EXPECT_EQ(refusal(program_of(forward_of("    return torch.floor_divide(x, x)\n"))),
            "x.pt: its code calls aten::floor_divide" + message);
  EXPECT_EQ(refusal(program_of(forward_of("    return torch.floor_divide(x, 3)\n"))), "");
  EXPECT_EQ(refusal(program_of(forward_of("    return torch.div(x, x)\n"))), "");
}

TEST_F(Program, WhoseArgumentsNoExporterWritesIsRefused) {
  const auto said = [](const std::string& call) {  // what nobody asks for is not compiled
    return refusal(program_of(forward_of("    return " + call + "\n")));
  };
  const std::string tail = " that no exporter writes";
  EXPECT_EQ(said("torch.pixel_shuffle(x, 4294967296)"),
            "x.pt: its code calls aten::pixel_shuffle with a upscale_factor" + tail);
  EXPECT_EQ(said("torch.cat(torch.chunk(x, 1000000000, 0), 0)"),
            "x.pt: its code calls aten::chunk with a chunks" + tail);
  EXPECT_EQ(said("torch.group_norm(x, 0)"), "x.pt: its code calls aten::group_norm with a num_groups" + tail);
  EXPECT_EQ(said("torch.upsample_nearest2d(x, None, [1e9, 2.])"),
            "x.pt: its code calls aten::upsample_nearest2d with a scale_factors" + tail);
  EXPECT_EQ(said("torch.upsample_nearest2d(x, [8, 8], 1e-40, None)"),
            "x.pt: its code calls aten::upsample_nearest2d with a scales_h" + tail);
  const auto convolution = [&](const std::string& numbers) {
    return said("torch._convolution(x, x, None, " + numbers + ", False, False, True, True)");
  };
  EXPECT_EQ(convolution("[1, 1], [0, 0], [1, 1], False, [0, 0], 1"), "");
  for (const char* numbers :
       {"[0, 0], [0, 0], [1, 1], False, [0, 0], 1", "[1, 1], [-1, 0], [1, 1], False, [0, 0], 1",
        "[1, 1], [0, 0], [1, 0], False, [0, 0], 1", "[1, 1], [0, 0], [1, 1], True, [9999, 0], 1",
        "[1, 1], [0, 0], [1, 1], False, [0, 0], 0", "[1, 1], [int(torch.size(x, 0)), 0], [1, 1], False, [0, 0], 1"})
    EXPECT_THAT(convolution(numbers), HasSubstr("that no exporter writes")) << numbers;
}

// libtorch calls what it did not foresee an error of its own, and asks to report it.
TEST_F(Program, WhoseFaultLibtorchTakesForItsOwnIsRefusedInOurWords) {
  for (const char* line :
       {"return CONSTANTS.c99999999999999999999", "return CONSTANTS.cx", "return (x, 9999999999999999999999)"}) {
    const std::string said = refusal(program_of(forward_of("    " + std::string(line) + "\n")));
    EXPECT_THAT(said, StartsWith("x.pt: ")) << line;
    for (const char* foreign : {"ASSERT", "report", ".cpp", "sto", "::", "\n"})
      EXPECT_THAT(said, ::testing::Not(HasSubstr(foreign))) << line;
  }
}

// libtorch computes such while it compiles: 1 // 0 ends the process.
TEST_F(Program, ThatComputesWithConstantsIsRefused) {
  for (const char* expression :
       {"torch.floor_divide(1, 0)", "torch.div(1, 0)", "torch.mul(CONSTANTS.c0, 0)", "torch.add(-1, 2.5)"}) {
    EXPECT_THAT(refusal(program_of(forward_of("    y = " + std::string(expression) + "\n    return x\n"))),
                HasSubstr("with constants alone, which would run while it is read"))
        << expression;
  }
  const std::string through_names = "    a = 0\n    b = torch.floor_divide(1, a)\n    return x\n";
  EXPECT_THAT(refusal(program_of(forward_of(through_names))), HasSubstr("with constants alone"));
}

TEST_F(Program, WithWordsAndSignsThatNoTraceHasIsRefused) {
  for (const char* line : {"y = 1 % 0",
                           "y = \"a\".count(\"\")",
                           "y = \"a\".ljust(3000000000)",
                           "y: int=1 % 0",
                           "with x: y = 1",
                           "def f(): y = 1",
                           "if x: y = 1",
                           "y = 1 // 0",
                           "y = 1 << 70",
                           "y = \"a\" \"b\"",
                           "y = - - 1",
                           "y = not x",
                           "y = x + x",
                           "y = x[0]",
                           "while x: y = 1",
                           "y = 1 if x else 2",
                           "# )))))",
                           "y = \"\"\"a\"\"\"",
                           "y = (lambda: x)()",
                           "y = x.a.b()",
                           "y = (x).ljust(3000000000)",
                           "CONSTANTS = x",
                           "y = x ** x",
                           "y = x == x",
                           "y = \x01",
                           "assert x",
                           "y = 0x10"}) {
    EXPECT_THAT(refusal(program_of(forward_of("    " + std::string(line) + "\n    return x\n"))),
                StartsWith("x.pt: its code "))
        << line;
  }
}

// The compiler computes these where they stand.
TEST_F(Program, ThatComputesInSignaturesAndClassesIsRefused) {
  const std::string in_signature =
      "class M(Module):\n  __parameters__ = []\n  __buffers__ = []\n"
      "  def forward(self: __torch__.M, x: Tensor, y: int=1 % 0) -> Tensor:\n    return x\n";
  EXPECT_EQ(refusal(program_of(in_signature)),
            "x.pt: its code has a '%' (line 4); no program that was traced has that");
  const std::string in_class =
      "class M(Module):\n  __parameters__ = []\n  __buffers__ = []\n  k : Final[int] = 1 % 0\n"
      "  def forward(self: __torch__.M, x: Tensor) -> Tensor:\n    return x\n";
  EXPECT_EQ(refusal(program_of(in_class)), "x.pt: its code has a '%' (line 4); no program that was traced has that");
}

// Each of these ends libtorch's parser, which calls itself for every one of them.
TEST_F(Program, ThatRepeatsWithoutEndIsRefused) {
  const auto many = [](const std::string& text) {
    std::string all;
    for (int i = 0; i < 30'000; ++i) all += text;
    return all;
  };
  const std::string many_ones(
      " + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1");
  const auto nested = [](const std::string& head) {
    std::string all;
    for (size_t i = 0; i < 2000; ++i) all += head + "\n" + std::string(4 + i, ' ');
    return all + "y = 1";
  };
  for (const std::string& line :
       {"y = " + many("-") + "1", "y = " + many("not ") + "x", "y = 1" + many(" + 1"), "y = x" + many(".a"),
        "y = 1" + many(many_ones), nested("if x:"), nested("with x:"), nested("def f():"), many("# a\n"), many("\n"),
        "y = " + many("(#)))\n"), "y = x" + many("[0]"), "y = \"" + many("a") + "\""}) {
    EXPECT_THAT(refusal(program_of(forward_of("    " + line + "\n    return x\n"))), StartsWith("x.pt: its code "))
        << line.substr(0, 40);
  }
}

TEST_F(Program, ThatNamesUnknownDtypesIsRefused) {
  for (const char* call : {"torch.zeros_like(x, dtype=-1)", "torch.zeros_like(x, dtype=99)",
                           "torch.to(x, 6, memory_format=4)", "torch.ones_like(x, layout=7)"}) {
    EXPECT_THAT(refusal(program_of(forward_of("    return " + std::string(call) + "\n"))), StartsWith("x.pt: "))
        << call;
  }
  EXPECT_EQ(refusal(program_of(forward_of("    return torch.zeros_like(x, dtype=6)\n"))), "");
}

TEST_F(Program, WhosePickleNamesAnotherClassIsRefused) {
  Entries entries = program_of(forward_of("    return x\n"));
  entries["data.pkl"] = pickle_of("cos\nsystem\n)\x81}b");
  EXPECT_EQ(refusal(entries), "x.pt: its pickle makes a 'os.system', which is no module of its code");
  entries["data.pkl"] = pickle_of("c__torch__.torch.classes.quantized\nLinearPackedParamsBase\n)\x81}b");
  EXPECT_EQ(refusal(entries),
            "x.pt: its pickle makes a '__torch__.torch.classes.quantized.LinearPackedParamsBase', which is no module "
            "of its code");
}

TEST_F(Program, ThatUsesTorchClassesIsRefused) {
  const std::string lines = "    s = __torch__.torch.classes.dist_rpc.WorkerInfo(\"a\", 1)\n    return x\n";
  EXPECT_EQ(refusal(program_of(forward_of(lines))),
            "x.pt: its code uses torch.classes; a bundle's program may only compute");
}

TEST_F(Program, WhoseModulesHoldThemselvesIsRefused) {
  Entries entries = program_of(
      "class M(Module):\n  __parameters__ = []\n  __buffers__ = []\n  m : Optional[__torch__.M]\n"
      "  def forward(self: __torch__.M, x: Tensor) -> Tensor:\n    return x\n");
  // The state's dict is remembered before it is filled, and filled with an object that has it as its state.
  entries["data.pkl"] = pickle_of("c__torch__\nM\n)\x81}q\x01(" + pickled_text("m") +
                                  "c__torch__\nM\n)\x81h\x01"
                                  "bub");
  EXPECT_THAT(refusal(entries), StartsWith("x.pt: "));
}

TEST_F(Program, NestedTooDeepIsRefused) {
  const std::string lines = "    return " + std::string(100'000, '(') + "x" + std::string(100'000, ')') + "\n";
  EXPECT_EQ(refusal(program_of(forward_of(lines))),
            "x.pt: its code is nested too deep (line 5); no program that was traced has that");
}

TEST_F(Program, ThatIsNoArchiveIsRefused) {
  for (const std::string bytes :
       {"", "PK\x03\x04", "not a zip archive, but long enough to be looked at as one ......"}) {
    EXPECT_THROW(read_program("x.pt", bytes), BundleError);
  }
  EXPECT_EQ(refusal({{"data.pkl", pickle_of(")")}}),
            "x.pt: has no entry 'constants.pkl'; it is no TorchScript archive");
  EXPECT_THAT(refusal(program_of("class M(Module):\n  this is no code\n")), StartsWith("x.pt: "));
}

TEST_F(Program, CutAnywhereIsRefused) {
  const std::string whole = archive_of(program_of(forward_of("    return torch.add(x, x)\n")));
  for (size_t size = 0; size < whole.size(); size += 37) {
    EXPECT_THROW(read_program("x.pt", whole.substr(0, size)), BundleError) << size;
  }
}

}  // namespace
}  // namespace steplapse
