#include "model/bundle_folder.h"

#include "base/confinement.h"
#include "model/program_check.h"

namespace steplapse {

BundleFolder::BundleFolder(std::filesystem::path path) : path_(std::move(path)), manifest_(read_manifest(path_)) {}

std::unique_ptr<BundleFile> BundleFolder::open(const std::string& name) const {
  return std::make_unique<BundleFile>(path_, name, manifest_.files.at(name));
}

std::string BundleFolder::read(const std::string& name) const {
  return read_bundle_file(path_, name, manifest_.files.at(name));
}

Tokenizer BundleFolder::read_tokenizer(const Manifest::Tokenizer& spec) const {
  confine(path_, cache_of(manifest_));
  Manifest::Tokenizer placed = spec;  // with the paths of its files, for errors
  std::vector<std::string> files;
  for (std::string& name : placed.files) {
    files.push_back(read(name));
    name = (path_ / name).string();
  }
  return {placed, files};
}

const std::vector<Tokenizer>& BundleFolder::tokenizers() const {
  if (!tokenizers_) {
    std::vector<Tokenizer> read;
    for (const auto& spec : manifest_.tokenizers) read.push_back(read_tokenizer(spec));
    tokenizers_ = std::move(read);
  }
  return *tokenizers_;
}

const std::vector<TaughtPrompt>& BundleFolder::taught_prompts() const {
  if (!taught_prompts_) {
    const auto& name = manifest_.prompts;
    taught_prompts_ = name ? parse_prompts(read(*name), (path_ / *name).string()) : std::vector<TaughtPrompt>();
  }
  return *taught_prompts_;
}

}  // namespace steplapse
