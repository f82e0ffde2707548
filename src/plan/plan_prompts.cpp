#include "plan/plan_prompts.h"

#include <iterator>

#include "base/text.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

constexpr size_t kLongestPrompt = 100'000;  // bytes; far beyond any tokenizer's window

std::string checked_prompt(const std::string& flag, const std::string& text) {
  if (text.size() > kLongestPrompt) {
    throw UsageError(flag + ": " + std::to_string(text.size()) + " bytes, at most " + std::to_string(kLongestPrompt) +
                     " expected");
  }
  if (!is_utf8(text)) throw UsageError(flag + ": not valid UTF-8");
  if (text.find('\0') != std::string::npos)
    throw UsageError(flag + ": holds a NUL character, which no picture's text can");
  return nfc(text);
}

constexpr const char *kPrompt = "`prompt`", *kNegativePrompt = "`negative_prompt`";

void add(std::vector<std::string>& warnings, std::vector<std::string> more) {
  warnings.insert(warnings.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

std::vector<PromptPart> parsed(const std::string& prompt, PromptSyntax syntax, const char* place, Plan& plan) {
  ParsedPrompt parsed = parse_syntax(prompt, syntax, place);
  add(plan.warnings, std::move(parsed.warnings));
  return std::move(parsed.parts);
}

}  // namespace

void plan_prompts(const Settings& settings, Plan& plan) {
  plan.prompt_syntax = name_of(settings.prompt_syntax);
  plan.prompt = checked_prompt(kPrompt, settings.prompt);
  plan.prompts.prompt = parsed(plan.prompt, settings.prompt_syntax, kPrompt, plan);
  plan.prompts.has_negative = settings.negative_prompt.has_value();
  if (settings.negative_prompt) plan.negative_prompt = checked_prompt(kNegativePrompt, *settings.negative_prompt);
  plan.prompts.negative = parsed(plan.negative_prompt.value_or(""), settings.prompt_syntax, kNegativePrompt, plan);
}

PromptRequest prompts_of(const Facts& facts) {
  const PromptSyntax syntax = prompt_syntax_named(facts.prompt_syntax);
  return {.prompt = parse_syntax(facts.prompt, syntax, kPrompt).parts,
          .negative = parse_syntax(facts.negative_prompt.value_or(""), syntax, kNegativePrompt).parts,
          .has_negative = facts.negative_prompt.has_value(),
          .is_guided = facts.recipe.guidance.guides()};
}

std::map<int64_t, PromptRequest> prompts_by_steps(const Facts& facts) {
  if (!facts.before) return {{1, prompts_of(facts)}};
  std::map<int64_t, PromptRequest> prompts = prompts_by_steps(*facts.before);
  prompts.erase(prompts.upper_bound(facts.recipe.branched_after), prompts.end());
  prompts[facts.recipe.branched_after + 1] = prompts_of(facts);
  return prompts;
}

}  // namespace steplapse
