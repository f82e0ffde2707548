#include "steplapse/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/sha256.h"
#include "steplapse/error.h"
#include "support/temporary_folder.h"

namespace steplapse {
namespace {

using nlohmann::json;
using test_support::TemporaryFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StrEq;

/// The example of docs/bundle.md: what the page shows must be what the program reads.
json documented() {
  std::ifstream page(STEPLAPSE_SOURCE "/docs/bundle.md");
  std::stringstream text;
  text << page.rdbuf();
  const size_t begin = text.str().find("```json\n") + 8;
  return json::parse(text.str().substr(begin, text.str().find("```", begin) - begin));
}

Manifest read(const std::string& text) {
  const TemporaryFolder folder;
  folder.write("model.json", text);
  return read_manifest(folder.path());
}

/// What is said of the documented manifest after this change, without its path; empty if it is taken.
std::string refusal(const std::function<void(json&)>& change) {
  const TemporaryFolder folder;
  json manifest = documented();
  change(manifest);
  folder.write("model.json", manifest.dump());
  try {
    read_manifest(folder.path());
    return "";
  } catch (const BundleError& error) {
    return std::string(error.what()).substr((folder / "model.json: ").string().size());
  }
}

std::string refusal_of(const std::string& pointer, const json& value) {
  return refusal([&](json& manifest) { manifest[json::json_pointer(pointer)] = value; });
}

TEST(Manifest, IsReadAsItsPageShowsIt) {
  const Manifest manifest = read(documented().dump());
  EXPECT_EQ(manifest.name, "tiny");
  EXPECT_EQ(manifest.source, "random weights, made for the tests");
  EXPECT_EQ(manifest.licence, "Apache-2.0");
  EXPECT_EQ(manifest.files.at("text_encoder.pt").size, 4096);
  EXPECT_EQ(manifest.files.at("text_encoder.pt").sha256.substr(0, 8), "e3b0c442");
  EXPECT_EQ(manifest.text_encoder.program, "text_encoder.pt");
  EXPECT_EQ(manifest.text_encoder.weights, std::vector<std::string>{"text_encoder.safetensors"});
  EXPECT_EQ(manifest.text_encoder.tensors.at("embed.weight"), (Manifest::TensorSpec{"F32", {64, 16}}));
  EXPECT_EQ(manifest.denoiser.program, "denoiser.pt");
  EXPECT_EQ(manifest.decoders.at("linear").weights, std::vector<std::string>{"decoder_linear.safetensors"});
  EXPECT_EQ(manifest.decoders.size(), 2u);
  ASSERT_EQ(manifest.tokenizers.size(), 1u);
  EXPECT_EQ(manifest.tokenizers[0].kind, TokenizerKind::sentencepiece);
  EXPECT_EQ(manifest.tokenizers[0].files, std::vector<std::string>{"tokenizer.model"});
  EXPECT_EQ(manifest.tokenizers[0].length, 20);
  EXPECT_EQ(manifest.tokenizers[0].bos, 1);
  EXPECT_EQ(manifest.tokenizers[0].eos, 2);
  EXPECT_EQ(manifest.tokenizers[0].pad, 0);
  EXPECT_EQ(manifest.latent_channels, 4);
  EXPECT_EQ(manifest.downscale, 4);
  EXPECT_EQ(manifest.default_size, (Manifest::Size{16, 16}));
  EXPECT_EQ(manifest.denoiser.compute_dtype, "float32");
  EXPECT_EQ(manifest.max_chunks, 32);
  EXPECT_EQ(manifest.clip_skip, 1);
  EXPECT_EQ(manifest.verified.chunks, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(manifest.no_negative_prompt, NoNegativePrompt::encode_empty);
  EXPECT_EQ(manifest.training_noise.alphas_cumprod, (std::vector<double>{0.99915, 0.99831}));
  EXPECT_EQ(manifest.training_noise.prediction_type, PredictionType::epsilon);
  EXPECT_EQ(manifest.training_noise.timestep_spacing, "leading");
  EXPECT_EQ(manifest.training_noise.steps_offset, 1);
  EXPECT_EQ(manifest.training_noise.final_alpha_cumprod, 0.99915);
  EXPECT_EQ(manifest.training_noise.clip_sample_range, std::nullopt);
  EXPECT_EQ(manifest.defaults.sampler, "ddim");
  EXPECT_EQ(manifest.defaults.guidance_scale, 5);
  EXPECT_EQ(manifest.verified.batches, (std::vector<int64_t>{1, 2, 5}));
  EXPECT_EQ(manifest.prompts, std::nullopt);
  EXPECT_EQ(manifest.family, "sd1");
  EXPECT_EQ(manifest.x0_rms.value, 0.93);
  EXPECT_FALSE(manifest.x0_rms.assumed);
  EXPECT_EQ(manifest.sha256, sha256(documented().dump()));
}

TEST(Manifest, MissesNoKey) {
  json whole = documented();
  for (const char* optional : {"family", "x0_rms"}) whole.erase(optional);
  for (const auto& [key, value] : whole.items()) {
    const std::string said = refusal([&, &key = key](json& manifest) { manifest.erase(key); });
    if (key == "format") {
      EXPECT_EQ(said, "is not a steplapse bundle's manifest: it has no \"format\": \"steplapse-bundle\"");
    } else {
      EXPECT_EQ(said, "key '" + key + "' is missing");
    }
  }
  EXPECT_EQ(refusal([](json& manifest) { manifest["training_noise"].erase("steps_offset"); }),
            "key 'training_noise.steps_offset' is missing");
  EXPECT_EQ(refusal([](json& manifest) { manifest["tokenizers"][0].erase("bos"); }),
            "key 'tokenizers[0].bos' is missing");
}

TEST(Manifest, OfVersion2MayLackOptionalKeys) {
  json without = documented();
  ASSERT_EQ(without["version"], 2);
  for (const char* optional : {"family", "x0_rms"}) without.erase(optional);
  const Manifest manifest = read(without.dump());
  EXPECT_EQ(manifest.family, std::nullopt);
  EXPECT_EQ(manifest.x0_rms.value, 1);
  EXPECT_TRUE(manifest.x0_rms.assumed);
}

TEST(Manifest, OfVersion1HasNoOptionalKeys) {
  json old = documented();
  old["version"] = 1;
  EXPECT_EQ(refusal([&](json& manifest) { manifest = old; }), "unknown key 'family'");
  for (const char* optional : {"family", "x0_rms"}) old.erase(optional);
  const Manifest manifest = read(old.dump());
  EXPECT_EQ(manifest.name, "tiny");
  EXPECT_EQ(manifest.x0_rms.value, 1);
  EXPECT_TRUE(manifest.x0_rms.assumed);
}

TEST(Manifest, KnowsEveryKey) {
  EXPECT_EQ(refusal_of("/colour", 1), "unknown key 'colour'");
  EXPECT_EQ(refusal_of("/modules/decoders/full/colour", 1), "unknown key 'modules.decoders.full.colour'");
  EXPECT_EQ(refusal_of("/sizes/line\nend", 1), "unknown key 'sizes.line\\nend'");
}

TEST(Manifest, SaysWhatIsWrongWithAValue) {
  EXPECT_EQ(refusal_of("/version", 3), "is of version 3, this steplapse reads versions 1 and 2; use a newer one");
  EXPECT_EQ(refusal_of("/version", "1"), "'version' is \"1\", expected an integer from 1 to 2");
  EXPECT_EQ(refusal_of("/family", ""), "'family' is \"\", expected a family's name");
  EXPECT_EQ(refusal_of("/family", "a\nb"), "'family' is \"a\\nb\", expected one line of text of at most 4096 bytes");
  EXPECT_EQ(refusal_of("/x0_rms", 1.0), "'x0_rms' is 1.0, expected an object");
  EXPECT_EQ(refusal_of("/x0_rms/value", 0), "'x0_rms.value' is 0, expected a number from 1e-06 to 1e+06");
  EXPECT_EQ(refusal_of("/x0_rms/assumed", 0), "'x0_rms.assumed' is 0, expected true or false");
  EXPECT_EQ(refusal_of("/x0_rms/mean", 0), "unknown key 'x0_rms.mean'");
  EXPECT_EQ(refusal_of("/name", ""), "'name' is \"\", expected a name");
  EXPECT_EQ(refusal_of("/name", "a\nb"), "'name' is \"a\\nb\", expected one line of text of at most 4096 bytes");
  for (const std::string hidden : {"a\u009b31m", "a\u202egnp", "a\u0085b"}) {  // controls of more than one byte
    EXPECT_THAT(refusal_of("/source", hidden), ::testing::EndsWith("expected one line of text of at most 4096 bytes"));
    EXPECT_THAT(refusal_of("/files", json{{hidden, 1}}), HasSubstr("expected keys of one line, not 'a\\u{"));
    EXPECT_THAT(refusal_of("/defaults", json{{hidden, 1}}), HasSubstr("unknown key 'defaults.a\\u"));
  }
  EXPECT_EQ(refusal_of("/latent_channels", 4.0), "'latent_channels' is 4.0, expected an integer from 1 to 4096");
  EXPECT_EQ(refusal_of("/latent_channels", -1), "'latent_channels' is -1, expected an integer from 1 to 4096");
  EXPECT_EQ(refusal_of("/latent_channels", UINT64_MAX),
            "'latent_channels' is 18446744073709551615, expected an integer from 1 to 4096");
  EXPECT_EQ(refusal_of("/modules/denoiser/compute_dtype", "int8"),
            "'modules.denoiser.compute_dtype' is \"int8\", expected float32 or float16 or bfloat16");
  EXPECT_EQ(refusal_of("/max_chunks", 0), "'max_chunks' is 0, expected an integer from 1 to 1000");
  EXPECT_EQ(refusal_of("/no_negative_prompt", nullptr), "'no_negative_prompt' is null, expected encode_empty or zeros");
  EXPECT_EQ(refusal_of("/training_noise/prediction_type", "noise"),
            "'training_noise.prediction_type' is \"noise\", expected epsilon or v_prediction or sample or flow");
  EXPECT_EQ(refusal_of("/training_noise/prediction_type", "flow"), "unknown key 'training_noise.alphas_cumprod'");
  EXPECT_EQ(refusal_of("/training_noise/alphas_cumprod", {0.5, 0.6}),
            "'training_noise.alphas_cumprod[1]' is 0.6, expected at most the one before: the table falls");
  EXPECT_EQ(refusal_of("/training_noise/alphas_cumprod/0", 1.5),
            "'training_noise.alphas_cumprod[0]' is 1.5, expected a number from 0 to 1");
  EXPECT_EQ(refusal_of("/defaults/steps", 3), "'defaults.steps' is 3, expected an integer from 1 to 2");
  EXPECT_EQ(refusal_of("/modules/denoiser/tensors", json{{"w", {{"dtype", "F8"}, {"shape", {1}}}}}),
            "'modules.denoiser.tensors.w.dtype' is \"F8\", expected F32 or F16 or BF16 or I64");
  EXPECT_EQ(refusal_of("/modules/denoiser/tensors",
                       json{{"w", {{"dtype", "F32"}, {"shape", {int64_t{1} << 40, int64_t{1} << 40}}}}}),
            "'modules.denoiser.tensors.w.shape' is a list of 2, expected at most 2^53 elements");
  EXPECT_EQ(refusal_of("/tokenizers/0/kind", "word_piece"),
            "'tokenizers[0].kind' is \"word_piece\", expected sentencepiece or clip_bpe");
  EXPECT_EQ(refusal_of("/tokenizers/0/length", 2),
            "'tokenizers[0].length' is 2, expected room for a token beside bos and eos");
  EXPECT_EQ(refusal_of("/sizes/default", {16, 18}),
            "'sizes.default' is a list of 2, expected multiples of 'downscale', 4");
  EXPECT_EQ(refusal_of("/sizes/default", {16, 20}), "'sizes.default' is a list of 2, expected one of 'sizes.allowed'");
  EXPECT_EQ(refusal_of("/sizes/allowed", {{"min", 64}, {"max", 32}, {"multiple", 8}}),
            "'sizes.allowed.min' is 64, expected at most 'max', 32");
  EXPECT_EQ(refusal_of("/files/denoiser.pt/sha256", "E3"),
            "'files.denoiser.pt.sha256' is \"E3\", expected 64 lower-case hex digits");
}

TEST(Manifest, OfAFlowModelHasAShiftInPlaceOfATable) {
  json flow = documented();
  flow["training_noise"] = {{"prediction_type", "flow"}, {"timestep_spacing", "linspace"}, {"shift", 3.0}};
  flow["defaults"]["steps"] = 28;
  const Manifest manifest = read(flow.dump());
  EXPECT_EQ(manifest.training_noise.prediction_type, PredictionType::flow);
  EXPECT_EQ(manifest.training_noise.shift, 3);
  EXPECT_TRUE(manifest.training_noise.alphas_cumprod.empty());
  EXPECT_EQ(manifest.training_noise.timesteps(), 1000);
  EXPECT_THAT(describe(manifest), HasSubstr("flow, shift 3, timestep_spacing linspace"));
  const auto said = [&](const char* key, const json& value) {
    return refusal([&](json& manifest) {
      manifest = flow;
      manifest["training_noise"][key] = value;
    });
  };
  EXPECT_EQ(said("shift", 0), "'training_noise.shift' is 0, expected a number from 0.01 to 100");
  EXPECT_EQ(said("steps_offset", 0), "unknown key 'training_noise.steps_offset'");
}

TEST(Manifest, NamesFilesThatAreListedAndInside) {
  EXPECT_EQ(refusal_of("/modules/denoiser/program", "x.pt"),
            "'modules.denoiser.program' is \"x.pt\", expected a key of 'files'");
  EXPECT_EQ(refusal_of("/prompts", "x.json"), "'prompts' is \"x.json\", expected a key of 'files'");
  for (const std::string name : {"../x", "a/../../x", "/etc/passwd", "./x", "a/", "", "..", "a/./b"}) {
    const std::string said =
        refusal([&](json& manifest) { manifest["files"][name] = manifest["files"]["denoiser.pt"]; });
    EXPECT_EQ(said, "'files." + name +
                        "' is an object, expected a path that stays inside the bundle, with no '..' and no "
                        "leading '/'");
  }
  EXPECT_EQ(refusal([](json& manifest) { manifest["files"]["sub/x"] = manifest["files"]["denoiser.pt"]; }), "");
}

TEST(Manifest, HasTheFullDecoder) {
  EXPECT_EQ(refusal([](json& manifest) { manifest["modules"]["decoders"].erase("full"); }),
            "'modules.decoders' is an object, expected at least the decoder 'full'");
  EXPECT_THAT(refusal([](json& manifest) {
                auto& decoders = manifest["modules"]["decoders"];
                decoders["../x"] = decoders["full"];
              }),
              HasSubstr("expected a decoder's name of"));
}

TEST(Manifest, ThatIsNoJsonIsRefused) {
  const auto said = [](const std::string& text) -> std::string {
    try {
      read(text);
      return "";
    } catch (const BundleError& error) {
      const std::string what = error.what();
      return what.substr(what.find("model.json") + 12);
    }
  };
  EXPECT_EQ(said(""), "is not JSON: wrong at byte 1 of 0");
  EXPECT_EQ(said("{\"format\": steplapse}"), "is not JSON: wrong at byte 12 of 21");
  EXPECT_EQ(said("{\"format\": 1e999}"), "holds a number that is out of range");
  EXPECT_EQ(said("{\"a\": 1, \"a\": 2}"), "has the key \"a\" twice in one object");
  EXPECT_EQ(said(std::string(1'000'000, '[')), "is nested deeper than 16 levels");
  EXPECT_EQ(said("[]"), "is not a steplapse bundle's manifest: it has no \"format\": \"steplapse-bundle\"");
}

TEST(Manifest, ThatIsNotThereIsSaidSo) {
  const TemporaryFolder folder;
  const auto said = [](const std::filesystem::path& path) -> std::string {
    try {
      read_manifest(path);
      return "";
    } catch (const BundleError& error) {
      return error.what();
    }
  };
  EXPECT_EQ(said(folder / "none"), (folder / "none").string() +
                                       ": no such folder; name one with `model` DIR, or make one with "
                                       "scripts/export_bundle.py");
  EXPECT_EQ(said(folder.path()), (folder / "model.json").string() +
                                     ": is missing; a bundle is a folder with model.json, as scripts/export_bundle.py "
                                     "writes it");
}

TEST(CheckSize, AllowsWhatIsListed) {
  json listed = documented();
  listed["sizes"]["allowed"] = {{16, 16}, {32, 16}};
  const Manifest manifest = read(listed.dump());
  EXPECT_NO_THROW(check_size(manifest, {32, 16}));
  EXPECT_THAT([&] { check_size(manifest, {16, 32}); },
              ::testing::ThrowsMessage<UsageError>(StrEq("`size` 16x32: the model 'tiny' makes 16x16, 32x16")));
}

TEST(CheckSize, AllowsWhatIsInRange) {
  json ranged = documented();
  ranged["sizes"]["allowed"] = {{"min", 16}, {"max", 64}, {"multiple", 8}};
  const Manifest manifest = read(ranged.dump());
  EXPECT_NO_THROW(check_size(manifest, {16, 64}));
  for (const Manifest::Size size : {Manifest::Size{8, 16}, {16, 72}, {20, 16}, {16, 0}, {-16, 16}}) {
    EXPECT_THROW(check_size(manifest, size), UsageError) << size.width << "x" << size.height;
  }
  EXPECT_THAT([&] { check_size(manifest, {20, 16}); },
              ::testing::ThrowsMessage<UsageError>(
                  StrEq("`size` 20x16: the model 'tiny' makes sides from 16 to 64, multiples of 8")));
}

TEST(WarningsAboutAManifest, NameAClipRangeThatCutsOffLatents) {
  const auto said = [](double range, double rms, int64_t downscale) {
    json manifest = documented();
    manifest["training_noise"]["clip_sample_range"] = range;
    manifest["x0_rms"] = {{"value", rms}, {"assumed", true}};
    manifest["downscale"] = downscale;
    return warnings_about(read(manifest.dump()));
  };
  EXPECT_THAT(said(1, 1, 4),
              ElementsAre("training_noise.clip_sample_range is 1, so ddim and ddpm cut off x0, whose root mean "
                          "square is 1 (assumed); export it again. If the warning stays, set clip_sample to "
                          "false in the pipeline's scheduler_config.json first"));
  EXPECT_THAT(said(3, 1.01, 4), SizeIs(1));
  EXPECT_THAT(said(3, 1, 4), IsEmpty());
  EXPECT_THAT(said(1, 0.3, 4), IsEmpty());
  EXPECT_THAT(said(1, 1, 1), IsEmpty()) << "a model of pixels";
  EXPECT_THAT(warnings_about(read(documented().dump())), IsEmpty());
}

TEST(DescribeManifest, HasWhatPeopleAskFor) {
  const std::string text = describe(read(documented().dump()));
  for (const std::string part :
       {"tiny", "random weights, made for the tests", "Apache-2.0", "0.00 M parameters, 0.01 MB of F32",
        "decoders.linear", "sentencepiece, 20 tokens", "float32", "16x16", "epsilon", "leading",
        "2 steps, ddim, guidance scale 5", "rms 0.93\n", "family:           sd1"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
}

}  // namespace
}  // namespace steplapse
