#pragma once

#include <cstddef>

namespace steplapse {

/// The width of the terminal behind a descriptor as it is now; of what does not tell, COLUMNS, else 80.
size_t terminal_columns(int descriptor);

/// For what goes to standard output: 80 where that is no terminal, so that a file's text does not depend on one.
size_t output_columns();

}  // namespace steplapse
