#include "record/origin.h"

#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <torch/csrc/api/include/torch/version.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/json_null.h"
#include "base/machine.h"
#include "base/number_text.h"
#include "steplapse/version.h"

namespace steplapse {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

template <typename Value>
std::optional<Value> maybe(const json& keys, const char* key) {
  return !keys.contains(key) || keys.at(key).is_null() ? std::nullopt : std::optional(keys.at(key).get<Value>());
}

std::string words_of(const ordered_json& value) {
  if (value.is_null()) return "not set";
  return value.is_string() ? value.get<std::string>() : value.dump();
}

#ifdef __clang__
constexpr const char* kCompiler = "clang " __clang_version__;
#else
constexpr const char* kCompiler = "gcc " __VERSION__;
#endif

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? std::optional<std::string>(value) : std::nullopt;
}

/// Numbers of the origin are text in the log, as they were in its first version.
int64_t number_of(const json& value) { return whole_number<int64_t>(value.get<std::string>()); }

}  // namespace

Machine machine_here() {
  return {.version = STEPLAPSE_VERSION,
          .libtorch = TORCH_VERSION,
          .compiler = kCompiler,
          .threads = at::get_num_threads(),
          .cpu = cpu_info("model name").value_or("not known"),
          .cpu_capability = at::get_cpu_capability(),
          .aten_cpu_capability = environment("ATEN_CPU_CAPABILITY"),
          .onednn_max_cpu_isa = environment("ONEDNN_MAX_CPU_ISA")};
}

bool rounds_otherwise(const Machine& then) {
  const Machine now = machine_here();
  return then.cpu_capability != now.cpu_capability || then.libtorch != now.libtorch || then.compiler != now.compiler ||
         then.version != now.version || then.threads != now.threads;
}

ordered_json machine_json(const Machine& machine) {
  return {{"version", machine.version},
          {"libtorch", machine.libtorch},
          {"compiler", machine.compiler},
          {"device", machine.device},
          {"compute_dtype", machine.compute_dtype},
          {"threads", std::to_string(machine.threads)},
          {"cpu", machine.cpu},
          {"cpu_capability", machine.cpu_capability},
          {"aten_cpu_capability", or_null(machine.aten_cpu_capability)},
          {"onednn_max_cpu_isa", or_null(machine.onednn_max_cpu_isa)}};
}

Machine machine_of(const json& keys) {
  return {.version = keys.value("version", ""),
          .libtorch = keys.value("libtorch", ""),
          .compiler = keys.value("compiler", ""),
          .device = keys.value("device", ""),
          .compute_dtype = keys.value("compute_dtype", ""),
          .threads = keys.contains("threads") ? number_of(keys.at("threads")) : 0,
          .cpu = keys.value("cpu", ""),
          .cpu_capability = keys.value("cpu_capability", ""),
          .aten_cpu_capability = maybe<std::string>(keys, "aten_cpu_capability"),
          .onednn_max_cpu_isa = maybe<std::string>(keys, "onednn_max_cpu_isa")};
}

std::vector<std::string> differences(const Machine& then, const Machine& now) {
  std::vector<std::string> found;
  const ordered_json before = machine_json(then), after = machine_json(now);
  for (const auto& [key, value] : before.items()) {
    if (value == after.at(key) || value == "" || value == "0") continue;
    found.push_back(key + " " + words_of(value) + ", now " + words_of(after.at(key)));
  }
  return found;
}

ordered_json origin_json(const Origin& origin) {
  ordered_json keys = machine_json(origin.machine);
  keys.update({{"model", origin.model},
               {"model_sha256", origin.model_sha256},
               {"model_path", origin.model_path.string()},
               {"frames", origin.frames},
               {"number", origin.number},
               {"decoder", origin.decoder},
               {"stop_at", or_null(origin.stop_at)},
               {"stop_when_converged", or_null(origin.stop_when_converged)},
               {"would_stop", or_null(origin.would_stop)},
               {"picture", origin.picture ? ordered_json(origin.picture->string()) : ordered_json()},
               {"runs", std::to_string(origin.runs)},
               {"max_batch", origin.max_batch ? std::to_string(*origin.max_batch) : "auto"},
               {"sandbox", origin.sandbox},
               {"started", origin.started}});
  return keys;
}

Origin origin_of(const json& logged) {
  Origin origin;
  origin.machine = machine_of(logged);
  origin.model = logged.at("model");
  origin.model_sha256 = logged.at("model_sha256");
  origin.model_path = logged.value("model_path", "");
  origin.frames = logged.value("frames", "");
  origin.number = logged.value("number", "steps");
  origin.decoder = logged.at("decoder");
  origin.stop_at = maybe<int64_t>(logged, "stop_at");
  origin.stop_when_converged = maybe<double>(logged, "stop_when_converged");
  origin.would_stop = maybe<double>(logged, "would_stop");
  if (const auto picture = maybe<std::string>(logged, "picture")) origin.picture = *picture;
  origin.runs = logged.contains("runs") ? number_of(logged.at("runs")) : 1;
  const std::string max_batch = logged.value("max_batch", "auto");
  if (max_batch != "auto") origin.max_batch = whole_number<int64_t>(max_batch);
  origin.sandbox = logged.value("sandbox", "");
  origin.started = logged.value("started", "");
  return origin;
}

}  // namespace steplapse
