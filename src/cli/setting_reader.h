#pragma once

#include <string>
#include <vector>

#include "studies/sweep/sweep_cells.h"

namespace steplapse {

/// How a flag of generate's takes several values in a sweep.
enum class AxisValues {
  numbers,  ///< at commas, and as ranges
  names,    ///< at commas
  whole,    ///< a flag for each: a text, a file, or what is a list or an interval itself
};

/// A setting that a sweep may have, and the flag of it.
struct SweepSetting {
  std::string name, flag;  ///< guidance_scale, --guidance-scale
  std::string type, help;
  AxisValues values;
  std::string usual;  ///< what the flag alone means; "": it wants a value
};

/// All flags of generate that name the picture or the sampling, and what ends a run, but for prompt and seed.
const std::vector<SweepSetting>& sweep_settings();

/// Sets them by their names, and `prompt` and `seed`. It keeps one parser and the files that it has read.
ReadSetting setting_reader();

}  // namespace steplapse
