#include "cli/setting_reader.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "base/text.h"
#include "cli/binder.h"
#include "cli/flag_values.h"
#include "cli/flags.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

/// The flags, and the request that they set.
struct SettingFlags {
  CLI::App app;
  CellRequest request;
  Readers readers;

  SettingFlags() {
    Settings& settings = request.settings;
    add_picture_flags(app, "", settings, readers);
    add_sampling_flags(app, "", settings, readers);
    add_decoder(app, "", request.decoder, readers);
    add_stop_flags(app, "", request.stop_at, request.stop_when_converged, request.would_stop, readers);
  }
};

std::string setting_of(const std::string& flag) {
  std::string name = flag.substr(2);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

AxisValues values_of_type(const std::string& type) {
  if (type == "N" || type == "X" || type == "K") return AxisValues::numbers;
  return type == "NAME" || type == "WxH" ? AxisValues::names : AxisValues::whole;
}

bool is_of_text(const std::string& name) { return name == "prompt" || name == "negative_prompt"; }

/// `none` takes a setting out, and the usual schedule is what a picture has that names none.
bool says_nothing(const std::string& name, const std::string& text) {
  return !is_of_text(name) && (text == "none" || (name == "schedule" && text == "auto"));
}

class SettingReader {
 public:
  void set(CellRequest& request, const std::string& name, const std::string& text) {
    if (says_nothing(name, text)) return;
    if (name == "prompt") {
      request.settings.prompt = text;
    } else if (name == "seed") {
      request.settings.seed = seed_of(text);
    } else if (name == "latents") {
      request.settings.latents = file(latents_, name, text, &Settings::latents);
    } else if (name == "levels") {
      request.settings.levels = file(levels_, name, text, &Settings::levels);
    } else {
      const Reader& reader = reader_of(name);
      std::swap(request, flags_.request);  // whose fields the reader sets
      try {
        reader.set(reader.flag, text);
      } catch (...) {
        std::swap(request, flags_.request);
        throw;
      }
      std::swap(request, flags_.request);
    }
  }

 private:
  static uint64_t seed_of(const std::string& text) {
    if (text == "-1")
      throw UsageError("--seed -1: a sweep names its seeds, so that the same command goes on with it; as 1..4");
    return seed_number("--seed", text);
  }

  const Reader& reader_of(const std::string& name) const {
    for (const Reader& reader : flags_.readers) {
      if (reader.set && setting_of(reader.flag) == name) return reader;
    }
    std::vector<std::string> names{"prompt", "seed", "replace", "weight", "repeat"};
    for (const SweepSetting& setting : sweep_settings()) names.push_back(setting.name);
    throw UsageError("unknown setting " + in_quotes(name) +
                     did_you_mean(name, names, "; choose from " + joined(names, ", ")));
  }

  /// A file is read once.
  template <typename Value>
  const Value& file(std::map<std::string, Value>& files, const std::string& name, const std::string& text,
                    Value Settings::* field) {
    const auto known = files.find(text);
    if (known != files.end()) return known->second;
    const Reader& reader = reader_of(name);
    flags_.request = {};
    reader.set(reader.flag, text);
    return files[text] = flags_.request.settings.*field;
  }

  SettingFlags flags_;
  std::map<std::string, Tensor> latents_;
  std::map<std::string, std::optional<Schedule>> levels_;
};

}  // namespace

const std::vector<SweepSetting>& sweep_settings() {
  static const std::vector<SweepSetting> settings = [] {
    std::vector<SweepSetting> all;
    SettingFlags flags;
    for (const Reader& reader : flags.readers) {
      if (!reader.set) continue;
      const CLI::Option& option = *flags.app.get_option(reader.flag);
      const bool wants_value = option.get_items_expected_min() > 0;
      all.push_back({.name = setting_of(reader.flag),
                     .flag = reader.flag,
                     .type = option.get_type_name(),
                     .help = option.get_description(),
                     .values = values_of_type(option.get_type_name()),
                     .usual = wants_value ? "" : option.get_default_str()});
    }
    return all;
  }();
  return settings;
}

ReadSetting setting_reader() {
  const auto reader = std::make_shared<SettingReader>();
  return [reader](CellRequest& request, const std::string& name, const std::string& text) {
    reader->set(request, name, text);
  };
}

}  // namespace steplapse
