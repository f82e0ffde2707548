#pragma once

#include <cstddef>

namespace steplapse {

/// The present width of the terminal behind a descriptor, in columns. Where it is unknown: COLUMNS, else 80.
size_t terminal_columns(int descriptor);

/// Its present height, in rows; where it is unknown: 24.
size_t terminal_rows(int descriptor);

/// Whether a terminal is behind a descriptor, and one that knows escape sequences.
bool shows_colours(int descriptor);

/// Whether the terminal behind a descriptor shows pictures by kitty's graphics protocol. It is asked, as that protocol says;
/// one that does not answer within a fifth of a second does not.
bool shows_kitty_pictures(int descriptor);

/// The width for text on standard output, in columns: 80 where that is no terminal, so that files do not depend on one.
size_t output_columns();

}  // namespace steplapse
