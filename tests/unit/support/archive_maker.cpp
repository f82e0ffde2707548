#include "support/archive_maker.h"

#include <caffe2/serialize/inline_container.h>

namespace steplapse::test_support {

std::string pickled_object(const std::string& name, const std::string& dict) {
  return "c__torch__\n" + name + "\n)\x81" + dict + "b";
}

std::string pickled_text(const std::string& text) {
  std::string pickled = "X";
  pickled += static_cast<char>(text.size());
  pickled.append(3, '\0');
  return pickled.append(text);
}

std::string pickled_dict(const std::map<std::string, std::string>& items) {
  std::string text = "}(";
  for (const auto& [key, value] : items) text += pickled_text(key) + value;
  return text + "u";
}

std::string pickled_tensor(const std::string& key, int elements, int size, int stride, int offset) {
  const auto number = [](int value) { return std::string{'K', static_cast<char>(value)}; };
  return "ctorch._utils\n_rebuild_tensor_v2\n((" + pickled_text("storage") + "ctorch\nFloatStorage\n" +
         pickled_text(key) + pickled_text("cpu") + number(elements) + "tQ" + number(offset) + number(size) + "\x85" +
         number(stride) + "\x85\x89}tR";
}

std::string pickle_of(const std::string& value) { return "\x80\x02" + value + "."; }

std::string archive_of(const Entries& entries, bool compress) {
  std::string bytes;
  {
    caffe2::serialize::PyTorchStreamWriter writer([&](const void* data, size_t size) {
      bytes.append(static_cast<const char*>(data), size);
      return size;
    });
    writer.setMinVersion(4);  // since then `div` divides
    for (const auto& [name, content] : entries) writer.writeRecord(name, content.data(), content.size(), compress);
    writer.writeEndOfFile();
  }
  return bytes;
}

Entries program_of(const std::string& code) {
  return {{"code/__torch__.py", code}, {"data.pkl", pickle_of(pickled_object("M"))}, {"constants.pkl", pickle_of(")")}};
}

std::string forward_of(const std::string& lines) {
  return "class M(Module):\n  __parameters__ = []\n  __buffers__ = []\n"
         "  def forward(self: __torch__.M, x: Tensor) -> Tensor:\n" +
         lines;
}

}  // namespace steplapse::test_support
