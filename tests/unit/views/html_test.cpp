#include "views/report/html.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

namespace steplapse {
namespace {

TEST(Html, MarkupBecomesText) {
  EXPECT_EQ(html("</script><a href=\"x\" id='y'>&amp;"),
            "&lt;/script&gt;&lt;a href=&quot;x&quot; id=&#39;y&#39;&gt;&amp;amp;");
}

TEST(Html, ControlCharactersAndBytesThatAreNoTextAreReplaced) {
  EXPECT_EQ(html(std::string_view("a\0b\x1b\n\tc", 7)),
            "a\xef\xbf\xbd"
            "b\xef\xbf\xbd\n\tc");
  EXPECT_EQ(html("a\xff"), "a\xef\xbf\xbd");
}

TEST(Html, NamesShowChangesOfWritingDirection) { EXPECT_EQ(html_name("a\u202egnp.exe"), "a\\u{202e}gnp.exe"); }

TEST(Html, JsonReadsTheSameAndEndsNoElement) {
  const nlohmann::ordered_json json{{"a", "</script><!-- & \u2028 é"}};
  const std::string text = json_in_html(json);
  EXPECT_EQ(nlohmann::ordered_json::parse(text), json);
  EXPECT_EQ(text.find_first_of("<>&"), std::string::npos);
  for (const char character : text) EXPECT_GE(character, ' ');
}

// RFC 4648, section 10; the hash is that of the CSP specification's own example, alert('Hello, world.');
TEST(Html, DataAndHashesAreBase64) {
  EXPECT_EQ(data_uri("image/png", "foob"), "data:image/png;base64,Zm9vYg==");
  EXPECT_EQ(data_uri("image/png", "foobar"), "data:image/png;base64,Zm9vYmFy");
  EXPECT_EQ(policy_hash("alert('Hello, world.');"), "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='");
}

}  // namespace
}  // namespace steplapse
