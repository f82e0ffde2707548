#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace steplapse {

// All text is UTF-8. Unless a function says otherwise, it takes each invalid sequence for one U+FFFD.

bool is_utf8(std::string_view text);

/// Unicode normalization form C, which gives texts that look the same one spelling.
std::string nfc(std::string_view text);

/// The words of a text: its runs of letters and digits, in lower case.
std::vector<std::string> words(std::string_view text);

std::string lower_case(std::string_view text);

/// The least number of characters to insert, delete, replace or swap with their neighbour to get from one text to the
/// other. Ignores case. (Optimal string alignment.)
size_t edit_distance(std::string_view a, std::string_view b);

/// The choice that `name` was probably meant to be: the one at the least edit distance, the first of several. None
/// where the distance is more than a third of the name's length (at least 1 is allowed; 0 for a name of one letter).
std::optional<std::string> nearest(std::string_view name, const std::vector<std::string>& choices);

/// How a message about an unknown name goes on: ", did you mean 'euler'?", or `otherwise` where no choice is near.
/// @param prefix  what all choices begin with, and `name` and `choices` lack: it would make all of them look alike
std::string did_you_mean(std::string_view name, const std::vector<std::string>& choices, std::string_view otherwise,
                         std::string_view prefix = "");

/// Untrusted text for a message: one line of at most `max_characters`, then "…" where it is cut. Invisible characters
/// (controls, line ends, changes of writing direction) are shown as \n or \u{202e}, invalid bytes as \xff.
std::string escaped(std::string_view text, size_t max_characters = 80);
std::string in_quotes(std::string_view text, size_t max_characters = 80);  ///< `escaped` in 'single quotes'

/// The text as one word for a POSIX shell, in double quotes where it needs them.
/// @param text  no control characters: call `escaped` first
std::string shell_quoted(std::string_view text);

std::string joined(const std::vector<std::string>& texts, std::string_view between);
std::string counted(int64_t number, std::string_view what);  ///< 1 step, 2 steps

/// The columns that a text takes on a terminal: two for a wide (East Asian or emoji) character, none for a combining
/// accent or a joiner.
size_t display_width(std::string_view text);

/// Folds a text into lines of at most `columns` columns (longer where a single word is). The first line begins at
/// column `begins`, the others with `indent` blanks. The last has no line end.
std::string wrapped(std::string_view text, size_t columns, size_t indent = 0, size_t begins = 0);

/// A number for people, with at most six significant digits.
std::string plain(double number);

/// A prompt as part of a folder's name: a to z, 0 to 9 and single hyphens inside, at most 40 characters. Accents are
/// left out. "empty" where nothing remains.
std::string slug(std::string_view prompt);

}  // namespace steplapse
