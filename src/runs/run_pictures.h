#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "record/facts.h"
#include "record/history.h"
#include "record/run_state.h"
#include "runs/options.h"
#include "steplapse/bundle.h"
#include "views/frame_selection.h"
#include "views/picture.h"

namespace steplapse {

/// How a run's pictures are come by.
struct PictureOptions {
  std::optional<std::string> decoder;  ///< none: that of the run's own frames
  RunningOptions running;  ///< model: another bundle than the run's will do; threads 0: as many as the run had
  std::filesystem::path usual_model;  ///< that is looked at where none is named; may be empty
};

/// A run as far as its log goes, and its pictures: read from its frame files where they are there, else decoded from the
/// log. The denoiser is never asked. Decoders are loaded when the first picture needs one.
class RunPictures {
 public:
  /// @param run  its folder
  /// @throws UsageError   no run is there, or its log has no step
  /// @throws OutputError  its log is damaged
  RunPictures(const std::filesystem::path& run, PictureOptions options);
  RunPictures(RunPictures&&) noexcept = default;

  const std::filesystem::path& folder() const { return folder_; }
  const RunState& state() const { return state_; }
  const Facts& facts() const { return state_.facts; }
  const std::string& facts_json() const { return facts_json_; }  ///< as RunLog::facts_json
  const History& history() const { return history_; }            ///< with at least one step
  const std::vector<StepRow>& rows() const { return rows_; }     ///< of steps.csv; a row for each step of the history
  const std::string& decoder() const { return decoder_; }        ///< of all pictures but the final one

  /// The steps that have a picture of this kind, in their order: 1 to n for x0; 0 to n for xt; 2 to n for the diffs, each of
  /// which compares x0 with the step before; for cond and uncond those where the network was asked. Not `final`.
  std::vector<int64_t> steps(FrameKind kind) const;

  /// The level that belongs to the picture: for xt the one reached, else the one the step began with.
  const NoiseLevel& level(FrameKind kind, int64_t step) const;

  /// What the picture is decoded from, [1, C, h, w]. @param kind  not a diff  @param step  one of steps(kind)
  Tensor latents(FrameKind kind, int64_t step) const;

  /// @param step  one of steps(kind)
  /// @throws UsageError  a frame's file is damaged, or no bundle of the run is found to decode it
  Picture picture(FrameKind kind, int64_t step);

  /// The run's result, by the decoder `full`; where the run has no end, the last x0 is taken for it.
  Picture final_picture();

  /// Any latents of the run's family, [1, C, h, w], by decoder().
  Picture decoded(const Tensor& latents);

 private:
  Picture made(FrameKind kind, int64_t step);
  std::optional<Picture> in_file(FrameKind kind, int64_t step) const;
  Picture decoded_by(const std::string& decoder, const Tensor& latents, const std::string& what);
  const HistoryStep& at(int64_t step) const { return history_.steps.at(static_cast<size_t>(step - 1)); }

  struct Made {
    FrameKind kind;
    int64_t step;
    Picture picture;
  };

  std::filesystem::path folder_;
  PictureOptions options_;
  RunState state_;
  std::string facts_json_, decoder_;
  History history_;
  std::vector<StepRow> rows_;
  std::map<FrameKind, std::map<int64_t, std::string>> files_;  // by the decoder asked for
  std::map<std::string, Bundle> bundles_;                      // by decoder
  std::deque<Made> latest_;                                    // a diff needs the picture before
};

}  // namespace steplapse
