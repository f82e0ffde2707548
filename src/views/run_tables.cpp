#include "views/run_tables.h"

#include <array>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/file_io.h"
#include "base/number_text.h"
#include "record/origin.h"
#include "views/frame_selection.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

/// A CSV field: empty for none, `inf` for infinity.
std::string field(const std::optional<double>& value) {
  if (!value) return "";
  if (std::isinf(*value)) return *value > 0 ? "inf" : "-inf";
  return nlohmann::json(*value).dump();
}

/// The columns of files: of x0 and xt always, of the other kinds where the run made some.
std::map<FrameKind, std::map<int64_t, std::string>> frame_columns(const nlohmann::json& facts) {
  std::map<FrameKind, std::map<int64_t, std::string>> columns;
  for (const FrameKind kind : frame_kinds()) {
    auto files = frame_files(facts, kind);
    if (!files.empty() || kind == FrameKind::x0 || kind == FrameKind::xt) columns[kind] = std::move(files);
  }
  return columns;
}

std::string csv_of(const std::vector<StepRow>& rows, const nlohmann::json& facts) {
  std::ostringstream csv;
  const auto files = frame_columns(facts);
  csv << "step,timestep,alpha,sigma,latents_rms_change,x0_rms_change,x0_rms_to_final,x0_mean_abs_change,x0_psnr_change,"
         "x0_compared_step,guidance_norm,denoiser_calls,denoiser_ms,decode_ms,encode_ms,write_ms";
  for (const auto& [kind, by_step] : files) csv << ',' << name_of(kind) << "_file";
  csv << '\n';
  for (const StepRow& row : rows) {
    const auto change = [&](auto member) { return row.change ? std::optional(*row.change.*member) : std::nullopt; };
    const auto frame_ms = [&](auto member) {
      return row.frame_ms ? std::optional(*row.frame_ms.*member) : std::nullopt;
    };
    csv << row.step << ',' << field(row.level.timestep) << ',' << field(row.level.alpha) << ','
        << field(row.level.sigma) << ',' << field(row.latents_rms_change) << ',' << field(row.x0_rms_change) << ','
        << field(row.x0_rms_to_final) << ',' << field(change(&FrameChange::mean_abs)) << ','
        << field(change(&FrameChange::psnr)) << ',' << (row.change ? std::to_string(row.change->compared_step) : "")
        << ',' << field(row.guidance_norm) << ',' << row.denoiser_calls << ',' << field(row.denoiser_ms) << ','
        << field(frame_ms(&FrameTimes::decode)) << ',' << field(frame_ms(&FrameTimes::encode)) << ','
        << field(frame_ms(&FrameTimes::write));
    for (const auto& [kind, by_step] : files) csv << ',' << (by_step.contains(row.step) ? by_step.at(row.step) : "");
    csv << '\n';
  }
  return csv.str();
}

/// The keys of run.json that come first, and the long lists that come last. The others stand between, sorted by name.
constexpr std::array kFirst{"prompt",   "negative_prompt", "seed",    "sampler",       "steps",
                            "schedule", "guidance_scale",  "width",   "height",        "model",
                            "ended",    "ended_reason",    "started", "total_seconds", "network_seconds"};
constexpr std::array kLast{"resumed", "frame_steps", "levels"};

/// When, from which step, how the run had ended before, and on what it went on.
nlohmann::ordered_json resumption_json(const Resumption& resumption) {
  nlohmann::ordered_json json{{"date", resumption.date}, {"step", resumption.step}, {"ended", nullptr}};
  if (resumption.ended) json["ended"] = *resumption.ended;
  json.update(machine_json(resumption.machine));
  return json;
}

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
  // The log keeps these as text, since SQLite has no type for them.
  for (const char* key : {"seed", "noise_seed"}) {
    if (facts.contains(key)) facts[key] = whole_number<uint64_t>(facts.at(key).get<std::string>());
  }
  for (const char* key : {"threads", "runs"}) {
    if (facts.contains(key)) facts[key] = whole_number<int>(facts.at(key).get<std::string>());
  }
  for (const char* key : {"levels", "init_noise_shape", "frames", "frame_steps", "would_have_stopped"}) {
    if (facts.contains(key)) facts[key] = nlohmann::json::parse(facts.at(key).get<std::string>());
  }
  facts["init_noise_given"] = facts.at("init_noise_given") == 1;
  return for_people(std::move(facts)).dump(2) + "\n";
}

}  // namespace

std::map<int64_t, std::string> frame_files(const nlohmann::json& facts, FrameKind kind) {
  std::map<int64_t, std::string> files;
  if (!facts.contains("frame_steps")) return files;
  const auto steps = nlohmann::json::parse(facts.at("frame_steps").get<std::string>())
                         .value(std::string(name_of(kind)), std::vector<int64_t>());
  const bool counted = facts.at("number") == "frames";
  for (size_t i = 0; i < steps.size(); ++i) {
    files[steps[i]] = frame_file(kind, counted ? static_cast<int64_t>(i) + 1 : steps[i]);
  }
  return files;
}

void write_tables(const RunLog& log, const fs::path& folder) {
  auto facts = nlohmann::json::parse(log.facts_json());
  for (const Resumption& resumption : log.resumptions())
    facts["resumed"].push_back(nlohmann::json(resumption_json(resumption)));
  write_whole(folder / "steps.csv", csv_of(log.steps(), facts));
  write_whole(folder / "run.json", run_json(facts));  // the last of all files: it says that the run is done
}

}  // namespace steplapse
