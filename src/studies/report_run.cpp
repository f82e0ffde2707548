#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/text.h"
#include "model/bundle_folder.h"
#include "plan/plan_prompts.h"
#include "prompt/conditioning.h"
#include "record/origin.h"
#include "record/run_folder.h"
#include "runs/explain_run.h"
#include "runs/explanation_text.h"
#include "runs/run_model.h"
#include "steplapse/run_log.h"
#include "studies/report.h"
#include "views/explanation.h"
#include "views/spectrum.h"

namespace steplapse {
namespace {

// ---- prompts

/// What a tokenizer's ids stand for, as far as the run's prompts have them.
using Pieces = std::map<int64_t, std::string>;

void add_pieces(const TokenizedPrompts& prompts, std::vector<Pieces>& pieces) {
  for (const auto* each : {&prompts.prompt, &prompts.negative}) {
    for (size_t tokenizer = 0; tokenizer < each->size(); ++tokenizer) {
      for (const Chunk& chunk : (*each)[tokenizer]) {
        for (const Piece& piece : chunk.pieces) pieces[tokenizer][piece.id] = piece.text;
      }
    }
  }
}

Pieces special_pieces(const Manifest::Tokenizer& spec) {
  Pieces pieces{{spec.pad, "[padding]"}};
  if (spec.bos) pieces[*spec.bos] = "[start]";
  if (spec.eos) pieces[*spec.eos] = "[end]";
  return pieces;
}

/// By tokenizer. Empty where the bundle is not there: then the page has the ids alone.
std::vector<Pieces> pieces_of(const RunPictures& run, const ReportOptions& options) {
  try {
    const BundleFolder bundle =
        bundle_of(made_with(run.folder(), run.facts_json()), options.running.model, options.usual_model);
    std::vector<Pieces> pieces;
    for (const auto& spec : bundle.manifest().tokenizers) pieces.push_back(special_pieces(spec));
    for (const auto& [step, prompts] : prompts_by_steps(run.facts()))
      add_pieces(tokenize_prompts(bundle.manifest(), bundle.tokenizers(), prompts), pieces);
    return pieces;
  } catch (const Error&) {
    return {};
  }
}

std::vector<ReportToken> tokens_of(const nlohmann::json& chunk, const Pieces& pieces) {
  std::vector<ReportToken> tokens;
  const auto &ids = chunk.at("ids"), &weights = chunk.at("weights");
  for (size_t i = 0; i < ids.size(); ++i) {
    const auto piece = pieces.find(ids[i].get<int64_t>());
    tokens.push_back(
        {ids[i], i < weights.size() ? weights[i].get<double>() : 1, piece == pieces.end() ? "" : piece->second});
  }
  // The padding says nothing more than its first token.
  while (tokens.size() > 1 && tokens.back().id == tokens[tokens.size() - 2].id) tokens.pop_back();
  return tokens;
}

ReportPrompt prompt_of(const PromptText& logged, const std::vector<Pieces>& pieces) {
  ReportPrompt prompt{.kind = logged.kind, .first_step = logged.first_step, .text = logged.text, .chunks = {}};
  const auto tokens = nlohmann::json::parse(logged.tokens, nullptr, false);
  for (size_t tokenizer = 0; tokens.is_array() && tokenizer < tokens.size(); ++tokenizer) {
    const Pieces known = tokenizer < pieces.size() ? pieces[tokenizer] : Pieces{};
    for (const auto& chunk : tokens[tokenizer]) prompt.chunks.push_back(tokens_of(chunk, known));
  }
  return prompt;
}

std::vector<ReportPrompt> report_prompts(const RunPictures& run, const ReportOptions& options) {
  std::vector<ReportPrompt> prompts;
  const std::vector<Pieces> pieces = pieces_of(run, options);
  for (const PromptText& logged : RunLog::open(log_in(run.folder())).prompts())
    prompts.push_back(prompt_of(logged, pieces));
  if (prompts.empty() || prompts.front().kind != "prompt" || !prompts.front().text)
    prompts.insert(prompts.begin(), {.kind = "prompt", .first_step = 1, .text = run.facts().prompt, .chunks = {}});
  return prompts;
}

// ---- settings

std::string text_of(const nlohmann::ordered_json& value) {
  if (value.is_string()) return value.get<std::string>();
  return value.is_number_float() ? plain(value.get<double>()) : value.dump();
}

std::vector<std::pair<std::string, std::string>> settings_of(const RunPictures& run) {
  static const std::set<std::string> elsewhere{"prompt", "levels", "frames", "frame_steps", "init_noise_shape"};
  nlohmann::ordered_json facts = settings_json(run.facts());
  facts.update(nlohmann::ordered_json::parse(run.facts_json()));
  std::vector<std::pair<std::string, std::string>> settings;
  for (const auto& [key, value] : facts.items()) {
    if (!value.is_null() && !elsewhere.contains(key)) settings.emplace_back(key, text_of(value));
  }
  settings.emplace_back("prompt", run.facts().prompt);
  std::rotate(settings.begin(), settings.end() - 1, settings.end());
  return settings;
}

// ---- numbers

std::string with_underscores(std::string name) {
  std::replace(name.begin(), name.end(), ' ', '_');
  return name;
}

std::map<std::string, double> numbers_of(const HistoryStep& step, const StepNumbers& said, const StepRow* row) {
  std::map<std::string, double> numbers{{"sigma_over_alpha", std::min(noise_ratio(said.level), kLargestNoiseRatio)},
                                        {"x0_rms", rms_of(step.step.x0)},
                                        {"latents_rms", rms_of(step.step.x)},
                                        {"x0_rms_to_final", said.x0_to_final}};
  const auto add = [&](const char* key, const std::optional<double>& number) {
    if (number) numbers[key] = *number;
  };
  add("x0_rms_change", said.x0_change);
  add("guidance_x0_rms", said.guidance);
  if (said.cosine) numbers["angle"] = degrees_of(*said.cosine);
  const auto bands = rms_by_band(step.step.x0[0]);
  for (size_t i = 0; i < bands.size(); ++i) numbers["x0_rms_" + with_underscores(kFrequencyBands[i].name)] = bands[i];
  if (!row) return numbers;
  numbers["latents_rms_change"] = row->latents_rms_change;
  numbers["denoiser_ms"] = row->denoiser_ms;
  if (row->frame_ms) numbers["frames_ms"] = row->frame_ms->decode + row->frame_ms->encode + row->frame_ms->write;
  return numbers;
}

std::vector<ReportStep> steps_of(const RunPictures& run, const Explanation& explanation) {
  std::vector<ReportStep> steps;
  for (size_t i = 0; i < run.history().steps.size(); ++i) {
    const StepRow* row = i < run.rows().size() ? &run.rows()[i] : nullptr;
    const HistoryStep& step = run.history().steps[i];
    steps.push_back({step.step.number, step.level(), numbers_of(step, explanation.steps.at(i), row)});
  }
  return steps;
}

std::optional<double> seconds_of(const RunPictures& run) {
  const auto facts = nlohmann::json::parse(run.facts_json());
  const auto seconds = facts.find("total_seconds");
  if (seconds == facts.end() || !seconds->is_number()) return std::nullopt;
  return seconds->get<double>();
}

}  // namespace

RunReport report_of(const RunPictures& run, const ReportOptions& options) {
  RunReport report{.name = run.folder().string(), .prompts = report_prompts(run, options)};
  report.settings = settings_of(run);
  report.ending = run.state().text();
  const ExplainedRun explained = explain_run({.run = run.folder(), .decoder = {}, .running = {}, .usual_model = {}},
                                             [&](const std::string& text) { report.note = text; });
  report.settled_heading = settled_heading(explained);
  for (const Settling& part : explained.settlings.parts)
    report.settled.push_back({part.part, meaning_of_part(part.part), settled_text(part.step)});
  report.explanation = leaving_out_texts(explained, "");
  report.explanation.insert(report.explanation.begin(), last_region_text(explained));
  report.explanation.push_back(straight_text(explained));
  report.steps = steps_of(run, explained.numbers);
  report.seconds = seconds_of(run);
  if (!run.rows().empty()) report.calls = run.rows().back().denoiser_calls;
  report.command = options.command(run);
  return report;
}

}  // namespace steplapse
