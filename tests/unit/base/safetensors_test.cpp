#include "base/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>

#include "base/aten.h"
#include "support/temporary_folder.h"

namespace steplapse {
namespace {

using test_support::TemporaryFolder;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string file_of(const std::string& header, const std::string& data, std::optional<uint64_t> length = {}) {
  const uint64_t number = length.value_or(header.size());
  return std::string(reinterpret_cast<const char*>(&number), 8) + header + data;
}

class Safetensors : public ::testing::Test {
 protected:
  NamedTensors read(const std::string& bytes) {
    folder_.write("x.safetensors", bytes);
    return read_safetensors(folder_ / "x.safetensors");
  }
  /// What is said of a file that is refused, without its path; empty if it is taken.
  std::string refusal(const std::string& bytes) {
    try {
      read(bytes);
      return "";
    } catch (const SafetensorsError& error) {
      const std::string path = (folder_ / "x.safetensors").string() + ": ";
      EXPECT_THAT(error.what(), StartsWith(path));
      return std::string(error.what()).substr(path.size());
    }
  }
  TemporaryFolder folder_;
};

// What safetensors.numpy.save({"b": float32 [[1, 2]], "a": int64 [3]}) writes (version 0.8.0): a's 8 bytes first.
const std::string kReference = file_of(
    R"({"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1,2],"data_offsets":[8,16]}}  )",
    std::string("\3\0\0\0\0\0\0\0\0\0\x80\x3f\0\0\0\x40", 16));

TEST_F(Safetensors, AreReadAsTheReferenceWritesThem) {
  const NamedTensors tensors = read(kReference);
  ASSERT_EQ(tensors.size(), 2u);
  EXPECT_TRUE(at::equal(tensors.at("a"), at::full({1}, 3, at::kLong)));
  EXPECT_TRUE(at::equal(tensors.at("b"), at::tensor({1.0f, 2.0f}).reshape({1, 2})));
}

TEST_F(Safetensors, ComeBackAsTheyWere) {
  const NamedTensors tensors = {{"half", at::randn({3, 5}).to(at::kHalf)},
                                {"brain", at::randn({7}).to(at::kBFloat16)},
                                {"transposed", at::randn({2, 3}).t()},
                                {"bool", at::tensor({1, 0, 1}).to(at::kBool)},
                                {"scalar", at::tensor(2.5f)},
                                {"none", at::zeros({0, 4})}};
  const NamedTensors back = read(to_safetensors(tensors));
  ASSERT_EQ(back.size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    EXPECT_EQ(back.at(name).scalar_type(), tensor.scalar_type()) << name;
    EXPECT_TRUE(at::equal(back.at(name), tensor)) << name;
  }
}

TEST_F(Safetensors, SameTensorsGiveSameBytes) {
  EXPECT_EQ(to_safetensors({{"x", at::ones({2})}, {"y", at::zeros({3})}}),
            to_safetensors({{"y", at::zeros({3})}, {"x", at::ones({2})}}));
}

TEST_F(Safetensors, OutliveTheirFile) {
  Tensor tensor = read(kReference).at("b");
  std::filesystem::remove(folder_ / "x.safetensors");
  EXPECT_EQ(tensor.sum().item<float>(), 3);
}

TEST_F(Safetensors, WritesToATensorStayInThisProcess) {
  read(kReference).at("b").fill_(9);
  EXPECT_EQ(read_safetensors(folder_ / "x.safetensors").at("b").sum().item<float>(), 3);
}

TEST_F(Safetensors, OfUnalignedDataAreReadToo) {
  const std::string header = R"({"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}} )";
  ASSERT_NE((8 + header.size()) % 4, 0u);
  EXPECT_EQ(read(file_of(header, std::string("\0\0\x80\x3f", 4))).at("b").item<float>(), 1);
}

TEST_F(Safetensors, MayHaveMetadata) {
  EXPECT_EQ(read(file_of(R"({"__metadata__":{"format":"pt"}})", "")).size(), 0u);
  EXPECT_EQ(refusal(file_of(R"({"__metadata__":{"format":1}})", "")), "'__metadata__' is not an object of texts");
}

TEST_F(Safetensors, WithALyingLengthAreRefused) {
  EXPECT_EQ(refusal(""), "has 0 bytes, too few for a header");
  EXPECT_EQ(refusal("1234567"), "has 7 bytes, too few for a header");
  EXPECT_EQ(refusal(file_of("{}", "", 3)), "says its header has 3 bytes, the file has 10");
  EXPECT_EQ(refusal(file_of("{}", "", UINT64_MAX)), "says its header has 18446744073709551615 bytes, the file has 10");
}

TEST_F(Safetensors, WhoseHeaderIsNoJsonAreRefused) {
  EXPECT_EQ(refusal(file_of("hello", "")), "its header is not JSON: wrong at byte 1 of 5");
  EXPECT_EQ(refusal(file_of("", "")), "its header is not JSON: wrong at byte 1 of 0");
  EXPECT_EQ(refusal(file_of("{\"\xff\":1}", "")), "its header is not JSON: wrong at byte 3 of 7");
  EXPECT_EQ(refusal(file_of("[1]", "")), "its header is a list of 1, expected an object");
  EXPECT_EQ(refusal(file_of(std::string(100'000, '['), "")), "its header is nested deeper than 16 levels");
}

/// A file of 16 bytes of data whose only tensor is described so.
std::string one(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return file_of(R"({"t":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}",
                 std::string(16, '\0'));
}

TEST_F(Safetensors, WhoseOffsetsLieAreRefused) {
  EXPECT_EQ(refusal(one("\"F32\"", "[4]", "[0,16]")), "");
  EXPECT_EQ(refusal(one("\"F32\"", "[5]", "[0,20]")), "tensor \"t\" lies at bytes 0 to 20 of 16");
  EXPECT_EQ(refusal(one("\"F32\"", "[4]", "[16,0]")), "tensor \"t\" lies at bytes 16 to 0 of 16");
  EXPECT_EQ(refusal(one("\"F32\"", "[4]", "[-16,0]")),
            "tensor \"t\"'s begin is -16, expected an integer, not negative");
  EXPECT_EQ(refusal(one("\"F32\"", "[4]", "[0,1.6e1]")),
            "tensor \"t\"'s end is 16.0, expected an integer, not negative");
  EXPECT_EQ(refusal(one("\"F32\"", "[4]", "[0,18446744073709551616]")),
            "tensor \"t\"'s end is 1.8446744073709552e+19, expected an integer, not negative");
  EXPECT_EQ(refusal(one("\"F32\"", "[4]", "[0]")),
            "tensor \"t\" must have dtype, shape and data_offsets [begin, end], and nothing else");
}

TEST_F(Safetensors, WhoseShapesLieAreRefused) {
  EXPECT_EQ(refusal(one("\"F32\"", "[3]", "[0,16]")), "tensor \"t\" has 16 bytes, its dtype and shape ask for 12");
  EXPECT_EQ(refusal(one("\"F16\"", "[4]", "[0,16]")), "tensor \"t\" has 16 bytes, its dtype and shape ask for 8");
  EXPECT_EQ(refusal(one("\"F32\"", "[-4]", "[0,16]")), "tensor \"t\"'s shape is -4, expected an integer, not negative");
  EXPECT_EQ(refusal(one("\"F32\"", "[4294967296,4294967296]", "[0,0]")),
            "tensor \"t\" has a shape of more than 2^63 bytes");
  EXPECT_EQ(refusal(one("\"F32\"", "[0,9223372036854775807,9223372036854775807]", "[0,0]")),
            "tensor \"t\" has a shape of more than 2^63 bytes");
  EXPECT_THAT(refusal(one("\"F8_E4M3\"", "[16]", "[0,16]")),
              StartsWith("tensor \"t\" has dtype \"F8_E4M3\", expected"));
  EXPECT_THAT(refusal(one("7", "[16]", "[0,16]")), StartsWith("tensor \"t\" has dtype 7, expected"));
}

std::string two(const std::string& first, const std::string& second) {
  return file_of(R"({"a":{"dtype":"U8","shape":[8],"data_offsets":)" + first +
                     R"(},"b":{"dtype":"U8","shape":[8],"data_offsets":)" + second + "}}",
                 std::string(16, '\0'));
}

TEST_F(Safetensors, ThatOverlapOrLeaveGapsAreRefused) {
  EXPECT_EQ(refusal(two("[0,8]", "[8,16]")), "");
  EXPECT_EQ(refusal(two("[8,16]", "[0,8]")), "");
  EXPECT_EQ(refusal(two("[0,8]", "[4,12]")), "tensor \"b\" begins at byte 4, inside the one before, which ends at 8");
  EXPECT_EQ(refusal(two("[0,8]", "[0,8]")), "tensor \"b\" begins at byte 0, inside the one before, which ends at 8");
  EXPECT_EQ(refusal(one("\"U8\"", "[8]", "[8,16]")), "tensor \"t\" begins at byte 8, after a gap from 0");
  EXPECT_EQ(refusal(one("\"U8\"", "[8]", "[0,8]")), "its tensors end at byte 8 of 16");
}

TEST_F(Safetensors, OfOneNameTwiceAreRefused) {
  const std::string tensor = R"("a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]})";
  EXPECT_EQ(refusal(file_of("{" + tensor + "," + tensor + "}", std::string(8, '\0'))),
            "its header has the key \"a\" twice in one object");
}

TEST_F(Safetensors, ThatAreNoFileAreRefused) {
  EXPECT_THROW(read_safetensors(folder_ / "missing"), SafetensorsError);
  EXPECT_THROW(read_safetensors(folder_.path()), SafetensorsError);
}

// It took 19 s, with a callback of the JSON library.
TEST_F(Safetensors, MayBeManyInOneFile) {
  NamedTensors many;
  for (int i = 0; i < 40'000; ++i) many["layer." + std::to_string(i) + ".weight"] = at::ones({1});
  EXPECT_EQ(read(to_safetensors(many)).size(), 40'000u);
}

TEST_F(Safetensors, CutAnywhereAreRefused) {
  for (size_t size = 0; size < kReference.size(); ++size) EXPECT_NE(refusal(kReference.substr(0, size)), "") << size;
}

}  // namespace
}  // namespace steplapse
