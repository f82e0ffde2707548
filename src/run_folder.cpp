#include "steplapse/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <ctime>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "steplapse/error.h"
#include "steplapse/file_io.h"
#include "steplapse/frames.h"
#include "steplapse/text.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

// Deleted in this order: the log, by which a folder is known to hold a run, goes last.
constexpr std::array kRunFiles{"run.json", "steps.csv", "final.png", "final.safetensors", "run.sqlite-journal",
                               "run.sqlite"};
constexpr std::array kFrameKinds{"x0", "xt"};

/// @return whether it was not there before
bool make_folders(const fs::path& path) {
  std::error_code error;
  const bool made = fs::create_directories(path, error);
  if (error) throw OutputError(path.string() + ": cannot make the folder: " + error.message());
  return made;
}

int lock(const fs::path& path) {
  const int file = ::open((path / "run.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (file < 0) throw OutputError((path / "run.lock").string() + ": cannot write: " + std::strerror(errno));
  if (::flock(file, LOCK_EX | LOCK_NB) == 0) return file;
  const int why = errno;
  ::close(file);
  if (why == EWOULDBLOCK) throw OutputError(path.string() + ": another steplapse is writing a run there; name another --out");
  throw OutputError((path / "run.lock").string() + ": cannot lock: " + std::strerror(why));
}

/// A file that write_whole was killed in has this behind its name.
constexpr const char* kUnfinished = ".part";

/// 0007.png: four digits or more.
bool is_frame(fs::path file) {
  if (file.extension() == kUnfinished) file = file.stem();
  const std::string digits = file.stem().string();
  return file.extension() == ".png" && digits.size() >= 4 && digits.find_first_not_of("0123456789") == std::string::npos;
}

/// Deletes the files of a run, and no other: the folder may hold the user's own.
void delete_run(const fs::path& path) {
  for (const char* kind : kFrameKinds) {
    const fs::path folder = path / "frames" / kind;
    if (!fs::is_directory(folder)) continue;
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (is_frame(entry.path())) fs::remove(entry.path());
    }
    std::error_code not_empty;
    fs::remove(folder, not_empty);
  }
  std::error_code not_empty;
  if (fs::is_directory(fs::symlink_status(path / "frames"))) fs::remove(path / "frames", not_empty);
  for (const std::string name : kRunFiles) {
    fs::remove(path / name);
    fs::remove(path / (name + kUnfinished));
  }
}

/// A CSV field: empty for none, `inf` for infinity.
std::string field(const std::optional<double>& value) {
  if (!value) return "";
  if (std::isinf(*value)) return *value > 0 ? "inf" : "-inf";
  return nlohmann::json(*value).dump();
}

/// Which step has which frame file, of one kind.
std::map<int64_t, std::string> frame_files(const nlohmann::json& facts, const std::string& kind) {
  std::map<int64_t, std::string> files;
  if (!facts.contains("frame_steps")) return files;
  const auto steps = nlohmann::json::parse(facts.at("frame_steps").get<std::string>()).value(kind, std::vector<int64_t>());
  const bool counted = facts.at("number") == "frames";
  for (size_t i = 0; i < steps.size(); ++i) {
    files[steps[i]] = frame_file(kind, counted ? static_cast<int64_t>(i) + 1 : steps[i]);
  }
  return files;
}

std::string csv_of(const std::vector<StepRow>& rows, const nlohmann::json& facts) {
  std::ostringstream csv;
  const auto x0_files = frame_files(facts, "x0"), xt_files = frame_files(facts, "xt");
  csv << "step,timestep,alpha,sigma,latents_rms_change,x0_rms_change,x0_rms_to_final,x0_mean_abs_change,x0_psnr_change,"
         "x0_compared_step,guidance_norm,denoiser_calls,denoiser_ms,decode_ms,encode_ms,write_ms,x0_file,xt_file\n";
  for (const StepRow& row : rows) {
    const auto change = [&](auto member) { return row.change ? std::optional(*row.change.*member) : std::nullopt; };
    const auto frame_ms = [&](auto member) { return row.frame_ms ? std::optional(*row.frame_ms.*member) : std::nullopt; };
    const auto file_in = [&](const std::map<int64_t, std::string>& files) {
      return files.contains(row.step) ? files.at(row.step) : "";
    };
    csv << row.step << ',' << field(row.level.timestep) << ',' << field(row.level.alpha) << ',' << field(row.level.sigma)
        << ',' << field(row.latents_rms_change) << ',' << field(row.x0_rms_change) << ',' << field(row.x0_rms_to_final)
        << ',' << field(change(&FrameChange::mean_abs)) << ',' << field(change(&FrameChange::psnr)) << ','
        << (row.change ? std::to_string(row.change->compared_step) : "") << ',' << field(row.guidance_norm) << ','
        << row.denoiser_calls << ',' << field(row.denoiser_ms) << ',' << field(frame_ms(&FrameTimes::decode)) << ','
        << field(frame_ms(&FrameTimes::encode)) << ',' << field(frame_ms(&FrameTimes::write)) << ',' << file_in(x0_files) << ',' << file_in(xt_files)
        << '\n';
  }
  return csv.str();
}

/// What people look for comes first, the long lists last, and between them all the rest by name.
constexpr std::array kFirst{"prompt", "negative_prompt", "seed", "sampler", "steps", "schedule", "guidance_scale", "width",
                            "height", "model", "ended", "ended_reason", "started", "total_seconds", "network_seconds"};
constexpr std::array kLast{"frame_steps", "levels"};

nlohmann::ordered_json for_people(nlohmann::json facts) {
  nlohmann::ordered_json ordered, last;
  const auto move_to = [&](nlohmann::ordered_json& to, const auto& keys) {
    for (const std::string key : keys) {
      if (!facts.contains(key)) continue;
      to[key] = facts.at(key);
      facts.erase(key);
    }
  };
  move_to(ordered, kFirst);
  move_to(last, kLast);
  ordered.update(facts);
  ordered.update(last);
  return ordered;
}

std::string run_json(nlohmann::json facts) {
  // What the log keeps as text for SQLite's sake becomes what it is.
  facts["seed"] = std::stoull(facts.at("seed").get<std::string>());
  for (const char* key : {"threads", "runs"}) {
    if (facts.contains(key)) facts[key] = std::stoi(facts.at(key).get<std::string>());
  }
  for (const char* key : {"levels", "init_noise_shape", "frame_steps"}) {
    if (facts.contains(key)) facts[key] = nlohmann::json::parse(facts.at(key).get<std::string>());
  }
  facts["init_noise_given"] = facts.at("init_noise_given") == 1;
  return for_people(std::move(facts)).dump(2) + "\n";
}

std::string local_time(const char* format) {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  char date[64];
  std::strftime(date, sizeof date, format, &local);
  return date;
}

/// runs/DATE-NAME, or a number is added where that exists.
fs::path free_folder(const std::string& name) {
  const fs::path path = fs::path("runs") / (local_time("%Y%m%d-%H%M%S") + "-" + name);
  fs::path free = path;
  for (int i = 2; fs::exists(free); ++i) free = path.string() + "-" + std::to_string(i);
  return free;
}

}  // namespace

void refuse_existing_run(const fs::path& path, bool overwrite) {
  std::error_code unreadable;  // making the folder will say why
  const bool has_log = fs::exists(path / "run.sqlite", unreadable);
  if (has_log && overwrite) return;
  if (has_log) {
    throw OutputError(path.string() + ": holds a run already (run.sqlite); name another --out, or --overwrite to replace it");
  }
  for (const char* name : kRunFiles) {
    if (!fs::exists(path / name, unreadable)) continue;
    throw OutputError(path.string() + ": holds " + name + " without a run's log, so it is not ours to replace; name another --out");
  }
}

RunFolder RunFolder::create(const fs::path& path, bool overwrite) {
  refuse_existing_run(path, overwrite);
  const bool made = make_folders(path);
  RunFolder folder(path, lock(path), made);
  refuse_existing_run(path, overwrite);  // again: one may have been written before the lock was ours
  try {
    delete_run(path);
  } catch (const fs::filesystem_error& error) {
    throw OutputError(path.string() + ": cannot delete the run there: " + error.code().message());
  }
  return folder;
}

void RunFolder::discard() noexcept {
  std::error_code not_empty;
  try {
    delete_run(path_);
  } catch (const fs::filesystem_error&) {  // then it stays
  }
  fs::remove(path_ / "run.lock", not_empty);
  if (made_) fs::remove(path_, not_empty);
}

RunFolder::RunFolder(RunFolder&& other) noexcept
    : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, -1)), made_(other.made_) {}

RunFolder::~RunFolder() {
  if (lock_ >= 0) ::close(lock_);
}

fs::path default_run_folder(const std::string& prompt, uint64_t seed) {
  return free_folder(slug(prompt) + "-" + std::to_string(seed));
}

fs::path default_batch_folder(size_t runs) { return free_folder(std::to_string(runs) + "-runs"); }

std::string date_now() { return local_time("%Y-%m-%dT%H:%M:%S%z").insert(22, ":"); }  // strftime's offset has no colon

void write_views(const RunLog& log, const fs::path& folder) {
  const auto facts = nlohmann::json::parse(log.facts_json());
  write_whole(folder / "run.json", run_json(facts));
  write_whole(folder / "steps.csv", csv_of(log.steps(), facts));
}

}  // namespace steplapse
