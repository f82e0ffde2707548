#pragma once

#include <string>
#include <utility>
#include <vector>

#include "steplapse/settings.h"
#include "studies/sweep/sweep_plan.h"

namespace steplapse {

/// Whether a sweep's setting changes words of the prompts: `replace`, `weight` or `repeat`, each WORD=VALUE.
bool changes_words(const std::string& setting);

/// WORD and VALUE of WORD=VALUE. @throws UsageError  no = in it, or nothing before it
std::pair<std::string, std::string> word_and_value(const std::string& setting, const std::string& text);

/// Whether a text has this word, or these words, as it is written, not inside another word.
bool has_words(const std::string& text, const std::string& word);

/// Changes all places of a word in prompt and negative prompt; they may have none.
/// replace: another text for it. weight: (WORD:VALUE). repeat: so many times, with blanks between; 0 leaves it out.
/// @throws UsageError  a value that means nothing, or a weight where the syntax is plain
void change_words(Settings& settings, const std::string& setting, const std::string& text);

/// @param place  of the plan, for messages; "": the command line
/// @throws UsageError  a word that no prompt of the sweep has
void check_words(const SweepPlan& plan, const std::string& place);

}  // namespace steplapse
