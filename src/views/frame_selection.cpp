#include "views/frame_selection.h"

#include <algorithm>
#include <cstdio>

#include "base/names.h"
#include "base/text.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

constexpr ValueNames<FrameKind, 7> kFrameKinds{{{"x0", FrameKind::x0},
                                                {"xt", FrameKind::xt},
                                                {"diff", FrameKind::diff},
                                                {"signed_diff", FrameKind::signed_diff},
                                                {"cond", FrameKind::cond},
                                                {"uncond", FrameKind::uncond},
                                                {"final", FrameKind::final}}};

}  // namespace

std::string_view name_of(FrameKind kind) { return name_in(kFrameKinds, kind); }

FrameKind frame_kind_named(std::string_view name) { return value_named(kFrameKinds, name, "kind of frame"); }

const std::vector<FrameKind>& frame_kinds() {
  static const std::vector<FrameKind> kinds{FrameKind::x0,          FrameKind::xt,   FrameKind::diff,
                                            FrameKind::signed_diff, FrameKind::cond, FrameKind::uncond};
  return kinds;
}

bool FrameSelection::has(FrameKind kind, int64_t step, bool last) const {
  const int64_t first = kind == FrameKind::xt ? 0 : 1;
  if (!kinds.contains(kind) || step < first) return false;
  if (!at.empty()) return at.contains(step);
  if (step < from.value_or(first) || (to && step > *to)) return false;
  return step % every == 0 || step == std::max(first, from.value_or(first)) || last || step == to;
}

std::string frame_file(FrameKind kind, int64_t number) {
  char name[32];
  std::snprintf(name, sizeof name, "%04lld.png", static_cast<long long>(number));
  return "frames/" + std::string(name_of(kind)) + "/" + name;
}

void check_frames(const FrameSelection& selection, int64_t steps) {
  const int64_t first = selection.kinds.contains(FrameKind::xt) ? 0 : 1;
  const auto check = [&](const char* flag, int64_t step) {
    if (step >= first && step <= steps) return;
    throw UsageError(std::string(flag) + " " + std::to_string(step) + ": a run of " + counted(steps, "step") +
                     " has frames " + std::to_string(first) + " to " + std::to_string(steps));
  };
  for (const int64_t step : selection.at) check("`at`", step);
  if (selection.from) check("`from`", *selection.from);
  if (selection.to) check("`to`", *selection.to);
  if (selection.from && selection.to && *selection.from > *selection.to) {
    throw UsageError("`from` " + std::to_string(*selection.from) + " is after `to` " + std::to_string(*selection.to));
  }
  if (selection.every < 1) throw UsageError("`every` " + std::to_string(selection.every) + ": expected 1 or more");
}

namespace {

/// Whether a step's first question asks for what a kind shows. Exact for samplers that visit the listed levels.
bool is_asked(FrameKind kind, const Recipe& recipe, int64_t step) {
  const auto& levels = recipe.schedule.levels;
  const NoiseLevel& level = levels.at(static_cast<size_t>(std::clamp<int64_t>(step - 1, 0, std::ssize(levels) - 1)));
  if (kind == FrameKind::cond) return guidance_rule(recipe, step).asks_cond(step, level);
  if (kind == FrameKind::uncond) return guidance_rule(recipe, step).asks_uncond(step, level);
  return true;
}

bool is_ever_asked(FrameKind kind, const Recipe& recipe) {
  for (int64_t step = 1; step <= recipe.schedule.steps(); ++step) {
    if (is_asked(kind, recipe, step)) return true;
  }
  return false;
}

}  // namespace

std::optional<std::string> warning_of_unasked(const FrameSelection& selection, const Recipe& recipe) {
  for (const FrameKind kind : {FrameKind::cond, FrameKind::uncond}) {
    if (!selection.kinds.contains(kind) || is_ever_asked(kind, recipe)) continue;
    return "`frames` " + std::string(name_of(kind)) + ": at guidance scale " + plain(recipe.guidance.scale) +
           " the network is never asked for that answer, so there are no such frames";
  }
  return std::nullopt;
}

int64_t frames_in(const FrameSelection& selection, const Recipe& recipe, int64_t steps) {
  int64_t frames = 0;
  for (const FrameKind kind : selection.kinds) {
    int64_t chosen = 0;
    for (int64_t step = 0; step <= steps; ++step) {
      chosen += selection.has(kind, step, step == steps) && is_asked(kind, recipe, step);
    }
    frames += is_diff(kind) ? std::max<int64_t>(0, chosen - 1) : chosen;
  }
  return frames;
}

}  // namespace steplapse
