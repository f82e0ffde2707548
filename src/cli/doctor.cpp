#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <dlfcn.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "base/machine.h"
#include "base/terminal.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "steplapse/bundle.h"
#include "steplapse/error.h"
#include "steplapse/version.h"

namespace steplapse {
namespace {

/// Where it was loaded from: there may be several.
std::string libtorch_text() {
  Dl_info info{};
  const bool found = dladdr(reinterpret_cast<void*>(&at::get_num_threads), &info) != 0;
  return libtorch_version() + (found ? ", in " + std::filesystem::path(info.dli_fname).parent_path().string() : "");
}

std::string system_text() {
  utsname about{};
  uname(&about);
  return std::string(about.sysname) + " " + about.release + ", " + about.machine;
}

/// " (A=1 B=2)" of those that are set.
std::string settings_text(const std::vector<std::string>& names) {
  std::vector<std::string> set;
  for (const std::string& name : names) {
    if (const char* value = std::getenv(name.c_str())) set.push_back(name + "=" + value);
  }
  return set.empty() ? "" : " (" + joined(set, " ") + ")";
}

/// Of the many instruction sets of a CPU those by which libtorch and oneDNN choose their kernels.
std::string instruction_sets() {
  const std::string flags = " " + cpu_info("flags").value_or(cpu_info("Features").value_or("")) + " ";
  std::vector<std::string> found;
  for (const std::string name :
       {"avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8", "asimd", "sve", "bf16"}) {
    if (flags.find(" " + name + " ") != std::string::npos) found.push_back(name);
  }
  return joined(found, " ") + "; libtorch uses " + at::get_cpu_capability() +
         settings_text({"ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA"});
}

std::string threads_text() {
  set_threads(0);
  return std::to_string(at::get_num_threads()) + ", on " + counted(physical_cores(), "core") +
         settings_text({"OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"});
}

std::string memory_text() {
  const int64_t bytes = available_memory();
  if (bytes == std::numeric_limits<int64_t>::max()) return "not known";
  std::ostringstream text;
  text.precision(3);
  text << static_cast<double>(bytes) / 1e9 << " GB available";
  return text.str();
}

std::string device_text() {
  if (!at::hasCUDA()) return "cpu; this libtorch sees no CUDA device";
  return "cuda; " + counted(at::accelerator::deviceCount(), "CUDA device");
}

std::string model_text(const std::optional<std::filesystem::path>& model) {
  if (!model) return "none beside the program; name a bundle's folder with --model or STEPLAPSE_MODEL";
  try {
    return read_manifest(*model).name + " in " + model->string();
  } catch (const Error& error) {
    return std::string("refused: ") + error.what();
  }
}

std::string terminal_text() {
  if (!isatty(STDERR_FILENO)) return "none";
  return std::to_string(terminal_columns(STDERR_FILENO)) + " columns" + settings_text({"TERM", "COLUMNS", "LANG"});
}

/// A line: "memory", "21.3 GB available".
using Finding = std::pair<std::string, std::string>;

std::vector<Finding> findings(const std::optional<std::filesystem::path>& model) {
  return {{"steplapse", STEPLAPSE_VERSION},
          {"libtorch", libtorch_text()},
          {"system", system_text()},
          {"cpu", cpu_info("model name").value_or("not known")},
          {"instruction sets", instruction_sets()},
          {"threads", threads_text()},
          {"memory", memory_text()},
          {"device", device_text()},
          {"model", model_text(model)},
          {"terminal", terminal_text()}};
}

/// None: there is none to be found.
std::optional<std::filesystem::path> model_to_be_found(const std::string& named) {
  try {
    return named.empty() ? default_model() : std::filesystem::path(named);
  } catch (const UsageError&) {
    return std::nullopt;
  }
}

struct DoctorFlags {
  std::string model;
  bool json = false;
};

void add_flags(CLI::App& command, DoctorFlags& flags) {
  command.description("What a bug report has to say of this machine: copy it whole");
  command.add_option("--model", flags.model, "The bundle's folder")->type_name("DIR");
  command.add_flag("--json", flags.json, "As JSON");
}

int examine(const CLI::App&, DoctorFlags& flags) {
  nlohmann::ordered_json object;
  for (const auto& [name, text] : findings(model_to_be_found(flags.model))) {
    if (flags.json) {
      object[name] = text;
    } else {
      std::cout << std::left << std::setw(17) << name << escaped(text, std::string::npos) << '\n';
    }
  }
  if (flags.json) std::cout << object.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n';
  return 0;
}

}  // namespace

Command doctor_command() {
  return with_flags<DoctorFlags>(
      {.name = "doctor", .about = "Show what a bug report has to say of this machine", .group = CommandGroup::know},
      add_flags, examine);
}

}  // namespace steplapse
