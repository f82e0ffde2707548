#include "steplapse/bundle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <functional>
#include <map>

#include "base/sha256.h"
#include "model/bundle_folder.h"
#include "steplapse/error.h"
#include "support/bundle_maker.h"
#include "support/sentencepiece_model.h"

namespace steplapse {
namespace {

using test_support::BundleMaker;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using ::testing::StrEq;
using ::testing::ThrowsMessage;

namespace fs = std::filesystem;

/// What load_bundle says of a bundle, with the folder as BUNDLE; empty if it takes it.
template <class Expected = BundleError>
std::string refusal(BundleMaker& maker, const std::string& device = "cpu",
                    const std::vector<std::string>& decoders = {}) {
  const std::string folder = maker.write().string();
  try {
    load_bundle(folder, device, decoders);
    return "";
  } catch (const Expected& error) {
    std::string text = error.what();
    for (size_t at; (at = text.find(folder)) != std::string::npos;) text.replace(at, folder.size(), "BUNDLE");
    return text;
  }
}

TEST(Bundle, AnswersWhatItsModulesCompute) {
  BundleMaker maker;
  const Bundle bundle = load_bundle(maker.write());
  const auto conditioning = bundle.encode_text({at::tensor({0, 1, 2, 7}, at::kLong).reshape({1, 1, 4})},
                                               {at::tensor({1.0f, 1.0f, 1.0f, 2.0f}).reshape({1, 1, 4})});
  ASSERT_EQ(conditioning.size(), 1u);
  EXPECT_TRUE(at::equal(conditioning[0], at::tensor({0, 1, 2, 3, 4, 5, 28, 30}, at::kFloat).reshape({1, 4, 2})));

  const Tensor cond = at::stack({at::zeros({4, 2}), at::ones({4, 2})});
  const Tensor answer = bundle.denoise(at::ones({2, 4, 4, 4}), at::tensor({0.0f, 500.0f}), {cond});
  EXPECT_TRUE(at::equal(answer[0], at::full({4, 4, 4}, 2.0f)));
  EXPECT_TRUE(at::equal(answer[1], at::full({4, 4, 4}, 3.5f)));

  const Tensor latents = at::arange(64, at::kFloat).reshape({1, 4, 4, 4});
  const Tensor image = bundle.decode("full", latents);
  EXPECT_EQ(image.sizes(), (std::vector<int64_t>{1, 3, 16, 16}));
  EXPECT_EQ(image[0][2][15][4].item<float>(), 2 * 16 + 3 * 4 + 1);
}

TEST(Bundle, AnswersOrdinaryTensors) {
  BundleMaker maker;
  const Bundle bundle = load_bundle(maker.write());
  Tensor answer = bundle.denoise(at::ones({1, 4, 4, 4}), at::zeros({1}), {at::zeros({1, 4, 2})});
  EXPECT_FALSE(answer.is_inference());
  EXPECT_FALSE(answer.requires_grad());
}

TEST(Bundle, LoadsTheDecodersAskedForAndFull) {
  BundleMaker maker;
  const fs::path folder = maker.write();
  const Tensor latents = at::ones({1, 4, 4, 4});
  EXPECT_EQ(load_bundle(folder, "cpu", {"linear"}).decode("linear", latents).mean().item<float>(), -1);
  EXPECT_EQ(load_bundle(folder, "cpu", {"linear"}).decode("full", latents).mean().item<float>(), 1);
  EXPECT_THROW(load_bundle(folder).decode("linear", latents), std::invalid_argument);
  EXPECT_EQ(refusal<UsageError>(maker, "cpu", {"tiny"}), "`decoder` tiny: the model 'handmade' has full, linear");
}

TEST(Bundle, CastsWeightsToItsComputeDtype) {
  BundleMaker maker;
  maker.weights["denoiser"]["gain"] = at::full({1}, 1.0009765625).to(at::kHalf);  // 1 + 2^-10: bfloat16 has no such
  maker.manifest["modules"]["denoiser"]["tensors"]["gain"]["dtype"] = "F16";
  const auto answer = [&] {
    const Bundle bundle = load_bundle(maker.write());
    return bundle.denoise(at::ones({1, 4, 4, 4}), at::zeros({1}), {at::zeros({1, 4, 2})}).mean().item<double>();
  };
  EXPECT_EQ(answer(), 1.0009765625);
  maker.manifest["modules"]["denoiser"]["compute_dtype"] = "bfloat16";
  EXPECT_EQ(answer(), 1);
}

TEST(Bundle, LeavesIntegersAsTheyAre) {
  BundleMaker maker;
  maker.weights["denoiser"]["gain"] = at::full({1}, (int64_t{1} << 40) + 1, at::kLong);
  maker.manifest["modules"]["denoiser"]["tensors"]["gain"]["dtype"] = "I64";
  maker.manifest["modules"]["denoiser"]["compute_dtype"] = "float16";
  const Bundle bundle = load_bundle(maker.write());
  const Tensor answer = bundle.denoise(at::ones({1, 4, 4, 4}), at::zeros({1}), {at::zeros({1, 4, 2})});
  EXPECT_EQ(answer.mean().item<double>(), static_cast<double>(static_cast<float>((int64_t{1} << 40) + 1)));
}

TEST(BundleFolder, ReadsFilesAfterTheirHashWasChecked) {
  BundleMaker maker;
  const BundleFolder folder(maker.write());
  EXPECT_EQ(folder.read("tokenizer.model"), kModel);
  std::ofstream(maker.path("tokenizer.model")) << "quite another!";
  EXPECT_THROW(folder.read("tokenizer.model"), BundleError);
}

TEST(BundleFolder, ReadsTokenizersOnce) {
  BundleMaker maker;
  const BundleFolder folder(maker.write());
  const std::vector<Tokenizer>& tokenizers = folder.tokenizers();
  std::ofstream(maker.path("tokenizer.model")) << "quite another!";
  EXPECT_EQ(&folder.tokenizers(), &tokenizers);
}

TEST(Bundle, IsMappedAndOutlivesItsFolder) {
  std::optional<Bundle> bundle;
  {
    BundleMaker maker;
    bundle.emplace(load_bundle(maker.write()));
  }
  EXPECT_EQ(bundle->decode("full", at::ones({1, 4, 4, 4})).mean().item<float>(), 1);
}

TEST(Bundle, WithAShortFileIsRefused) {
  BundleMaker maker;
  maker.write();
  fs::resize_file(maker.path("denoiser.safetensors"), 20);
  try {
    load_bundle(maker.path(""));
    FAIL() << "it was taken";
  } catch (const BundleError& error) {
    EXPECT_EQ(error.what(), maker.path("denoiser.safetensors").string() + ": has 20 bytes, model.json asks for " +
                                std::to_string(maker.files["denoiser.safetensors"].size()) +
                                "; fetch or export the bundle again");
  }
}

TEST(Bundle, WhoseProgramIsAHugeGapIsRefused) {
  BundleMaker maker;
  maker.write();
  fs::resize_file(maker.path("denoiser.pt"), uintmax_t{1} << 42);
  const Manifest::File described{.size = int64_t{1} << 42, .sha256 = std::string(64, '0')};
  EXPECT_THAT([&] { read_bundle_file(maker.path(""), "denoiser.pt", described); },
              ThrowsMessage<BundleError>(HasSubstr("denoiser.pt: has 4398046511104 bytes, more than a program or a "
                                                   "tokenizer has")));
}

TEST(Bundle, WithAFileOfAnotherHashIsRefused) {
  for (const std::string name :
       {"denoiser.pt", "denoiser.safetensors", "decoder_full.pt", "text_encoder.safetensors"}) {
    BundleMaker maker;
    maker.write();
    maker.files[name].back() ^= 1;
    EXPECT_THAT(refusal(maker), StartsWith("")) << name;
    const std::string changed = sha256(maker.files[name]);
    maker.manifest["files"][name]["sha256"] = std::string(64, '0');
    EXPECT_EQ(refusal(maker), "BUNDLE/" + name + ": its SHA-256 is " + sha256(maker.files[name]) +
                                  ", model.json asks for " + std::string(64, '0') +
                                  "; fetch or export the bundle again");
  }
}

TEST(Bundle, WithAMissingFileIsRefused) {
  BundleMaker maker;
  maker.write();
  fs::remove(maker.path("denoiser.pt"));
  EXPECT_THROW(load_bundle(maker.path("")), BundleError);
}

TEST(Bundle, WhoseFileLeadsOutOfTheFolderIsRefused) {
  BundleMaker maker;
  const test_support::TemporaryFolder elsewhere;
  maker.write();
  fs::rename(maker.path("denoiser.pt"), elsewhere / "denoiser.pt");
  fs::create_symlink(elsewhere / "denoiser.pt", maker.path("denoiser.pt"));
  try {
    load_bundle(maker.path(""));
    FAIL() << "it was taken";
  } catch (const BundleError& error) {
    EXPECT_EQ(error.what(), maker.path("denoiser.pt").string() + ": leads out of the bundle, to " +
                                fs::canonical(elsewhere / "denoiser.pt").string() + "; copy the file into the folder");
  }
}

TEST(Bundle, WhoseFolderIsALinkIsFine) {
  BundleMaker maker;
  const test_support::TemporaryFolder elsewhere;
  fs::create_directory_symlink(maker.write(), elsewhere / "link");
  EXPECT_EQ(load_bundle(elsewhere / "link").manifest().name, "handmade");
}

TEST(Bundle, ThatWaitsForAPipeIsRefused) {
  BundleMaker maker;
  maker.write();
  fs::remove(maker.path("denoiser.pt"));
  ASSERT_EQ(mkfifo(maker.path("denoiser.pt").c_str(), 0600), 0);
  EXPECT_THROW(load_bundle(maker.path("")), BundleError);
}

TEST(Bundle, WithATensorOfAnotherShapeIsRefused) {
  BundleMaker maker;
  maker.weights["text_encoder"]["table"] = at::zeros({9, 2});
  EXPECT_EQ(refusal(maker), "BUNDLE/text_encoder.safetensors: 'table' is [9, 2], model.json asks for [8, 2]");
}

TEST(Bundle, WithATensorOfAnotherDtypeIsRefused) {
  BundleMaker maker;
  maker.weights["denoiser"]["gain"] = at::zeros({1}, at::kHalf);
  EXPECT_EQ(refusal(maker), "BUNDLE/denoiser.safetensors: 'gain' is F16, model.json asks for F32");
}

TEST(Bundle, WithAMissingOrALeftOverTensorIsRefused) {
  BundleMaker missing;
  missing.weights["denoiser"].clear();
  EXPECT_EQ(refusal(missing), "BUNDLE/denoiser.safetensors: 'gain' is missing, model.json asks for it");
  BundleMaker left_over;
  left_over.weights["denoiser"]["more"] = at::zeros({1});
  EXPECT_EQ(refusal(left_over), "BUNDLE/denoiser.safetensors: 'more' is not in model.json");
}

TEST(Bundle, WhoseProgramHasOtherParametersIsRefused) {
  BundleMaker more;
  more.weights["denoiser"]["more"] = at::zeros({1});
  more.manifest["modules"]["denoiser"]["tensors"]["more"] = {{"dtype", "F32"}, {"shape", {1}}};
  EXPECT_EQ(refusal(more), "BUNDLE/denoiser.pt: has no 'more', model.json has a tensor for it");
  BundleMaker fewer;
  fewer.weights["denoiser"].clear();
  fewer.manifest["modules"]["denoiser"]["tensors"].clear();
  EXPECT_EQ(refusal(fewer), "BUNDLE/denoiser.pt: its 'gain' has no tensor in model.json");
}

TEST(Bundle, WithALyingSafetensorsHeaderIsRefused) {
  BundleMaker maker;
  maker.files["denoiser.safetensors"] = std::string(16, '\xff');
  EXPECT_EQ(refusal(maker),
            "BUNDLE/denoiser.safetensors: says its header has 18446744073709551615 bytes, the file has 16");
}

TEST(Bundle, WithAHostileProgramIsRefusedBeforeItRuns) {
  BundleMaker maker;
  const std::string loot = maker.path("loot").string();
  maker.programs["denoiser"]["code/__torch__.py"] +=
      "  def __setstate__(self: __torch__.M, state: int) -> NoneType:\n    _0 = torch.save(1, \"" + loot +
      "\")\n    return None\n";
  EXPECT_EQ(refusal(maker), "BUNDLE/denoiser.pt: its code has __setstate__; a bundle's program may only compute");
  EXPECT_FALSE(fs::exists(loot));
}

TEST(Bundle, SaysWhenADeviceIsNotThere) {
  BundleMaker maker;
  EXPECT_EQ(refusal<UsageError>(maker, "gpu"), "`device` gpu: expected auto, cpu, cuda or cuda:N");
  EXPECT_EQ(refusal<UsageError>(maker, "cuda:"), "`device` cuda:: expected auto, cpu, cuda or cuda:N");
  EXPECT_EQ(refusal<UsageError>(maker, "meta"), "`device` meta: expected auto, cpu, cuda or cuda:N");
  if (at::hasCUDA()) GTEST_SKIP() << "there is a CUDA device";
  EXPECT_EQ(refusal<UsageError>(maker, "cuda"), "`device` cuda: this libtorch sees no CUDA device; use `device` cpu");
}

TEST(Bundle, SaysInOneLineWhatAModuleFailedAt) {
  BundleMaker maker;
  const Bundle bundle = load_bundle(maker.write());
  try {
    bundle.denoise(at::ones({1, 4, 4, 4}), at::zeros({1}), {at::zeros({1, 4})});
    FAIL() << "it answered";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::run_failed);
    EXPECT_THAT(error.what(), StartsWith("denoiser: Dimension out of range"));
    EXPECT_THAT(error.what(), ::testing::Not(HasSubstr("\n")));
  }
}

TEST(Bundle, SaysWhenMemoryIsShort) {
  BundleMaker maker;
  maker.programs["decoder_full"]["code/__torch__.py"] =
      "class M(Module):\n  __parameters__ = [\"sign\", ]\n  __buffers__ = []\n  sign : Tensor\n"
      "  def forward(self: __torch__.M, x: Tensor) -> Tensor:\n"
      "    return torch.contiguous(torch.expand(self.sign, [4611686018427387]))\n";
  const Bundle bundle = load_bundle(maker.write());
  EXPECT_THAT(
      [&] { bundle.decode("full", at::ones({1, 4, 4, 4})); },
      ThrowsMessage<MemoryError>(StrEq("decoder 'full': out of memory, 1.84e+07 GB more needed; a smaller `size` "
                                       "or a bundle exported with a smaller dtype needs less")));
}

TEST(Bundle, RefusesAnswersThatAreNotFloat32) {
  BundleMaker maker;
  auto& code = maker.programs["denoiser"]["code/__torch__.py"];
  code.replace(code.rfind(", 6)"), 4, ", 5)");
  const Bundle bundle = load_bundle(maker.write());
  try {
    bundle.denoise(at::ones({1, 4, 4, 4}), at::zeros({1}), {at::zeros({1, 4, 2})});
    FAIL() << "it answered";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "denoiser: answered Half, expected a float32 tensor");
  }
}

// Each of them could be broadcast to what was asked for.
TEST(Bundle, RefusesPredictionsOfAnotherShape) {
  const std::map<std::string, std::string> answers{{"torch.div(t, 2)", "[2]"},
                                                   {"torch.reshape(t, [-1, 1, 1, 1])", "[2, 1, 1, 1]"},
                                                   {"torch.cat([x, x], 0)", "[4, 4, 4, 4]"},
                                                   {"torch.slice(x, 0, 0, 1)", "[1, 4, 4, 4]"}};
  for (const auto& [answer, shape] : answers) {
    BundleMaker maker;
    maker.programs["denoiser"]["code/__torch__.py"] =
        "class M(Module):\n  __parameters__ = [\"gain\", ]\n  __buffers__ = []\n  gain : Tensor\n"
        "  def forward(self: __torch__.M, x: Tensor, t: Tensor, c: Tensor) -> Tensor:\n"
        "    return torch.to(" +
        answer + ", 6)\n";
    const Bundle bundle = load_bundle(maker.write());
    EXPECT_THAT([&] { bundle.denoise(at::ones({2, 4, 4, 4}), at::zeros({2}), {at::zeros({2, 4, 2})}); },
                ThrowsMessage<Error>(
                    StrEq("denoiser: answered " + shape + ", expected [2, 4, 4, 4]; export the bundle again")));
  }
}

// The change between two pictures would be read beyond the smaller one.
TEST(Bundle, RefusesPicturesThatChangeTheirSize) {
  BundleMaker maker;
  auto& code = maker.programs["decoder_full"]["code/__torch__.py"];
  code.replace(code.find("[16, 16]"), 8, "[16, int(torch.mean(x))]");
  const Bundle bundle = load_bundle(maker.write());
  EXPECT_EQ(bundle.decode("full", at::full({1, 4, 4, 4}, 16.0f)).size(3), 16);
  EXPECT_THAT([&] { bundle.decode("full", at::full({1, 4, 4, 4}, 20.0f)); },
              ThrowsMessage<Error>(StrEq("decoder 'full': answered [1, 3, 16, 20], expected [1, 3, 16, 16]; export the "
                                         "bundle again")));
}

TEST(VerifyBundle, SaysOfASoundBundleWhatItChecked) {
  BundleMaker maker;
  std::vector<std::string> reported;
  EXPECT_THAT(verify_bundle(maker.write(), [&](const std::string& line) { reported.push_back(line); }), IsEmpty());
  EXPECT_EQ(reported.size(), 1 + maker.files.size() + 1 + 1 + 4);  // manifest, files, programs, tokenizer, modules
}

TEST(VerifyBundle, NamesEveryFileThatIsNotWhatItSays) {
  BundleMaker maker;
  maker.write();
  maker.manifest["files"]["tokenizer.model"]["size"] = 3;
  maker.manifest["files"]["denoiser.pt"]["size"] = 4;
  EXPECT_THAT(verify_bundle(maker.write(), {}),
              ElementsAre(HasSubstr("denoiser.pt: has "),
                          HasSubstr("tokenizer.model: has " + std::to_string(kModel.size()) + " bytes")));
}

TEST(VerifyBundle, NamesATokenizerThatCannotBeRead) {
  BundleMaker maker;
  maker.files["tokenizer.model"] = "not really one";
  const std::string path = (maker.write() / "tokenizer.model").string();
  EXPECT_THAT(verify_bundle(maker.write(), {}), ElementsAre(StartsWith(path + ": not a sentencepiece model")));
}

TEST(VerifyBundle, NamesPromptsThatCannotBeRead) {
  BundleMaker maker;
  maker.manifest["prompts"] = "prompts.json";
  maker.files["prompts.json"] = "{}";
  const std::string path = (maker.write() / "prompts.json").string();
  EXPECT_THAT(verify_bundle(maker.write(), {}), ElementsAre(path + ": expected a list of prompts"));
}

TEST(VerifyBundle, NamesAModuleWhoseRowsDependOnTheirBatch) {
  BundleMaker maker;
  auto& code = maker.programs["denoiser"]["code/__torch__.py"];
  const std::string mean = "torch.mean(c, [1, 2])";
  code.replace(code.find(mean), mean.size(), "torch.mean(c)");  // of all rows
  EXPECT_THAT(verify_bundle(maker.write(), {}),
              ElementsAre(StartsWith("denoiser: a row's answer depends on the others in its batch")));
}

TEST(VerifyBundle, NamesAModuleOfAnotherShape) {
  BundleMaker maker;
  auto& code = maker.programs["decoder_linear"]["code/__torch__.py"];
  code.replace(code.find("[16, 16]"), 8, "[16, 20]");
  EXPECT_THAT(
      verify_bundle(maker.write(), {}),
      ElementsAre("decoder 'linear': answered [1, 3, 16, 20], expected [1, 3, 16, 16]; export the bundle again"));
}

}  // namespace
}  // namespace steplapse
