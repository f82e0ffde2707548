#include "cli/sweep_axes.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include "base/file_io.h"
#include "base/text.h"
#include "cli/flag_values.h"
#include "cli/flags.h"
#include "cli/prompts_file.h"
#include "cli/setting_reader.h"
#include "cli/sweep_values.h"
#include "steplapse/error.h"
#include "studies/sweep/sweep_words.h"

namespace steplapse {
namespace {

constexpr size_t kLargestPromptsFile = 64 << 20;  // bytes

constexpr const char *kSweepPicture = "The prompts (the first axis)",
                     *kSweepSplit = "Axes: several values with commas, or A..B[:STEP] for numbers",
                     *kSweepWhole =
                         "Axes: a flag for each value, which is a list, an interval, a text or a file itself",
                     *kSweepWords = "Axes of words in the prompts, and joined axes";

const char* type_of(const SweepSetting& setting) {
  if (setting.values == AxisValues::numbers) return setting.type == "X" ? "X,X" : "N,N";
  if (setting.values == AxisValues::names) return setting.type == "WxH" ? "WxH,WxH" : "NAME,NAME";
  return nullptr;
}

CLI::Option* add_texts(CLI::App& command, const char* group, const std::string& flag, std::vector<std::string>& texts,
                       const std::string& type, const std::string& help) {
  return command.add_option(flag, texts, help)->type_name(type)->group(group)->allow_extra_args(false);
}

void add_setting_axis(CLI::App& command, const SweepSetting& setting, std::vector<std::string>& texts) {
  const char* type = type_of(setting);
  CLI::Option* option = add_texts(command, type ? kSweepSplit : kSweepWhole, setting.flag, texts,
                                  type ? type : setting.type, setting.help);
  if (!setting.usual.empty()) option->expected(0, 1)->default_str(setting.usual);
}

std::string name_of_flag(const std::string& flag) {
  std::string name = flag.starts_with("--") ? flag.substr(2) : flag;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

/// Puts the points of a flag where they belong: one for all cells, several on an axis.
void add_points(SweepPlan& plan, const std::string& name, std::vector<SweepSettings> points) {
  if (points.size() > 1) return plan.axes.push_back({name, std::move(points)});
  plan.fixed.insert(plan.fixed.end(), points.front().begin(), points.front().end());
}

std::vector<SweepSettings> points_of_values(const std::string& name, const std::vector<std::string>& values) {
  std::vector<SweepSettings> points;
  points.reserve(values.size());
  for (const std::string& value : values) points.push_back({{name, value}});
  return points;
}

// ---- prompts

std::vector<std::string> settings_of_lines() {
  std::vector<std::string> names{"seed", "count"};
  for (const SweepSetting& setting : sweep_settings()) names.push_back(setting.name);
  return names;
}

/// A line's settings, and its seeds, each of which makes a point.
std::vector<SweepSettings> points_of_line(const PromptsLine& line) {
  SweepSettings settings{{"prompt", line.prompt}};
  std::vector<std::string> seeds;
  std::string count;
  for (const auto& [name, value] : line.settings) {
    if (!value) continue;
    if (name == "seed") {
      seeds = axis_values("--seed", *value, AxisValues::numbers);
    } else if (name == "count") {
      count = *value;
    } else {
      settings.emplace_back(name, *value);
    }
  }
  if (!count.empty() && seeds.empty()) seeds = {std::to_string(SweepCells::kUsualSeed)};
  if (seeds.empty()) return {settings};
  std::vector<SweepSettings> points;
  for (const uint64_t seed : seeds_from(seeds, count)) {
    points.push_back(settings);
    points.back().emplace_back("seed", std::to_string(seed));
  }
  return points;
}

void refuse_double_settings(const CLI::App& command, const PromptsLine& line) {
  for (const auto& [name, value] : line.settings) {
    std::string flag = "--" + name;
    std::replace(flag.begin(), flag.end(), '_', '-');
    const bool seeds = name == "seed" || name == "count";
    if (command.count(flag) > 0 || (seeds && command.count("--seed") + command.count("--count") > 0))
      throw UsageError(line.place + ": has its own " + in_quotes(name) + ", and " + flag +
                       " is given too; leave one out");
  }
}

std::vector<SweepSettings> points_in_file(const CLI::App& command, const std::string& path) {
  const std::string text =
      path == "-" ? read_standard_input(kLargestPromptsFile) : text_in("--prompts", path, kLargestPromptsFile);
  const ReadSetting read_setting = setting_reader();
  std::vector<SweepSettings> points;
  for (const PromptsLine& line : prompts_in(text, path, settings_of_lines())) {
    refuse_double_settings(command, line);
    try {
      for (SweepSettings& point : points_of_line(line)) {
        CellRequest scratch;
        for (const auto& [name, value] : point) read_setting(scratch, name, value);
        points.push_back(std::move(point));
      }
    } catch (const UsageError& error) {
      throw UsageError(line.place + ": " + error.what());
    }
  }
  return points;
}

void read_prompts(const CLI::App& command, const AxisFlags& flags, SweepPlan& plan) {
  const bool file = command.count("--prompts") > 0;
  if (file && !flags.prompts.empty()) throw UsageError("PROMPT and --prompts both say what to draw; leave one out");
  if (file) return add_points(plan, "prompt", points_in_file(command, flags.prompts_file));
  if (flags.prompts.empty()) throw MisfitArguments("no PROMPT; see " + command.get_name() + " --help");
  std::vector<std::string> prompts;
  for (const std::string& prompt : flags.prompts) {
    if (std::find(prompts.begin(), prompts.end(), prompt) != prompts.end())
      throw UsageError("PROMPT: " + in_quotes(prompt) + " is given twice");
    prompts.push_back(prompt_of(prompt));
  }
  add_points(plan, "prompt", points_of_values("prompt", prompts));
}

// ---- settings

std::vector<std::string> seeds_of(const AxisFlags& flags) {
  std::vector<std::string> texts;
  for (const std::string& text : flags.seeds) {
    for (std::string& seed : axis_values("--seed", text, AxisValues::numbers)) texts.push_back(std::move(seed));
  }
  CellRequest scratch;
  const ReadSetting read_setting = setting_reader();
  for (const std::string& seed : texts) read_setting(scratch, "seed", seed);
  if (flags.count.empty()) return texts;
  if (texts.empty()) texts = {std::to_string(SweepCells::kUsualSeed)};
  std::vector<std::string> counted_up;
  for (const uint64_t seed : seeds_from(texts, flags.count)) counted_up.push_back(std::to_string(seed));
  return counted_up;
}

/// Sweeps may go on from another folder.
std::string kept_text(const SweepSetting& setting, const std::string& text) {
  return setting.type == "FILE" ? std::filesystem::absolute(text).lexically_normal().string() : text;
}

std::vector<std::string> values_of(const SweepSetting& setting, const std::vector<std::string>& texts) {
  std::vector<std::string> values;
  for (const std::string& text : texts) {
    for (const std::string& value : axis_values(setting.flag, text, setting.values)) {
      const std::string kept = kept_text(setting, value);
      if (std::find(values.begin(), values.end(), kept) != values.end())
        throw UsageError(setting.flag + ": " + in_quotes(value) + " is given twice");
      values.push_back(kept);
    }
  }
  const ReadSetting read_setting = setting_reader();
  for (const std::string& value : values) {
    CellRequest scratch;
    read_setting(scratch, setting.name, value);
  }
  return values;
}

// ---- words

/// WORD=A,B,C; of --replace also WORD,A,B,C as the web UI's "Prompt S/R" has it, where the word itself is the first.
void add_words(const std::string& setting, const std::string& text, SweepPlan& plan) {
  const std::string flag = "--" + setting;
  std::vector<std::string> values;
  std::string word;
  if (text.find('=') == std::string::npos && setting == "replace") {
    values = quoted_list(flag, text);
    word = values.front();
    if (values.size() < 2 || word.empty())
      throw UsageError(flag + " " + in_quotes(text) + ": expected WORD=A,B,C, or WORD,A,B where the word is the first");
  } else {
    const auto [before, after] = word_and_value(setting, text);
    word = before;
    values = setting == "replace" ? quoted_list(flag, after) : axis_values(flag, after, AxisValues::numbers);
  }
  std::vector<SweepSettings> points;
  for (const std::string& value : values) {
    Settings scratch;
    change_words(scratch, setting, word + "=" + value);
    points.push_back({{setting, word + "=" + value}});
  }
  add_points(plan, setting + ":" + word, std::move(points));
}

// ---- joined axes

size_t axis_to_join(const std::string& zip, const std::string& name, const SweepPlan& plan) {
  std::string wanted = name.find(':') == std::string::npos ? name_of_flag(name) : name;
  if (wanted == "prompts") wanted = "prompt";
  std::vector<std::string> names;
  for (size_t i = 0; i < plan.axes.size(); ++i) {
    names.push_back(plan.axes[i].name);
    if (names.back() == wanted || (changes_words(wanted) && names.back().starts_with(wanted + ":"))) return i;
  }
  const bool fixed =
      std::any_of(plan.fixed.begin(), plan.fixed.end(), [&](const auto& each) { return each.first == wanted; });
  throw UsageError("--zip " + in_quotes(zip) + ": " +
                   (fixed ? in_quotes(name) + " has one value, and no axis"
                          : "no axis " + in_quotes(name) + did_you_mean(wanted, names, "")) +
                   (names.empty() ? "" : "; axes are " + joined(names, ", ")));
}

void join_axes(const std::string& zip, SweepPlan& plan) {
  std::vector<size_t> places;
  for (const std::string& name : list_of(zip)) places.push_back(axis_to_join(zip, name, plan));
  std::sort(places.begin(), places.end());
  if (places.size() < 2 || std::adjacent_find(places.begin(), places.end()) != places.end())
    throw UsageError("--zip " + in_quotes(zip) + ": expected two or more axes, each once");
  SweepAxis& first = plan.axes[places.front()];
  for (size_t i = 1; i < places.size(); ++i) {
    const SweepAxis& other = plan.axes[places[i]];
    if (other.points.size() != first.points.size())
      throw UsageError("--zip " + in_quotes(zip) + ": " + first.name + " has " +
                       counted(static_cast<int64_t>(first.points.size()), "value") + " and " + other.name + " " +
                       std::to_string(other.points.size()) + "; expected as many");
    first.name += "," + other.name;
    for (size_t p = 0; p < first.points.size(); ++p)
      first.points[p].insert(first.points[p].end(), other.points[p].begin(), other.points[p].end());
  }
  for (size_t i = places.size(); i-- > 1;) plan.axes.erase(plan.axes.begin() + static_cast<ptrdiff_t>(places[i]));
}

// ---- what several samplers share

std::set<std::string> texts_of(const SweepPlan& plan, const std::string& setting) {
  std::set<std::string> texts;
  const auto look = [&](const SweepSettings& settings) {
    for (const auto& [name, text] : settings) {
      if (name == setting) texts.insert(text);
    }
  };
  look(plan.fixed);
  for (const SweepAxis& axis : plan.axes) {
    for (const SweepSettings& point : axis.points) look(point);
  }
  return texts;
}

void share_levels(SweepPlan& plan, std::vector<std::string>& notes) {
  const size_t samplers = texts_of(plan, "sampler").size();
  if (samplers < 2) return;
  for (const char* setting : {"schedule", "timesteps", "sigmas", "levels"}) {
    if (!texts_of(plan, setting).empty()) return;
  }
  plan.fixed.emplace_back("schedule", "bundle");
  notes.push_back("the " + std::to_string(samplers) +
                  " samplers share the bundle's levels; --schedule auto takes each one's usual ones");
}

void refuse_size_twice(const CLI::App& command) {
  for (const char* side : {"--width", "--height"}) {
    if (command.count("--size") > 0 && command.count(side) > 0)
      throw UsageError("--size and " + std::string(side) + " both say how large; leave one out");
  }
}

}  // namespace

void add_axis_flags(CLI::App& command, AxisFlags& flags) {
  command.add_option("PROMPT,--prompt", flags.prompts, "What to draw, one or more; - reads one from standard input")
      ->type_name("")
      ->group(kSweepPicture);
  command
      .add_option("--prompts", flags.prompts_file,
                  "One prompt a line, or a line of JSON with its own settings; - for standard input")
      ->type_name("FILE")
      ->group(kSweepPicture);
  add_texts(command, kSweepSplit, "--seed", flags.seeds, "N,N", "Which noise to start from (0)");
  command.add_option("--count", flags.count, "N seeds, from --seed up")->type_name("N")->group(kSweepSplit);
  for (const SweepSetting& setting : sweep_settings()) add_setting_axis(command, setting, flags.settings[setting.flag]);
  const char* words = kSweepWords;
  add_texts(command, words, "--replace", flags.replace, "WORD=A,B", "Each of the texts in place of a word");
  add_texts(command, words, "--weight", flags.weight, "WORD=X,X", "A word with each of the weights, as (word:X)");
  add_texts(command, words, "--repeat", flags.repeat, "WORD=N,N", "A word so many times; 0 leaves it out");
  add_texts(command, words, "--zip", flags.zip, "A,B", "Go through these axes together, not through all combinations");
}

void read_axes(const CLI::App& command, const AxisFlags& flags, SweepPlan& plan, std::vector<std::string>& notes) {
  refuse_size_twice(command);
  read_prompts(command, flags, plan);
  std::set<std::string> done;
  size_t replaced = 0, weighted = 0, repeated = 0;
  for (const CLI::Option* option : command.parse_order()) {
    if (option->get_lnames().empty()) continue;
    const std::string flag = "--" + option->get_lnames().front();
    if (flag == "--replace") add_words("replace", flags.replace.at(replaced++), plan);
    if (flag == "--weight") add_words("weight", flags.weight.at(weighted++), plan);
    if (flag == "--repeat") add_words("repeat", flags.repeat.at(repeated++), plan);
    const bool seed = flag == "--seed" || flag == "--count";
    if (!done.insert(seed ? "--seed" : flag).second) continue;
    if (seed) add_points(plan, "seed", points_of_values("seed", seeds_of(flags)));
    for (const SweepSetting& setting : sweep_settings()) {
      if (setting.flag == flag)
        add_points(plan, setting.name, points_of_values(setting.name, values_of(setting, flags.settings.at(flag))));
    }
  }
  share_levels(plan, notes);
  for (const std::string& zip : flags.zip) join_axes(zip, plan);
  check_axes(plan, "");
  check_words(plan, "");
}

}  // namespace steplapse
