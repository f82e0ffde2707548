#include "runs/replay.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/terminal.h"
#include "base/text.h"
#include "record/run_folder.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

std::string share_text(double share) {
  std::ostringstream text;
  text << std::setprecision(2) << share;
  return text.str();
}

std::string place_of(const CallDifference& call) {
  std::ostringstream text;
  text << "call " << call.call << ", step " << call.step << ", sigma " << std::setprecision(4) << call.sigma;
  return text.str();
}

std::string verdict_of(const Replayed& replayed, const ReplayOptions& options) {
  return replayed.is_identical() ? "identical" : replayed.differs(options) ? "differs" : "within tolerance";
}

std::string calls_text(const Replayed& replayed, const ReplayOptions& options) {
  const std::string calls = counted(replayed.calls, "call") + " in " + counted(replayed.steps, "step");
  if (replayed.calls == 0) return "the log has no call to compare";
  if (replayed.first_off) {
    return calls + ": off at " + place_of(*replayed.first_off) + ": latents asked about by " +
           share_text(replayed.first_off->latents) + ", answer by " + share_text(replayed.first_off->answer) +
           "; largest at " + place_of(*replayed.largest) + ": " + share_text(replayed.largest->latents) + " and " +
           share_text(replayed.largest->answer);
  }
  if (replayed.same_bits) return calls + ": the same to the bit";
  return calls + ": within " + share_text(options.tolerance) + ", at most " + share_text(replayed.largest->larger()) +
         " at " + place_of(*replayed.largest);
}

std::string picture_text(const PictureDifference& picture) {
  if (!picture.same_size) return "another size";
  if (picture.pixels == 0) return "the same";
  return "off by at most " + counted(picture.levels, "level") + " of 255, in " + std::to_string(picture.pixels) +
         " of " + counted(picture.of, "pixel");
}

nlohmann::ordered_json call_json(const std::optional<CallDifference>& call) {
  if (!call) return nullptr;
  return {{"call", call->call},
          {"step", call->step},
          {"sigma", std::isfinite(call->sigma) ? nlohmann::ordered_json(call->sigma) : nullptr},
          {"latents", call->latents},
          {"answer", call->answer}};
}

}  // namespace

bool Replayed::is_identical() const {
  return other_way.empty() && same_bits && final_latents.value_or(0) == 0 &&
         (!picture || (picture->same_size && picture->pixels == 0));
}

bool Replayed::differs(const ReplayOptions& options) const {
  return !other_way.empty() || first_off || !(final_latents.value_or(0) <= options.tolerance) ||
         (picture && (!picture->same_size || picture->levels > options.levels));
}

std::string replay_text(const Replayed& replayed, const ReplayOptions& options, size_t columns) {
  std::ostringstream out;
  const auto line = [&](const std::string& name, const std::string& text) {
    constexpr size_t kColumn = 15;
    out << std::left << std::setw(kColumn) << name << wrapped(text, columns, kColumn, kColumn) << '\n';
  };
  line("replayed", escaped(replayed.what, 200) + ", with " + escaped(replayed.model) + " on " + replayed.device);
  for (const std::string& remark : replayed.remarks) line("", remark);
  for (const NamedDifference& difference : replayed.differences)
    line("changed", difference.name + " " + escaped(difference.then) + ", now " + escaped(difference.now));
  if (replayed.largest || replayed.picture_name.empty()) line("calls", calls_text(replayed, options));
  if (!replayed.other_way.empty()) line("", replayed.other_way);
  if (replayed.final_latents)
    line("final latents",
         *replayed.final_latents == 0 ? "the same to the bit" : "off by " + share_text(*replayed.final_latents));
  if (replayed.picture) line(replayed.picture_name, picture_text(*replayed.picture));
  const std::string limits = " (limits: " + share_text(options.tolerance) + " of the largest number, " +
                             counted(options.levels, "level") + " of 255)";
  line("verdict", verdict_of(replayed, options) + (replayed.is_identical() ? "" : limits));
  return out.str();
}

std::string replay_json(const Replayed& replayed, const ReplayOptions& options) {
  nlohmann::ordered_json differences = nlohmann::ordered_json::array(), picture;
  for (const auto& [name, then, now] : replayed.differences)
    differences.push_back({{"name", name}, {"then", then}, {"now", now}});
  if (replayed.picture)
    picture = {{"file", replayed.picture_name},
               {"same_size", replayed.picture->same_size},
               {"levels", replayed.picture->levels},
               {"pixels", replayed.picture->pixels},
               {"of", replayed.picture->of}};
  const nlohmann::ordered_json json{
      {"replayed", replayed.what},
      {"model", replayed.model},
      {"device", replayed.device},
      {"verdict", verdict_of(replayed, options)},
      {"tolerance", options.tolerance},
      {"levels", options.levels},
      {"changed", differences},
      {"remarks", replayed.remarks},
      {"steps", replayed.steps},
      {"calls", replayed.calls},
      {"first_off", call_json(replayed.first_off)},
      {"largest", call_json(replayed.largest)},
      {"other_way", replayed.other_way.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(replayed.other_way)},
      {"final_latents",
       replayed.final_latents ? nlohmann::ordered_json(*replayed.final_latents) : nlohmann::ordered_json()},
      {"picture", picture}};
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

void add_difference(std::vector<NamedDifference>& differences, const std::string& name, const std::string& then,
                    const std::string& now) {
  if (!then.empty() && !now.empty() && then != now) differences.push_back({name, then, now});
}

PictureDifference difference_of(const Picture& then, const Picture& now) {
  PictureDifference difference{.of = then.width * then.height};
  difference.same_size = then.width == now.width && then.height == now.height;
  if (!difference.same_size) return difference;
  for (size_t pixel = 0; pixel < then.rgb.size(); pixel += 3) {
    int64_t most = 0;
    for (size_t i = pixel; i < pixel + 3; ++i)
      most = std::max<int64_t>(most, std::abs(static_cast<int>(then.rgb[i]) - static_cast<int>(now.rgb[i])));
    difference.levels = std::max(difference.levels, most);
    difference.pixels += most > 0;
  }
  return difference;
}

int replay(const ReplayOptions& options) {
  std::error_code unreadable;
  const bool is_picture =
      std::filesystem::is_regular_file(options.what, unreadable) && options.what.filename() != "run.sqlite";
  const Replayed replayed =
      is_picture ? replay_picture(options.what, options) : replay_run(existing_run(options.what), options);
  std::cout << (options.json ? replay_json(replayed, options) : replay_text(replayed, options, output_columns()))
            << std::flush;
  return replayed.differs(options) ? static_cast<int>(ExitCode::differs) : 0;
}

}  // namespace steplapse
