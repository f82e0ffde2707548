#include "studies/sweep/sweep_run.h"

#include <iostream>

#include "base/text.h"
#include "steplapse/error.h"
#include "studies/sweep/sweep_check.h"

namespace steplapse {

int run_sweep(const SweepRunOptions& options) {
  const Manifest manifest = read_manifest(options.running.model);
  const SweepCells cells(options.plan, manifest, options.read_setting);
  const auto refused = refused_kinds(options.plan, cells);
  std::cout << counted(static_cast<int64_t>(cells.size()), "cell") << std::endl;
  if (!options.dry_run) throw Error(ExitCode::run_failed, "running a sweep is not there yet");
  return 0;
}

}  // namespace steplapse
