#include "model/pickle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <stdexcept>

namespace steplapse {
namespace {

using ::testing::StrEq;
using ::testing::ThrowsMessage;

// python3: pickletools.dis of what torch.jit.save wrote, by hand.
std::string pickle_of(const std::string& value) { return "\x80\x02" + value + "."; }

TEST(Pickle, GivesPlainValues) {
  // pickle.dumps((1, -2, 300, 2.5, "é", True, None), protocol=2), with the sizes torch's writer uses
  const std::string bytes =
      pickle_of(std::string("(K\x01J\xfe\xff\xff\xffM\x2c\x01G\x40\x04\0\0\0\0\0\0X\x02\0\0\0\xc3\xa9\x88Nt", 30));
  const Pickle pickle(bytes);
  const auto& items = pickle.root().get<PickledValue::Tuple>()->items;
  ASSERT_EQ(items.size(), 7u);
  EXPECT_EQ(*items[0]->get<int64_t>(), 1);
  EXPECT_EQ(*items[1]->get<int64_t>(), -2);
  EXPECT_EQ(*items[2]->get<int64_t>(), 300);
  EXPECT_EQ(*items[3]->get<double>(), 2.5);
  EXPECT_EQ(*items[4]->get<std::string>(), "é");
  EXPECT_TRUE(*items[5]->get<bool>());
  EXPECT_TRUE(items[6]->get<PickledValue::None>());
}

TEST(Pickle, NamesWhatPythonWouldCall) {
  const std::string text("X\x02\0\0\0ls", 7);
  const Pickle pickle(pickle_of("cos\nsystem\n" + text + "\x85R"));
  const auto* call = pickle.root().get<PickledValue::Call>();
  ASSERT_TRUE(call);
  EXPECT_EQ(call->callee->get<PickledValue::Name>()->module, "os");
  EXPECT_EQ(call->callee->get<PickledValue::Name>()->name, "system");
}

TEST(Pickle, RemembersValues) {
  const Pickle pickle(pickle_of("K\x07q\x01h\x01\x86"));
  const auto& items = pickle.root().get<PickledValue::Tuple>()->items;
  EXPECT_EQ(items[0], items[1]);
}

TEST(Pickle, SaysWhatIsWrong) {
  const auto read = [](const std::string& bytes) { return [bytes] { Pickle{bytes}; }; };
  using Error = std::invalid_argument;
  EXPECT_THAT(read("hello"), ThrowsMessage<Error>(StrEq("no pickle of protocol 2 at byte 1")));
  EXPECT_THAT(read(pickle_of("")), ThrowsMessage<Error>(StrEq("takes a value that is not there at byte 3")));
  EXPECT_THAT(read(pickle_of("(K\x01R")), ThrowsMessage<Error>(StrEq("takes a value that is not there at byte 6")));
  EXPECT_THAT(read(pickle_of("t")), ThrowsMessage<Error>(StrEq("takes a mark that is not there at byte 3")));
  EXPECT_THAT(read(pickle_of("}(Nu")), ThrowsMessage<Error>(StrEq("sets a key without a value at byte 6")));
  EXPECT_THAT(read(pickle_of("N(Ne")), ThrowsMessage<Error>(StrEq("fills what is no container at byte 6")));
  EXPECT_THAT(read(pickle_of("h\x05")), ThrowsMessage<Error>(StrEq("recalls what it never stored at byte 4")));
  EXPECT_THAT(read(pickle_of("i")), ThrowsMessage<Error>(StrEq("opcode 105 of no program at byte 3")));
  EXPECT_THAT(read("\x80\x02X\xff\xff\xff\xff"
                   "a"),
              ThrowsMessage<Error>(StrEq("ends in the middle at byte 7")));
}

// Whatever the bytes: values or an error. (The asan preset sees what a wrong read would do.)
TEST(Pickle, TakesNoHarmFromNoise) {
  std::mt19937 random(0);
  const std::string opcodes =
      "N\x88\x89K()\x85\x86\x87t]e}uc\x81"
      "bRQqh\n.";
  int read = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = "\x80\x02";
    for (int j = 0; j < 20; ++j) bytes += opcodes[random() % opcodes.size()];
    try {
      Pickle{bytes};
      ++read;
    } catch (const std::invalid_argument&) {
    }
  }
  EXPECT_GT(read, 100);  // the noise does get through to the end now and then
}

}  // namespace
}  // namespace steplapse
