#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runs/explain_run.h"

namespace steplapse {

// What is said of an explained run, for people. Each text is a paragraph.

std::string settled_heading(const ExplainedRun& run);

/// What a part of x0 is: "the mean of each channel".
std::string meaning_of_part(const std::string& part);
std::string settled_text(const std::optional<int64_t>& step);  ///< "from step 5 on"

std::string last_region_text(const ExplainedRun& run);

/// Whether the second answer could have been left out.
/// @param way_to_ask  a sentence that stands behind an estimate: how the network is asked; may be ""
std::vector<std::string> leaving_out_texts(const ExplainedRun& run, const std::string& way_to_ask);

/// In which steps x0 went straight on.
std::string straight_text(const ExplainedRun& run);

std::string fixed(double number, int digits);  ///< with so many digits behind the point

}  // namespace steplapse
