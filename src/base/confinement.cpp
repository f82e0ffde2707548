#include "base/confinement.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <string_view>
#include <thread>
#include <vector>

#include "base/broker.h"
#include "base/file_io.h"
#include "base/sandbox.h"
#include "base/signals.h"
#include "base/text.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

/// What is planned, and what came of it.
struct Confinement {
  bool is_planned = false, is_closed = false;
  std::function<void(const std::string&)> warn;
  SandboxRules rules;
  std::vector<fs::path> made;   // folders that are there already
  std::vector<fs::path> files;  // to be written whole
  fs::path scratch;             // for temporary files; empty: not made yet
  std::optional<Walls> walls;
  std::unique_ptr<Broker> broker;
  std::vector<std::function<void()>> later;

  ~Confinement() { end_confinement(); }
};

Confinement& confinement() {
  static Confinement only;
  return only;
}

fs::path absolute_of(const fs::path& path) {
  std::error_code error;
  const fs::path absolute = fs::absolute(path, error).lexically_normal();
  return absolute.has_filename() ? absolute : absolute.parent_path();  // a/b/ is a/b
}

bool lies_in(const fs::path& path, const fs::path& folder) {
  return std::mismatch(path.begin(), path.end(), folder.begin(), folder.end()).second == folder.end();
}

/// Whether something can still be added to the plan.
bool is_open() { return confinement().is_planned && !confinement().is_closed; }

// ---- no other thread

/// libgomp keeps its threads when they have nothing to do. It is asked by name, since a library may be built without it.
void end_openmp_threads() {
  constexpr int kHard = 2;  // omp_pause_hard
  using Pause = int (*)(int);
  const auto pause = reinterpret_cast<Pause>(::dlsym(RTLD_DEFAULT, "omp_pause_resource_all"));
  if (pause) pause(kHard);
}

/// A thread that has ended is listed for a moment longer.
void wait_for_ended_threads() {
  for (int i = 0; i < 200 && threads_here() > 1; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

// ---- what is to be written is made ready

/// Makes the folder and those above it. @param made  those that were not there
void make_folder(const fs::path& folder, std::vector<fs::path>& made) {
  std::error_code error;
  std::vector<fs::path> missing;
  for (fs::path each = absolute_of(folder); !fs::exists(each, error) && each.has_relative_path();
       each = each.parent_path())
    missing.push_back(each);
  fs::create_directories(folder, error);
  const std::string why = error.message();
  const bool failed = static_cast<bool>(error);
  std::copy_if(missing.rbegin(), missing.rend(), std::back_inserter(made),
               [&](const fs::path& each) { return fs::is_directory(each, error); });
  if (failed) throw OutputError(folder.string() + ": cannot make the folder: " + why);
}

fs::path part_for(const fs::path& file) { return file.string() + ".part"; }

void make_part(const fs::path& file, std::vector<fs::path>& made) {
  make_folder(file.parent_path(), made);
  ::unlink(part_for(file).c_str());  // a killed run may have left one
  const Descriptor part(::open(part_for(file).c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!part.is_open()) throw OutputError(file.string() + ": cannot write: " + std::strerror(errno));
}

void remove_made(const std::vector<fs::path>& made) {
  for (auto folder = made.rbegin(); folder != made.rend(); ++folder) ::rmdir(folder->c_str());
}

/// A program wants its loader started too: the one that is mapped here.
std::vector<fs::path> loaders() {
  std::vector<fs::path> found;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const size_t path = line.find('/');
    if (path == std::string::npos) continue;
    const fs::path file = line.substr(path);
    if (file.filename().string().starts_with("ld-") && std::ranges::find(found, file) == found.end())
      found.push_back(file);
  }
  return found;
}

SandboxRules all_rules(const Confinement& plan, const fs::path& bundle) {
  SandboxRules rules = rules_of_the_system();
  const auto append = [](std::vector<fs::path>& to, const std::vector<fs::path>& from) {
    to.insert(to.end(), from.begin(), from.end());
  };
  rules.read.push_back(bundle);
  append(rules.read, plan.rules.read);
  append(rules.write, plan.rules.write);
  if (!plan.scratch.empty()) rules.write.push_back(plan.scratch);
  for (const fs::path& file : plan.files) rules.write.push_back(part_for(file));
  append(rules.execute, plan.rules.execute);
  if (!rules.execute.empty()) append(rules.execute, loaders());
  return rules;
}

/// A cache that can't be written is none.
void make_cache(const fs::path& cache, std::vector<fs::path>& made) {
  try {
    make_folder(cache, made);
  } catch (const OutputError&) {
  }
}

void close_walls(Confinement& plan, const fs::path& bundle, const fs::path& cache) {
  end_openmp_threads();
  wait_for_ended_threads();
  std::erase_if(plan.files, [&](const fs::path& file) {  // folders to be written give enough rights
    return std::ranges::any_of(plan.rules.write,
                               [&](const fs::path& folder) { return lies_in(file, absolute_of(folder)); });
  });
  std::vector<fs::path> made = plan.made;
  try {
    for (const fs::path& folder : plan.rules.write) make_folder(folder, made);
    for (const fs::path& file : plan.files) make_part(file, made);
    if (!cache.empty()) make_cache(cache, made);
  } catch (...) {
    remove_made(made);
    throw;
  }
  try {
    ::setenv("TMPDIR", folder_for_temporary_files().c_str(), 1);  // SQLite's
  } catch (const OutputError&) {                                  // who wants one will say so
  }
  plan.broker = std::make_unique<Broker>(plan.files, std::move(made), plan.scratch);
  SandboxRules rules = all_rules(plan, bundle);
  if (!cache.empty()) rules.write.push_back(cache);
  plan.walls = enter(rules);
}

}  // namespace

void plan_confinement(std::function<void(const std::string&)> warn) {
  confinement().is_planned = true;
  confinement().warn = std::move(warn);
}

bool is_confinement_planned() { return confinement().is_planned; }
bool is_confined() { return confinement().walls.has_value(); }

void confinement_reads(const fs::path& path) {
  if (is_open()) confinement().rules.read.push_back(absolute_of(path));
}

void confinement_writes(const fs::path& folder) {
  if (is_open()) confinement().rules.write.push_back(folder);
}

void confinement_made(const fs::path& folder) {
  if (is_open()) confinement().made.push_back(absolute_of(folder));
}

void confinement_writes_file(const fs::path& file) {
  auto& files = confinement().files;
  if (is_open() && std::ranges::find(files, absolute_of(file)) == files.end()) files.push_back(absolute_of(file));
}

void confinement_starts(const fs::path& program) {
  std::error_code unreadable;
  if (is_open()) confinement().rules.execute.push_back(fs::canonical(program, unreadable));
}

void confine(const fs::path& bundle, const fs::path& cache) {
  Confinement& plan = confinement();
  if (!plan.is_planned || plan.is_closed) return;
  without_signal_thread([&] { close_walls(plan, absolute_of(bundle), cache); });
  plan.is_closed = true;
  for (const auto& work : plan.later) work();
  if (plan.walls->why_not.empty()) return;
  const bool any = plan.walls->landlock_abi > 0 || plan.walls->seccomp;
  plan.warn(std::string("the sandbox is ") + (any ? "not whole" : "off") + " on this kernel (" +
            joined(plan.walls->why_not, "; ") + "): behind its checks a bundle's programs run with " +
            (any ? "more of your rights than they need" : "your rights"));
}

void after_confinement(std::function<void()> work) {
  if (is_open()) return confinement().later.push_back(std::move(work));
  work();
}

std::string confinement_text() {
  const auto& walls = confinement().walls;
  return walls ? walls->text() : "off";
}

std::optional<fs::path> confined_part(const fs::path& file) {
  const Confinement& plan = confinement();
  const fs::path absolute = absolute_of(file);
  if (!plan.walls || std::ranges::find(plan.files, absolute) == plan.files.end()) return std::nullopt;
  return part_for(absolute);
}

int finish_confined(const fs::path& file) {
  Confinement& plan = confinement();
  const auto place = std::ranges::find(plan.files, absolute_of(file));
  return plan.broker->finish(static_cast<size_t>(place - plan.files.begin()));
}

fs::path folder_for_temporary_files() {
  Confinement& plan = confinement();
  std::error_code error;
  const fs::path parent = fs::temp_directory_path(error);
  if (error) throw OutputError("cannot find the folder for temporary files: " + error.message());
  if (!plan.is_planned) return parent;
  if (plan.scratch.empty()) {
    std::string name = (parent / "steplapse-XXXXXX").string();
    if (!::mkdtemp(name.data())) throw OutputError(name + ": cannot make a temporary folder: " + std::strerror(errno));
    plan.scratch = name;
  }
  return plan.scratch;
}

void end_confinement() noexcept {
  Confinement& plan = confinement();
  if (plan.broker) return plan.broker->end();
  std::error_code ignored;
  if (!plan.scratch.empty()) fs::remove_all(plan.scratch, ignored);
}

}  // namespace steplapse
