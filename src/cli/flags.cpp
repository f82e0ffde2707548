#include "cli/flags.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <limits>
#include <sstream>
#include <tuple>

#include "base/confinement.h"
#include "base/file_io.h"
#include "base/strict_json.h"
#include "base/terminal.h"
#include "base/text.h"
#include "base/wording.h"
#include "cli/commands.h"
#include "cli/flag_words.h"
#include "runs/progress.h"
#include "sampling/schedule_json.h"
#include "steplapse/error.h"

namespace steplapse {

std::vector<std::string> flags_of(const CLI::App& command) {
  std::vector<std::string> flags;
  for (const CLI::Option* option : command.get_options()) {
    for (const auto& name : option->get_lnames()) flags.push_back("--" + name);
  }
  return flags;
}

namespace {

namespace fs = std::filesystem;

constexpr size_t kLongestInput = 1 << 20;   // bytes of standard input that are read for a prompt; the plan refuses less
constexpr size_t kLargestLevels = 4 << 20;  // bytes of a file of levels

/// As the user would quote them: steplapse tokens "of love".
std::string with_quotes(const CLI::App& command, const std::vector<std::string>& words) {
  const std::string name = command.get_name();
  return (name == "steplapse generate" ? "steplapse" : name) + " " + shell_quoted(escaped(joined(words, " ")));
}

[[noreturn]] void refuse_flag(const CLI::App& command, const std::string& flag) {
  throw MisfitArguments("unknown flag " + in_quotes(flag) +
                        did_you_mean(flag, flags_of(command), ", see " + command.get_name() + " --help"));
}

[[noreturn]] void refuse_word(const CLI::App& command, const std::string& word, const std::vector<std::string>& words) {
  const auto takes_words = command.get_options([](const CLI::Option* option) { return option->get_positional(); });
  if (takes_words.empty())
    throw MisfitArguments("unexpected " + in_quotes(word) + "; " + command.get_name() + " takes flags alone");
  const char* several =
      takes_words.front()->get_name(true) == "PROMPT" ? "a prompt of several words wants" : "several words want";
  throw MisfitArguments("unexpected " + in_quotes(word) + "; " + several + " quotes: " + with_quotes(command, words));
}

bool has(const CLI::App& command, const std::string& flag) { return command.get_option_no_throw(flag) != nullptr; }

/// -W512 is -W 512, for letters that a number follows.
bool is_letter_with_number(const std::string& argument) {
  return argument.size() > 2 && argument[1] != '-' &&
         argument.find_first_not_of("0123456789", 2) == std::string::npos &&
         std::isalpha(static_cast<unsigned char>(argument[1]));
}

/// The command's own flag that is meant: other tools' words, and underscores for dashes. Itself where nothing is known of it.
std::string own_flag(const CLI::App& command, const std::string& flag) {
  if (has(command, flag)) return flag;
  if (has(command, with_dashes(flag))) return with_dashes(flag);
  const auto meant = flag_meant_by(flag);
  return meant && has(command, *meant) ? *meant : flag;
}

/// Each flag by its own name, so that it is known to be given twice however it was spelled.
std::vector<std::string> with_own_flags(const CLI::App& command, const std::vector<std::string>& arguments) {
  std::vector<std::string> own;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "--") {
      own.insert(own.end(), arguments.begin() + static_cast<ptrdiff_t>(i), arguments.end());
      break;
    }
    if (argument.size() < 2 || argument[0] != '-') {
      own.push_back(argument);
      continue;
    }
    const bool joined = is_letter_with_number(argument);
    const size_t end = joined ? 2 : std::min(argument.find('='), argument.size());
    const std::string flag = own_flag(command, argument.substr(0, end));
    own.push_back(joined ? flag : flag + argument.substr(end));
    if (joined) own.push_back(argument.substr(end));
    const CLI::Option* option = command.get_option_no_throw(flag);
    const bool wants_value = option && end == argument.size() && option->get_items_expected_min() > 0;
    if (wants_value && i + 1 < arguments.size()) own.push_back(arguments[++i]);  // whatever it looks like
  }
  return own;
}

bool is_number(const std::string& text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && rest == end;
}

/// A number, or several as a sweep takes them: 0.01,0.02 or 0.01..0.05:0.01.
bool are_numbers(std::string text) {
  for (size_t dots = text.find(".."); dots != std::string::npos; dots = text.find("..")) text.replace(dots, 2, ",");
  std::replace(text.begin(), text.end(), ':', ',');
  const std::vector<std::string> items = list_of(text);
  return std::all_of(items.begin(), items.end(), is_number);
}

/// A flag whose number may be left out gets its usual one where another word follows, which may be the prompt.
std::vector<std::string> with_usual_numbers(const CLI::App& command, std::vector<std::string> arguments) {
  for (size_t i = 0; i < arguments.size() && arguments[i] != "--"; ++i) {
    if (!arguments[i].starts_with("-")) continue;
    const CLI::Option* option = command.get_option_no_throw(arguments[i]);
    if (!option || option->get_items_expected_max() != 1) continue;
    if (option->get_items_expected_min() > 0) {
      ++i;  // its value, whatever it looks like
      continue;
    }
    if (i + 1 == arguments.size() || !are_numbers(arguments[i + 1])) arguments[i] += "=" + option->get_default_str();
  }
  return arguments;
}

/// What was left over is a misspelt flag, or a prompt that the shell took apart.
/// @param flags_end  where `--` is among the arguments
void refuse_extras(const CLI::App& command, const std::vector<std::string>& arguments, size_t flags_end) {
  const auto is_flag = [](const std::string& text) { return text.size() > 1 && text.front() == '-'; };
  std::vector<std::string> words;
  for (const CLI::Option* option :
       command.get_options([](const CLI::Option* each) { return each->get_positional(); })) {
    words.insert(words.end(), option->results().begin(), option->results().end());
  }
  for (const std::string& extra : command.remaining()) {
    if (!is_flag(extra)) words.push_back(extra);
  }
  for (const std::string& extra : command.remaining()) {
    if (extra == "--") continue;
    if (!is_flag(extra)) refuse_word(command, extra, words);
    const auto end = arguments.begin() + static_cast<ptrdiff_t>(flags_end);
    if (std::find(arguments.begin(), end, extra) != end) refuse_flag(command, extra.substr(0, extra.find('=')));
    throw MisfitArguments("unexpected " + in_quotes(extra) +
                          " after --, where everything is a word; write flags before the --");
  }
}

/// CLI11 names the flag first; what is wrong with it shows in the options.
std::string in_our_words(const CLI::App& command, const CLI::ParseError& error) {
  const std::string text = error.what(), flag = text.substr(0, text.find(':'));
  if (dynamic_cast<const CLI::RequiredError*>(&error)) {
    for (const CLI::Option* option : command.get_options()) {
      if (option->get_required() && option->count() == 0) return "no " + option->get_name(option->get_positional());
    }
  }
  if (!dynamic_cast<const CLI::ArgumentMismatch*>(&error)) return text;
  const CLI::Option* option = command.get_option_no_throw(flag);
  const bool is_repeated = option && static_cast<int>(option->count()) > option->get_items_expected_max();
  return flag + (is_repeated ? ": given more than once" : ": wants a value");
}

/// Descriptions of flags in lines that fit, each in the column where it begins. Examples stay as they are.
std::string folded_help(const std::string& help) {
  constexpr size_t kColumn = 30;  // CLI11's
  const size_t columns = output_columns();
  std::istringstream lines(help);
  std::string folded;
  bool after_blank = false;  // CLI11 has two blank lines between groups
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() && after_blank) continue;
    after_blank = line.empty();
    const bool described =
        line.size() > kColumn && line.starts_with("  ") && line[kColumn - 1] == ' ' && line[kColumn] != ' ';
    const size_t start = described ? kColumn : 0;
    const bool fits = display_width(line) <= columns || line.starts_with("  steplapse ");
    folded +=
        fits ? line : line.substr(0, start) + wrapped(line.substr(start), columns, columns < 60 ? 4 : start, start);
    folded += '\n';
  }
  return folded;
}

}  // namespace

// ---- where the model that comes with us lies ---------------------------------------------------------------------

fs::path default_model() {
  if (const char* named = std::getenv("STEPLAPSE_MODEL"); named && *named) return named;
  std::error_code unknown;
  const fs::path program = fs::read_symlink("/proc/self/exe", unknown);
  // Beside the program, where it was installed, or in the checkout above the build folder.
  for (const char* place : {"models", "../share/steplapse/models", "../models", "../../models", "../../../models"}) {
    const fs::path model = (program.parent_path() / place / "emoji-64").lexically_normal();
    if (fs::exists(model / "model.json", unknown)) return model;
  }
  throw UsageError("no --model given, and models/emoji-64 is not beside the program; name a bundle's folder");
}

fs::path usual_model() {
  try {
    return default_model();
  } catch (const UsageError&) {
    return {};
  }
}

// ---- parsing -----------------------------------------------------------------------------------------------------

namespace {

/// Hides the flags that are not common, and says where they are shown.
void shorten_help(CLI::App& command, const std::vector<std::string>& common) {
  size_t hidden = 0;
  for (CLI::Option* option : command.get_options()) {
    const std::string name = option->get_name();
    const bool is_help = option == command.get_help_ptr() || option == command.get_help_all_ptr();
    if (option->get_positional() || is_help || std::find(common.begin(), common.end(), name) != common.end()) continue;
    option->group("");
    ++hidden;
  }
  if (hidden > 0)
    command.footer(command.get_name() + " --help-all shows " + std::to_string(hidden) + " more flags.\n\n" +
                   command.get_footer());
}

}  // namespace

bool parse(CLI::App& command, std::vector<std::string> arguments, const std::vector<std::string>& common) {
  // CLI11 takes what follows --flag= for its value; two arguments are clear.
  for (size_t i = 0; i < arguments.size() && arguments[i] != "--"; ++i) {
    if (!arguments[i].starts_with("--") || arguments[i].find('=') != arguments[i].size() - 1) continue;
    arguments[i].pop_back();
    arguments.insert(arguments.begin() + static_cast<ptrdiff_t>(i) + 1, "");
  }
  arguments = with_usual_numbers(command, with_own_flags(command, arguments));
  const auto flags_end = static_cast<size_t>(std::find(arguments.begin(), arguments.end(), "--") - arguments.begin());
  command.allow_extras();
  try {
    command.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));  // as CLI11 wants them
  } catch (const CLI::CallForHelp&) {
    if (!common.empty()) shorten_help(command, common);
    std::cout << folded_help(command.help());
    return false;
  } catch (const CLI::CallForAllHelp&) {
    std::cout << folded_help(command.help());
    return false;
  } catch (const CLI::ParseError& error) {
    refuse_extras(command, arguments, flags_end);
    const std::string text = in_our_words(command, error) + "; see " + command.get_name() + " --help";
    if (dynamic_cast<const CLI::RequiredError*>(&error)) throw MisfitArguments(text);
    throw UsageError(text);
  }
  refuse_extras(command, arguments, flags_end);
  return true;
}

bool asks_for_json(const std::vector<std::string>& arguments) {
  const auto flag = std::find(arguments.begin(), arguments.end(), "--progress");
  return std::count(arguments.begin(), arguments.end(), "--progress=json") > 0 ||
         (flag != arguments.end() && flag + 1 != arguments.end() && *(flag + 1) == "json");
}

void warn(const std::string& text) { std::cerr << "steplapse: warning: " << worded(text) << std::endl; }

void say_in_json(const std::exception& error) { make_progress(ProgressMode::json)->failed(failure_of(error)); }

// ---- values ------------------------------------------------------------------------------------------------------

std::string text_in(const std::string& flag, const std::string& path, size_t most) {
  try {
    return read_whole(path, most);
  } catch (const UsageError& error) {  // which begins with the path
    throw UsageError(flag + " " + error.what());
  }
}

std::string prompt_of(const std::string& argument) {
  if (argument != "-") return argument;
  std::string text = read_standard_input(kLongestInput);
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

namespace {

PromptSyntax prompt_syntax_of(const std::string& flag, const std::string& text) {
  return prompt_syntax_named(choice_of(flag, text, {"weights", "plain"}));
}

ProgressMode progress_of(const std::string& flag, const std::string& text) {
  choice_of(flag, text, {"auto", "bar", "lines", "json", "none"});
  if (text == "bar") return ProgressMode::bar;
  if (text == "lines") return ProgressMode::lines;
  if (text == "json") return ProgressMode::json;
  return text == "none" ? ProgressMode::none : ProgressMode::automatic;
}

std::string device_of(const std::string& flag, const std::string& text) {
  if (text == "gpu") return "cuda";
  if (text.starts_with("cuda:")) {
    integer_number(flag + " cuda:N, N", text.substr(5), 0, 127);
    return text;
  }
  for (const char* other : {"mps", "metal", "rocm", "hip", "vulkan", "xpu", "directml", "opencl", "npu", "tpu"}) {
    if (lower_case(text) == other) {
      throw UsageError(flag + " " + in_quotes(text) + ": not here; choose from auto, cpu, cuda, cuda:N");
    }
  }
  return text == "cuda" ? text : choice_of(flag, text, {"auto", "cpu", "cuda", "cuda:N"});
}

/// A1111 says NV (and GPU, where the card is NVIDIA's), stable-diffusion.cpp cuda.
Rng rng_of(const std::string& flag, const std::string& text) {
  const std::string lower = lower_case(text);
  if (lower == "cuda" || lower == "nv" || lower == "gpu") return Rng::philox;
  return rng_named(choice_of(flag, lower == "cpu" ? lower : text, {"cpu", "philox"}));
}

}  // namespace

std::vector<uint64_t> seeds_from(const std::vector<std::string>& texts, const std::string& count_text) {
  std::vector<uint64_t> seeds;
  for (const std::string& text : texts) {
    for (const std::string& seed : list_of(text)) seeds.push_back(seed_number("--seed", seed));
  }
  for (auto seed = seeds.begin(); seed != seeds.end(); ++seed) {
    if (std::find(seeds.begin(), seed, *seed) != seed)
      throw UsageError("--seed: " + std::to_string(*seed) + " is given twice");
  }
  if (count_text.empty()) return seeds;

  if (seeds.size() > 1) throw UsageError("--count and several --seed both say how many; leave one out");
  const int64_t count = integer_number("--count", count_text, 1, kMostPictures);
  if (seeds.empty()) seeds.push_back(random_seed());
  if (seeds.front() > std::numeric_limits<uint64_t>::max() - static_cast<uint64_t>(count - 1)) {
    throw UsageError("--count " + count_text + ": seeds from " + std::to_string(seeds.front()) +
                     " up would pass the largest, 2^64 - 1");
  }
  while (static_cast<int64_t>(seeds.size()) < count) seeds.push_back(seeds.back() + 1);
  return seeds;
}

// ---- flags

namespace {

/// What `steplapse schedule --json` printed, or others wrote like it.
Schedule levels_in(const std::string& flag, const std::string& path) {
  const std::string text = text_in(flag, path, kLargestLevels);
  try {
    return schedule_from_json(parse_strict_json(text));
  } catch (const nlohmann::json::exception&) {
    throw UsageError(flag + " " + in_quotes(path) +
                     ": expected what steplapse schedule --json prints, "
                     "{\"init_scale\": 1, \"levels\": [{\"timestep\": 999, \"alpha\": 0.1, \"sigma\": 0.995}, …]}");
  } catch (const std::exception& error) {
    throw UsageError(flag + " " + in_quotes(path) + ": " + error.what());
  }
}

auto numbers(const char* example) {
  return [=](const std::string& flag, const std::string& text) { return numbers_of(flag, text, example); };
}

}  // namespace

void add_schedule_flags(CLI::App& command, const std::string& group, Settings& settings, Readers& readers) {
  Binder bind(command, group, readers);
  bind("--schedule", "NAME",
       "Which noise levels (the sampler's usual ones, else the bundle's): bundle, or of steplapse schedule --list",
       settings.schedule, [](const std::string& flag, const std::string& text) {
         return name_of(flag, text, schedules(), {"ays", "bundle"});
       });
  bind("--sigma-min", "X", "The schedule's smallest sigma but 0", settings.sigma_min, number(0, INFINITY));
  bind("--sigma-max", "X", "The schedule's largest sigma", settings.sigma_max, number(0, INFINITY));
  bind("--rho", "X", "Exponent rho of karras and polyexponential schedules (7 and 1)", settings.rho,
       number(0, INFINITY));
  bind("--shift", "X", "Timestep shift of flow models; above 1 spends more steps at high noise", settings.shift,
       number(0.01, 100));
}

void add_level_flags(CLI::App& command, const std::string& group, Settings& settings, Readers& readers) {
  Binder bind(command, group, readers);
  bind("--steps", "N", "Steps from noise to picture", settings.steps, integer(1));
  bind("--sampler", "NAME", "How to get from one noise level to the next", settings.sampler,
       [](const std::string& flag, const std::string& text) { return name_of(flag, text, samplers()); });
  add_schedule_flags(command, group, settings, readers);
  bind("--timesteps", "LIST", "The timesteps themselves, as 999,750,500,250", settings.timesteps,
       numbers("999,750,500,250"));
  bind("--sigmas", "LIST", "The sigmas themselves, as 14.6,3.9,0.9,0", settings.sigmas, numbers("14.6,3.9,0.9,0"));
  bind("--levels", "FILE", "The levels themselves, as steplapse schedule --json prints them", settings.levels,
       levels_in);
}

void add_prompt_syntax(CLI::App& command, const std::string& group, Settings& settings, Readers& readers) {
  Binder bind(command, group, readers);
  bind("--prompt-syntax", "NAME", "weights: (word:1.4), [word] and BREAK as in web UIs; or plain text",
       settings.prompt_syntax, prompt_syntax_of)
      ->default_str("weights");
}

void add_picture_flags(CLI::App& command, const std::string& group, Settings& settings, Readers& readers) {
  Binder bind(command, group, readers);
  bind("--negative-prompt", "TEXT", "What to steer away from", settings.negative_prompt, as_it_is);
  add_prompt_syntax(command, group, settings, readers);
  const CLI::Option* size = bind("--size", "WxH", "Width and height in pixels (the bundle's)", settings.size, size_of);
  const auto side = [&](const char* name, const char* help, int64_t Manifest::Size::* side) {
    bind.with(name, "N", help, [=, &settings](const std::string& flag, const std::string& text) {
      if (size->count() > 0) throw UsageError("--size and " + flag + " both say how large; leave one out");
      if (!settings.size) settings.size = Manifest::Size{0, 0};
      (*settings.size).*side = integer_number(flag, text, 1, kAnyNumber);
    });
  };
  side("--width", "The width alone; -W too", &Manifest::Size::width);
  side("--height", "The height alone; -H too", &Manifest::Size::height);
}

void add_guidance_scale(CLI::App& command, const std::string& group, Settings& settings, Readers& readers) {
  Binder bind(command, group, readers);
  bind("--guidance-scale", "X", "Weight of the prompt; 1 is no guidance", settings.guidance_scale, number(0, INFINITY));
}

void add_rng(CLI::App& command, const std::string& group, Settings& settings, Readers& readers) {
  Binder bind(command, group, readers);
  bind("--rng", "NAME", "Random generator: cpu (PyTorch's CPU), philox (PyTorch's CUDA)", settings.rng, rng_of);
}

namespace {

void add_device_flags(Binder& bind, RunningOptions& running) {
  bind("--device", "NAME", "auto, cpu, cuda or cuda:N", running.device, device_of)->default_str("auto");
  bind("--threads", "N", "CPU threads (OMP_NUM_THREADS, or one a core)", running.threads, integer(1, 1024));
}

}  // namespace

void add_no_sandbox(CLI::App& command, const std::string& group) {
  const std::string help = "Let the bundle's programs run with all of your rights";
  command.add_flag("--no-sandbox", help)->group(group);
}

void plan_sandbox(const CLI::App& command) {
  const CLI::Option* const off = command.get_option_no_throw("--no-sandbox");
  if (!off || off->count() > 0) return;
  plan_confinement(warn);
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& text : option->results()) {
      std::error_code unreadable;
      if (fs::exists(text, unreadable)) confinement_reads(text);
    }
  }
}

void add_model_flags(CLI::App& command, const std::string& group, RunningOptions& running, Readers& readers) {
  Binder bind(command, group, readers);
  bind("--model", "DIR", "The bundle's folder (the one that the run was made with)", running.model, as_it_is);
  add_device_flags(bind, running);
  add_no_sandbox(command, group);
}

namespace {

constexpr const char* kUsualFolder = "The bundle's folder (STEPLAPSE_MODEL, or the model that comes with us)";

void ask_for_default(const CLI::Option* model, RunningOptions& running, Readers& readers) {
  readers.push_back({[=, &running] {
    if (model->count() == 0 || running.model.empty()) running.model = default_model();
  }});
}

}  // namespace

void add_model(CLI::App& command, const std::string& group, RunningOptions& running, Readers& readers) {
  Binder bind(command, group, readers);
  ask_for_default(bind("--model", "DIR", kUsualFolder, running.model, as_it_is), running, readers);
}

void add_running_flags(CLI::App& command, const std::string& group, RunningOptions& running, Readers& readers,
                       UsualModel usual) {
  Binder bind(command, group, readers);
  const char* folder =
      usual == UsualModel::asked ? kUsualFolder : "The bundle's folder (the one that the run was made with)";
  const CLI::Option* model = bind("--model", "DIR", folder, running.model, as_it_is);
  add_device_flags(bind, running);
  bind("--max-batch", "N", "Pictures made at once, at most (what fits into memory); 1: the same bits as alone",
       running.max_batch, integer(1, kMostPictures));
  bind("--grace", "SECONDS", "What a step has to end after Ctrl-C or SIGTERM; then the run ends where it is (10)",
       running.grace, number(0, INFINITY));
  add_no_sandbox(command, group);
  bind("--progress", "HOW", "auto, bar, lines, json or none", running.progress, progress_of)->default_str("auto");
  if (usual == UsualModel::asked) ask_for_default(model, running, readers);
}

}  // namespace steplapse
