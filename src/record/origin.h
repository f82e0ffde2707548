#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace steplapse {

/// What makes the steps of a run. Where two of these differ, the same run may differ in its last bits.
struct Machine {
  std::string version = {}, libtorch = {}, compiler = {};  ///< of the program
  std::string device = {};                                 ///< cpu, cuda:0
  std::string compute_dtype = {};                          ///< the denoiser's
  int64_t threads = 0;                                     ///< of the CPU
  std::string cpu = {};                                    ///< its model
  std::string cpu_capability = {};                         ///< the instruction set that libtorch uses: AVX2
  std::optional<std::string> aten_cpu_capability,
      onednn_max_cpu_isa;  ///< ATEN_CPU_CAPABILITY and ONEDNN_MAX_CPU_ISA, where they are set

  bool operator==(const Machine&) const = default;
};

/// What this process computes with on the CPU. The device and its dtype are the bundle's.
Machine machine_here();

/// Whether sums on the CPU may round otherwise than they did there: by other instructions, another build, other threads.
bool rounds_otherwise(const Machine& then);

/// Every value under its key in the log.
nlohmann::ordered_json machine_json(const Machine& machine);

/// The other way. What an older log lacks is empty.
Machine machine_of(const nlohmann::json& keys);

/// "threads 1, now 2": what differs, for people, of what is known of both.
std::vector<std::string> differences(const Machine& then, const Machine& now);

/// Where a run comes from and what it leaves: what is needed, beside its facts, to go on with it.
struct Origin {
  Machine machine = {};
  std::string model = {}, model_sha256 = {};
  std::filesystem::path model_path = {};  ///< of the bundle, absolute; empty in a log before version 5
  std::string frames = {};                ///< which frames it makes, as JSON (views/selection_json.h); as model_path
  std::string number = {};                ///< what frame files are numbered by: steps or frames
  std::optional<int64_t> stop_at = {};    ///< the step that it is to end after; none: the last one
  std::optional<double> stop_when_converged = {},
                        would_stop = {};  ///< thresholds: where it has converged it is to end, or to say so at its end
  std::string decoder = {};               ///< of the frames
  std::optional<std::filesystem::path> picture = {};  ///< where the final picture goes besides, absolute
  int64_t runs = 1;                                   ///< that the command made
  std::optional<int64_t> max_batch = {};              ///< runs in one denoiser call; none: as many as fit into memory
  std::string sandbox = {};                           ///< base/confinement.h; empty in a log before it was written
  std::string started = {};                           ///< date and time
};

/// Every value under its key in the table `run`.
nlohmann::ordered_json origin_json(const Origin& origin);

/// The other way; what an older log lacks is empty.
/// @throws nlohmann::json::exception, std::invalid_argument  a value that is none
Origin origin_of(const nlohmann::json& logged);

/// A prompt of some steps, and what the network is told of it.
struct PromptText {
  std::string kind = {};  ///< prompt, negative_prompt
  int64_t first_step = 1;
  std::optional<int64_t> last_step = {};  ///< none: to the end
  std::optional<std::string> text = {};   ///< none: no negative prompt was given
  std::string tokens = {};                ///< JSON: for each tokenizer its chunks, each with `ids` and `weights`
};

/// That a run was gone on with.
struct Resumption {
  std::string date = {};
  int64_t step = 0;                                          ///< the first step that was made then
  std::optional<std::string> ended = {}, ended_reason = {};  ///< how the log said that the run had ended before
  Machine machine = {};
};

}  // namespace steplapse
