#include "views/report/html.h"

#include <openssl/evp.h>

#include <cctype>
#include <nlohmann/json.hpp>

#include "base/sha256.h"
#include "base/text.h"

namespace steplapse {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD

bool is_control(char character) {
  const auto byte = static_cast<unsigned char>(character);
  return (byte < 0x20 && character != '\n' && character != '\t') || byte == 0x7f;
}

std::string base64(std::string_view bytes) {
  std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  const int length =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(length));
  return text;
}

std::string bytes_of_hex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 2) bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return bytes;
}

}  // namespace

std::string html(std::string_view text) {
  std::string safe;
  for (const char character : is_utf8(text) ? std::string(text) : nfc(text)) {
    switch (character) {
      case '&': safe += "&amp;"; break;
      case '<': safe += "&lt;"; break;
      case '>': safe += "&gt;"; break;
      case '"': safe += "&quot;"; break;
      case '\'': safe += "&#39;"; break;
      default:
        if (is_control(character)) {
          safe += kReplacement;
        } else {
          safe += character;
        }
    }
  }
  return safe;
}

std::string bdi(std::string_view text) { return "<bdi>" + html(text) + "</bdi>"; }

std::string html_name(std::string_view name) { return html(escaped(name, std::string::npos)); }

std::string json_in_html(const nlohmann::ordered_json& json) {
  constexpr bool kAscii = true;
  std::string safe;
  for (const char character : json.dump(-1, ' ', kAscii, nlohmann::ordered_json::error_handler_t::replace)) {
    switch (character) {
      case '<': safe += "\\u003c"; break;
      case '>': safe += "\\u003e"; break;
      case '&': safe += "\\u0026"; break;
      default: safe += character;
    }
  }
  return safe;
}

std::string data_uri(std::string_view type, std::string_view bytes) {
  return "data:" + std::string(type) + ";base64," + base64(bytes);
}

std::string policy_hash(std::string_view content) { return "'sha256-" + base64(bytes_of_hex(sha256(content))) + "'"; }

}  // namespace steplapse
