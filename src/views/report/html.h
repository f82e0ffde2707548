#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace steplapse {

// Whatever people wrote becomes text of a page, and never a part of its markup.

/// Text between tags and in quoted attributes. Control characters become U+FFFD, but for line ends and tabs; invalid UTF-8
/// too.
std::string html(std::string_view text);

/// The same in an element that keeps its writing direction to itself.
std::string bdi(std::string_view text);

/// An untrusted name in one line, for places that no element can isolate: changes of writing direction are shown as
/// \u{202e}, as in messages.
std::string html_name(std::string_view name);

/// JSON as the content of a script element: in ASCII, and without < > &.
std::string json_in_html(const nlohmann::ordered_json& json);

/// Bytes as the address of an image that the page itself holds. @param type  image/png
std::string data_uri(std::string_view type, std::string_view bytes);

/// 'sha256-...': lets a content security policy accept exactly this script or style.
std::string policy_hash(std::string_view content);

}  // namespace steplapse
