#include "runs/render.h"

#include <nlohmann/json.hpp>
#include <set>
#include <utility>
#include <vector>

#include "base/aten.h"
#include "base/confinement.h"
#include "base/file_io.h"
#include "base/machine.h"
#include "base/stopwatch.h"
#include "base/text.h"
#include "model/bundle_folder.h"
#include "record/facts.h"
#include "record/run_folder.h"
#include "record/run_state.h"
#include "runs/run_model.h"
#include "steplapse/error.h"
#include "steplapse/run_log.h"
#include "views/frames.h"
#include "views/picture_text.h"
#include "views/step_frames.h"

namespace steplapse {
namespace {

namespace fs = std::filesystem;

/// The frames that were chosen, as a log gives them.
class Collector : public Watcher {
 public:
  Collector(const FrameSelection& selection, const Recipe& recipe) : frames_(selection, recipe) {
    requests = frames_.begun(recipe.init_noise * recipe.schedule.init_scale);
  }
  void answered(const Question& question, const Answer& answer) override {
    if (!asked_) asked_ = question.level;
    frames_.answered(question, answer);
  }
  Verdict stepped(const Step& step) override {
    for (FrameRequest& request : frames_.stepped(step)) requests.push_back(std::move(request));
    last_asked = std::exchange(asked_, std::nullopt).value();
    return {};
  }

  std::vector<FrameRequest> requests;
  NoiseLevel last_asked;  // first in the last step

 private:
  StepFrames frames_;
  std::optional<NoiseLevel> asked_;
};

void check_steps(const RenderOptions& options, int64_t steps, const RunState& state) {
  try {
    check_frames(options.frames, steps);
  } catch (const UsageError& error) {
    throw UsageError(options.run.string() + ": " + error.what() + (state.has_end() ? "" : "; its log ends there"));
  }
}

/// Whether what was asked for by name is there at all.
void check_kinds(const RenderOptions& options, const std::vector<FrameRequest>& requests) {
  std::set<FrameKind> made;
  for (const FrameRequest& request : requests) made.insert(request.kind);
  for (const FrameKind kind : options.frames.kinds) {
    if (made.contains(kind) || kind == FrameKind::x0 || kind == FrameKind::xt) continue;
    throw UsageError(options.run.string() + ": `frames` " + std::string(name_of(kind)) +
                     (is_diff(kind) ? ": compares two steps, and fewer are chosen"
                                    : ": the network was not asked for that answer in the steps that are chosen"));
  }
}

/// What pictures say of the model that the run was made with.
Manifest said_of(const MadeWith& made_with, const Manifest& other) {
  Manifest said = other;
  said.name = made_with.model;
  said.sha256 = made_with.sha256;
  said.clip_skip = 1;  // not known of it
  return said;
}

void check_latents(const Manifest& manifest, const Recipe& recipe, const fs::path& model) {
  if (recipe.init_noise.size(1) == manifest.latent_channels) return;
  throw UsageError(model.string() + ": decodes latents of " + counted(manifest.latent_channels, "channel") +
                   ", the run's have " + std::to_string(recipe.init_noise.size(1)) +
                   "; name a bundle of the run's family by `model`");
}

void make_folders(const fs::path& folder, const std::vector<FrameRequest>& requests) {
  for (const FrameRequest& request : requests) {
    const fs::path parent = (folder / file_of(request)).parent_path();
    std::error_code error;
    fs::create_directories(parent, error);
    if (error)
      throw OutputError(parent.string() + ": cannot make the folder: " + error.message() + "; name another `out`");
  }
}

/// final.png is made where it is missing. The run's own is never replaced, since another bundle may decode here.
bool wants_final(const RenderOptions& options, const fs::path& folder) {
  std::error_code unreadable;
  return !fs::exists(folder / "final.png", unreadable) || (options.overwrite && !options.out.empty());
}

void refuse_existing(const fs::path& folder, const std::vector<FrameRequest>& requests) {
  for (const FrameRequest& request : requests) {
    const fs::path file = folder / file_of(request);
    std::error_code unreadable;
    if (fs::exists(file, unreadable))
      throw OutputError(file.string() + ": is there already; name another `out`, or `overwrite` to replace it");
  }
}

/// What is to be made, from the log alone. Tells `rendered` what it has found.
std::vector<FrameRequest> requests_from(const RunLog& log, const Facts& facts, const RunState& state,
                                        const RenderOptions& options, Rendered& rendered) {
  Collector collector(options.frames, facts.recipe);
  const Refed refed = refeed(log, collector);
  rendered.steps = refed.steps;
  check_steps(options, refed.steps, state);
  check_kinds(options, collector.requests);
  if (!options.overwrite) refuse_existing(rendered.folder, collector.requests);
  if (refed.latents.defined() && wants_final(options, rendered.folder)) {
    const NoiseLevel end = log.stopped_at() ? collector.last_asked : facts.recipe.schedule.levels.back();
    collector.requests.push_back({FrameKind::final, refed.steps, end, refed.latents});
    rendered.final = true;
  }
  return std::move(collector.requests);
}

/// Decoders, and what pictures say of the model that the run was made with.
struct Decoders {
  Bundle bundle;
  Manifest made_with;
  bool is_other;  ///< whether the bundle is another one
};

Decoders load(const RenderOptions& options, const MadeWith& made, const Facts& facts,
              const std::vector<std::string>& names, const std::function<void(const std::string&)>& warn) {
  BundleFolder folder = bundle_of(made, options.running.model, options.usual_model);
  const Manifest manifest = folder.manifest();
  check_latents(manifest, facts.recipe, folder.path());
  const bool is_other = manifest.sha256 != made.sha256;
  if (is_other) {
    warn(folder.path().string() + ": is another model than the run's, " + in_quotes(made.model) +
         "; its pictures say so");
  }
  return {load_decoders(std::move(folder), options.running.device, names),
          is_other ? said_of(made, manifest) : manifest, is_other};
}

/// Decodes and writes them.
void make_frames(std::vector<FrameRequest> requests, const Decoders& decoders, const Facts& facts, Rendered& rendered) {
  const auto decoder_of = [&](const FrameRequest& request) {
    return request.kind == FrameKind::final ? "full" : rendered.decoder;
  };
  const Bundle& bundle = decoders.bundle;
  FrameWorkers workers(bundle.device() == "cpu" ? FrameWorkers::Decoding::between_steps
                                                : FrameWorkers::Decoding::beside);
  FrameWriter writer(
      workers, rendered.folder,
      [&](const FrameRequest& request) { return bundle.decode(decoder_of(request), request.latents); },
      [&](const FrameRequest& request) {
        return picture_texts(decoders.made_with, facts, decoder_of(request), request,
                             decoders.is_other ? &bundle.manifest() : nullptr);
      },
      [&](const Frame& frame) { rendered.frames += frame.kind != FrameKind::final; });
  make_folders(rendered.folder, requests);
  for (FrameRequest& request : requests) writer.submit(std::move(request));
  writer.finish();
}

}  // namespace

Rendered render(const RenderOptions& options, const std::function<void(const std::string&)>& warn) {
  const Stopwatch watch;
  const RunLog log = RunLog::open(log_in(options.run));
  const auto logged = nlohmann::json::parse(log.facts_json());
  const RunState state = state_of(options.run);
  if (state.is_being_written && options.out.empty())
    throw OutputError(options.run.string() + ": another steplapse is writing this run; name another `out`");

  const Facts facts = log.facts();
  Rendered rendered{.folder = options.out.empty() ? options.run : options.out};
  std::vector<FrameRequest> requests = requests_from(log, facts, state, options, rendered);
  if (!state.has_end() || state.is_being_written)
    warn(options.run.string() + ": " + state.text() + "; its log has " + counted(rendered.steps, "step"));

  rendered.decoder = options.decoder.value_or(logged.value("decoder", "full"));
  std::vector<std::string> names;
  if (rendered.final) names.push_back("full");
  if (requests.size() > names.size()) names.push_back(rendered.decoder);
  confinement_writes(rendered.folder);
  set_threads(options.running.threads > 0 ? options.running.threads : std::stoi(logged.value("threads", "0")));
  const Decoders decoders = load(options, made_with(options.run, log.facts_json()), facts, names, warn);
  rendered.model = decoders.bundle.manifest().name;
  make_frames(std::move(requests), decoders, facts, rendered);
  rendered.total_seconds = watch.seconds();
  return rendered;
}

}  // namespace steplapse
