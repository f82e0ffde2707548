#pragma once

#include <cstddef>

namespace steplapse {

/// The present width of the terminal behind a descriptor, in columns. Where it is unknown: COLUMNS, else 80.
size_t terminal_columns(int descriptor);

/// The width for text on standard output, in columns: 80 where that is no terminal, so that files do not depend on one.
size_t output_columns();

}  // namespace steplapse
