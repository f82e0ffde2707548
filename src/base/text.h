#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace steplapse {

/// All text is UTF-8. Where nothing else is said, bytes that are not count as one U+FFFD.

bool is_utf8(std::string_view text);

/// Unicode's composed form: one spelling for texts that look the same.
std::string nfc(std::string_view text);

/// Its runs of letters and digits, lower-cased.
std::vector<std::string> words(std::string_view text);

std::string lower_case(std::string_view text);

/// How many characters are to be inserted, deleted, replaced or swapped with their neighbour to get from one text to
/// the other, whatever their case (optimal string alignment).
size_t edit_distance(std::string_view a, std::string_view b);

/// The choice that `name` was probably meant to be: the first at the least edit distance, if that is at most a third of
/// the name (1 for short ones, 0 for a single letter).
std::optional<std::string> nearest(std::string_view name, const std::vector<std::string>& choices);

/// Untrusted text for a message: on one line, and no more than `max_characters` of it, then "…". What is no visible
/// character (controls, line ends, changes of writing direction) becomes \n or \u{202e}, other bytes \xff.
std::string escaped(std::string_view text, size_t max_characters = 80);
std::string in_quotes(std::string_view text, size_t max_characters = 80);  ///< the same in 'single quotes'

/// One word for a POSIX shell, in double quotes where it needs them. No control characters: `escaped` first.
std::string shell_quoted(std::string_view text);

std::string joined(const std::vector<std::string>& texts, std::string_view between);
std::string counted(int64_t number, std::string_view what);  ///< 1 step, 2 steps

/// Columns of a terminal: two for a character of East Asian or emoji width, none for an accent or joiner of its own.
size_t display_width(std::string_view text);

/// The words of a text in lines of so many columns, where no word is longer. The first line begins at column `begins`, the
/// others with `indent` blanks; the last has no line end.
std::string wrapped(std::string_view text, size_t columns, size_t indent = 0, size_t begins = 0);

/// A number for people: six digits at most.
std::string plain(double number);

/// A prompt as a part of a folder's name: a to z, 0 to 9 and single inner hyphens, at most 40 characters; accents are
/// left out. "empty" where nothing remains.
std::string slug(std::string_view prompt);

}  // namespace steplapse
