#include "targets.h"

#include <sys/mman.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <sstream>

#include "base/file_io.h"
#include "base/safetensors.h"
#include "base/temporary_folder.h"
#include "cli/command_line.h"
#include "cli/prompts_file.h"
#include "model/taught_prompts.h"
#include "reader_targets.h"
#include "seeds.h"
#include "steplapse/error.h"
#include "steplapse/manifest.h"
#include "support/bundle_maker.h"

namespace steplapse::fuzz {

std::string content_of(const std::filesystem::path& file) {
  std::ostringstream content;
  content << std::ifstream(file, std::ios::binary).rdbuf();
  return content.str();
}

std::string of_our_model(const std::string& name) {
  return content_of(std::filesystem::path(STEPLAPSE_SOURCE) / "models" / "emoji-64" / name);
}

namespace {

const std::vector<std::string> kJsonWords{
    "null", "true",    "-1",       "1e400",  "\"\"",    "{}",      "[]", "{", "}",    "[",
    "]",    "\"",      ",",        ":",      "\\u0000", "\\ud800", "..", "/", "\x1b", "99999999999999999999999",
    "0.5",  "\"F32\"", "\"../x\"", "\u202e", "\xff"};

Target safetensors_target() {
  const auto header = [](const std::string& json) {
    const uint64_t size = json.size();
    return std::string(reinterpret_cast<const char*>(&size), sizeof size) + json;
  };
  const std::string json = R"({"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
                           R"("b":{"dtype":"I64","shape":[1],"data_offsets":[24,32]},"__metadata__":{"k":"v"}})";
  const std::string data(32, '\1');
  return {[=](Mutator& mutator) {
    const std::string bytes =
        mutator.one_in(3) ? mutator.bytes(header(json) + data, json) : header(mutator.text(json, kJsonWords)) + data;
    const Descriptor file(memfd_create("mutant", MFD_CLOEXEC));
    if (write(file.number(), bytes.data(), bytes.size()) < 0) std::abort();
    try {
      map_safetensors(file.number(), "x.safetensors");
    } catch (const SafetensorsError& error) {
      throw BundleError(error.what());  // as map_weights does
    }
  }};
}

Target manifest_target() {
  test_support::BundleMaker maker;
  maker.write();
  const auto folder = std::make_shared<steplapse::TemporaryFolder>();
  return {[=, small = maker.manifest.dump(1), ours = of_our_model("model.json")](Mutator& mutator) {
    const std::string& seed = mutator.one_in(20) ? ours : small;
    write_whole(folder->path() / "model.json",
                mutator.one_in(4) ? mutator.bytes(seed, ours) : mutator.text(seed, kJsonWords));
    const Manifest manifest = read_manifest(folder->path());
    describe(manifest);
    warnings_about(manifest);
  }};
}

Target taught_prompts_target() {
  return {[](Mutator& mutator) {
    const std::string seed = R"([{"name": "red apple", "keywords": ["apple", "fruit"], "picture": "x.png"}])";
    const std::string text = mutator.one_in(4) ? mutator.bytes(seed, seed) : mutator.text(seed, kJsonWords);
    search_prompts(parse_prompts(text, "prompts.json"), "apple");
  }};
}

Target prompts_file_target() {
  const std::vector<std::string> seeds{
      "a red apple\n# green\n{\"prompt\": \"a green pear\", \"negative_prompt\": \"leaves\", \"steps\": 30, \"seed\": "
      "[1, 2]}\n",
      "--prompt \"a green pear\" --negative_prompt 'leaves' --steps 30 --cfg_scale=7\n",
      "[\"red\", {\"prompt\": \"x\", \"size\": \"16x16\", \"steps\": null}]"};
  return {[=](Mutator& mutator) {
    std::vector<std::string> words = kJsonWords;
    words.insert(words.end(), {"--prompt", "--", "'", "\\", "#", "prompt", "steps", "seed"});
    const std::string& seed = mutator.one_of(seeds);
    const std::string text = mutator.one_in(4) ? mutator.bytes(seed, seeds[0]) : mutator.text(seed, words);
    prompts_in(text, "p.txt", {"steps", "seed", "negative_prompt", "size", "guidance_scale", "sampler"});
  }};
}

/// By the command that shows them, on the model that comes with the program.
Target levels_target() {
  const auto folder = std::make_shared<steplapse::TemporaryFolder>();
  const std::string levels =
      R"({"init_scale": 1, "levels": [{"timestep": 999, "alpha": 0.1, "sigma": 0.995},)"
      R"({"timestep": 500, "alpha": 0.6, "sigma": 0.8}, {"timestep": null, "alpha": 1, "sigma": 0}]})";
  return {[=](Mutator& mutator) {
    std::vector<std::string> arguments{"schedule", "--json", "--model", STEPLAPSE_SOURCE "/models/emoji-64"};
    if (mutator.one_in(2)) {
      const auto file = folder->path() / "levels.json";
      write_whole(file, mutator.one_in(4) ? mutator.bytes(levels, levels) : mutator.text(levels, kJsonWords));
      arguments.insert(arguments.end(), {"--levels", file.string()});
    } else {
      const bool times = mutator.one_in(2);
      std::string list =
          mutator.text(times ? "999,750,500,250" : "14.6,3.9,0.9,0", {",", "-1", "nan", "inf", "1e999", ""});
      list.resize(std::min(list.size(), list.find('\0')));  // as an argument ends
      arguments.push_back((times ? "--timesteps=" : "--sigmas=") + list);
    }
    run_command_line(arguments);
  }};
}

}  // namespace

std::vector<Target> targets(const std::string& name) {
  using Maker = std::function<Target()>;
  const std::vector<std::pair<std::string, Maker>> makers{{"archive", archive_target},
                                                          {"pickle", pickle_target},
                                                          {"code", code_target},
                                                          {"safetensors", safetensors_target},
                                                          {"model_json", manifest_target},
                                                          {"sentencepiece", sentencepiece_target},
                                                          {"clip_bpe", clip_bpe_target},
                                                          {"taught_prompts", taught_prompts_target},
                                                          {"prompts_file", prompts_file_target},
                                                          {"levels", levels_target},
                                                          {"log", log_target}};
  std::vector<Target> chosen;
  for (const auto& [each, make] : makers) {
    if (name != "all" && name != each) continue;
    chosen.push_back(make());
    chosen.back().name = each;
  }
  return chosen;
}

}  // namespace steplapse::fuzz
