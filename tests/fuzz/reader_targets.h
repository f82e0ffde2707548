#pragma once

#include "targets.h"

namespace steplapse::fuzz {

// The readers of a bundle's programs: the bytes of the ZIP file, and entries in an archive that is sound otherwise. What is
// taken of pickles and code runs.
Target archive_target();
Target pickle_target();
Target code_target();

// The tokenizers. What is taken tokenizes texts.
Target sentencepiece_target();
Target clip_bpe_target();

/// A run's database, its bytes and its values. What is taken is fed to its sampler.
Target log_target();

}  // namespace steplapse::fuzz
