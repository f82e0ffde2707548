#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "steplapse/noise_level.h"
#include "views/frame_selection.h"
#include "views/report/chart.h"

namespace steplapse {

// What a report's page is made of. All texts in it may be untrusted.

/// A picture as the page shows it.
struct ReportPicture {
  std::string source = {};  ///< a data: address, or a path from the page
  int64_t width = 0, height = 0;
};

struct ReportFrame {
  FrameKind kind;
  int64_t step;
  NoiseLevel level;  ///< that belongs to the picture
  ReportPicture picture = {};
};

/// A step in numbers, by the keys of report_quantities(). What a step lacks is not there.
struct ReportStep {
  int64_t step = 0;
  NoiseLevel level = {};  ///< that the step began with
  std::map<std::string, double> numbers = {};
};

struct ReportToken {
  int64_t id = 0;
  double weight = 1;
  std::string piece = {};  ///< as the vocabulary spells it; "": not known, since the bundle is not there
};

/// A prompt of some steps, as it was written and as the network is given it.
struct ReportPrompt {
  std::string kind = {};  ///< prompt, negative_prompt
  int64_t first_step = 1;
  std::optional<std::string> text = {};               ///< none: no negative prompt was given
  std::vector<std::vector<ReportToken>> chunks = {};  ///< of all tokenizers, without padding where that is known
};

/// A word or two of a command.
struct CommandPart {
  std::string setting = {};  ///< seed; "" for what is no setting
  std::string flag = {};     ///< --seed; "" for what has none
  std::string value = {};
};

/// When a part of the picture settled.
struct ReportSettling {
  std::string part, meaning, when;
};

struct RunReport {
  std::string name = {};                                           ///< of its folder
  std::vector<ReportPrompt> prompts = {};                          ///< the first is the prompt
  std::vector<std::pair<std::string, std::string>> settings = {};  ///< what the log says of the run: key and value
  std::string ending = {};                                         ///< how it ended: done; was cut off
  std::string note = {};                                           ///< what the reader should know; "": nothing
  std::vector<ReportStep> steps = {};
  std::vector<ReportFrame> frames = {};
  ReportPicture final = {};
  std::optional<ReportPicture> settled_map = {};
  std::string settled_heading = {}, settled_scale = {};
  std::vector<ReportSettling> settled = {};
  std::vector<std::string> explanation = {};  ///< a paragraph each
  std::optional<Chart> spectrum = {};
  std::optional<double> seconds = {};  ///< that the run took; none where it has no end
  int64_t calls = 0;                   ///< of the network
  std::vector<CommandPart> command = {};

  const std::string& prompt() const { return *prompts.front().text; }
  std::string setting(const std::string& key) const;  ///< "" where the log has none
};

struct Report {
  std::vector<RunReport> runs = {};
  bool shows_all = false;           ///< whether all runs are shown side by side at first; else the first one
  bool has_folder = false;          ///< whether pictures lie beside the page
  std::string about_pictures = {};  ///< a sentence: how they were kept, and what was left out
};

}  // namespace steplapse
