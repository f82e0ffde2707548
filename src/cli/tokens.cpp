#include <CLI/CLI.hpp>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/file_io.h"
#include "base/safetensors.h"
#include "base/shape_text.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "model/bundle_folder.h"
#include "plan/plan.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;
using Specs = std::vector<Manifest::Tokenizer>;
using Chunks = std::vector<Chunk>;

/// Settings whose plan asks both branches, whatever the bundle's own guidance scale.
Settings guided(Settings settings) {
  settings.guidance_scale = 2;
  return settings;
}

// ---- embeddings

NamedTensors embeddings_of(BundleFolder folder, const Plan& plan) {
  const Guidance guidance = encode_prompts(load_bundle(std::move(folder), "cpu", {}), plan.prompts).guidance;
  NamedTensors tensors;
  for (size_t i = 0; i < guidance.cond.size(); ++i) tensors["conditioning_" + std::to_string(i)] = guidance.cond[i];
  for (size_t i = 0; i < guidance.uncond.size(); ++i) tensors["negative_" + std::to_string(i)] = guidance.uncond[i];
  return tensors;
}

// ---- for people

void print_row(const std::string& position, int64_t id, double weight, const std::string& piece) {
  std::cout << std::setw(9) << position << std::setw(8) << id << std::setw(9) << weight << "  " << piece << '\n';
}

/// One table; the padding is one row of it.
void print_chunk(const Manifest::Tokenizer& spec, const Chunk& chunk) {
  std::cout << " position      id   weight  piece\n";
  int64_t position = 0;
  if (spec.bos) print_row(std::to_string(position++), *spec.bos, 1, "bos");
  for (size_t i = 0; i < chunk.pieces.size(); ++i) {
    const Piece& piece = chunk.pieces[i];
    print_row(std::to_string(position++), piece.id, chunk.weights[i],
              in_quotes(piece.text) + (piece.unknown ? " (unknown)" : ""));
  }
  if (spec.eos) print_row(std::to_string(position++), *spec.eos, 1, "eos");
  if (position == spec.length) return;
  const std::string last = position + 1 == spec.length ? "" : "-" + std::to_string(spec.length - 1);
  print_row(std::to_string(position) + last, spec.pad, 1, "pad");
}

void print_chunks(const std::string& what, const Specs& specs, const std::vector<Chunks>& prompt) {
  for (size_t tokenizer = 0; tokenizer < specs.size(); ++tokenizer) {
    const Manifest::Tokenizer& spec = specs[tokenizer];
    const std::string number = specs.size() == 1 ? "" : " " + std::to_string(tokenizer + 1);
    for (size_t i = 0; i < prompt[tokenizer].size(); ++i) {
      const Chunk& chunk = prompt[tokenizer][i];
      std::cout << what << ", tokenizer" << number << " (" << name_of(spec.kind) << "), chunk " << i + 1 << " of "
                << prompt[tokenizer].size() << ": " << chunk.pieces.size() << " of " << room_in_chunk(spec)
                << " used\n";
      print_chunk(spec, chunk);
    }
  }
}

void print_text(const Manifest& manifest, const Plan& plan, const TokenizedPrompts& prompts, const fs::path& file,
                const NamedTensors& embeddings) {
  print_chunks("prompt", manifest.tokenizers, prompts.prompt);
  if (plan.negative_prompt) print_chunks("negative prompt", manifest.tokenizers, prompts.negative);
  if (!embeddings.empty()) std::cout << escaped(file.string(), 4096) << ":\n";
  for (const auto& [name, tensor] : embeddings) std::cout << "  " << name << ' ' << shape_text(tensor.sizes()) << '\n';
}

// ---- for programs

ordered_json chunk_json(const Manifest::Tokenizer& spec, const Chunk& chunk) {
  ordered_json pieces = ordered_json::array();
  if (spec.bos) pieces.push_back(nullptr);
  for (const Piece& piece : chunk.pieces) pieces.push_back(piece.text);
  while (pieces.size() < static_cast<size_t>(spec.length)) pieces.push_back(nullptr);
  return {{"used", chunk.pieces.size()},
          {"ids", ids_of(spec, chunk)},
          {"pieces", pieces},
          {"weights", weights_of(spec, chunk)}};
}

ordered_json chunks_json(const Manifest::Tokenizer& spec, const Chunks& chunks) {
  ordered_json all = ordered_json::array();
  for (const Chunk& chunk : chunks) all.push_back(chunk_json(spec, chunk));
  return all;
}

void print_json(const Manifest& manifest, const Plan& plan, const TokenizedPrompts& prompts,
                const NamedTensors& embeddings) {
  ordered_json json{{"prompt", plan.prompt},
                    {"negative_prompt", nullptr},
                    {"prompt_syntax", plan.prompt_syntax},
                    {"tokenizers", ordered_json::array()}};
  if (plan.negative_prompt) json["negative_prompt"] = *plan.negative_prompt;
  for (size_t i = 0; i < manifest.tokenizers.size(); ++i) {
    const Manifest::Tokenizer& spec = manifest.tokenizers[i];
    ordered_json tokenizer{
        {"kind", name_of(spec.kind)}, {"length", spec.length}, {"chunks", chunks_json(spec, prompts.prompt[i])}};
    if (plan.negative_prompt) tokenizer["negative_chunks"] = chunks_json(spec, prompts.negative[i]);
    json["tokenizers"].push_back(tokenizer);
  }
  for (const auto& [name, tensor] : embeddings) json["embeddings"][name] = tensor.sizes().vec();
  std::cout << json.dump(2, ' ', false, ordered_json::error_handler_t::replace) << '\n';
}

struct TokensFlags {
  Settings settings;
  Readers readers;
  std::string prompt, model, embeddings;
  bool json = false, overwrite = false;
};

void add_flags(CLI::App& command, TokensFlags& flags) {
  command.description("What the network is given in place of a prompt: ids, pieces and weights, chunk by chunk");
  command.add_option("PROMPT,--prompt", flags.prompt, "The prompt; - reads it from standard input")
      ->type_name("")
      ->required();
  Binder bind(command, "Options", flags.readers);
  bind("--negative-prompt", "TEXT", "What to steer away from", flags.settings.negative_prompt, as_it_is);
  add_prompt_syntax(command, "Options", flags.settings, flags.readers);
  command.add_option("--model", flags.model, "The bundle's folder")->type_name("DIR");
  command.add_flag("--json", flags.json, "As JSON");
  command.add_option("--embeddings", flags.embeddings, "Write what the text encoder makes of it, as safetensors")
      ->type_name("FILE");
  command.add_flag("--overwrite", flags.overwrite, "Replace the file that is there");
  add_no_sandbox(command, "OPTIONS");
}

/// With `--embeddings` the text encoder runs. Else only the manifest, the tokenizers and the taught prompts are read.
int show_tokens(const CLI::App& command, TokensFlags& flags) {
  const bool writes = command.count("--embeddings") > 0;
  if (writes && flags.embeddings.empty()) throw UsageError("--embeddings '': expected a file's name");
  if (flags.overwrite && !writes) throw UsageError("--overwrite: without --embeddings no file is written");
  flags.settings.prompt = prompt_of(flags.prompt);
  read(flags.readers);
  const fs::path model = flags.model.empty() ? default_model() : fs::path(flags.model);
  if (writes) check_writable(flags.embeddings, flags.overwrite);
  BundleFolder folder(model);
  const Manifest manifest = folder.manifest();
  const Plan plan = make_plan(manifest, guided(flags.settings));
  const TokenizedPrompts prompts = tokenize_prompts(manifest, folder.tokenizers(), plan.prompts);

  // In the order in which drawing gives them.
  for (const std::string& warning : plan.warnings) warn(warning);
  if (manifest.prompts) {
    for (const std::string& warning : unknown_warnings(folder.taught_prompts(), plan.prompts)) warn(warning);
  }
  for (const std::string& warning : prompts.warnings) warn(warning);

  NamedTensors embeddings;
  if (writes) {
    embeddings = embeddings_of(std::move(folder), plan);
    write_whole(flags.embeddings, to_safetensors(embeddings));
  }
  if (flags.json) {
    print_json(manifest, plan, prompts, embeddings);
  } else {
    print_text(manifest, plan, prompts, flags.embeddings, embeddings);
  }
  return 0;
}

}  // namespace

Command tokens_command() {
  return with_flags<TokensFlags>({.name = "tokens",
                                  .arguments = "PROMPT",
                                  .about = "Show what the network is given in place of the words",
                                  .group = CommandGroup::know,
                                  .exit_codes = {0, 1, 2, 3, 4, 5}},
                                 add_flags, show_tokens);
}

}  // namespace steplapse
