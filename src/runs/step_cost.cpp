#include "runs/step_cost.h"

#include <ATen/record_function.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string_view>
#include <variant>

#include "base/aten.h"
#include "base/machine.h"
#include "base/stopwatch.h"
#include "base/text.h"
#include "runs/batch_memory.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

/// What is seen of a program's operators while it runs. Those that an operator is made of are left out: which they are, and
/// what they take for themselves, may be otherwise at another size.
struct Seen {
  struct Alive {
    c10::weak_intrusive_ptr<c10::StorageImpl> storage;
    int64_t bytes;
  };
  int depth = 0;
  double attention_seconds = 0;
  std::vector<Alive> alive;  // what operators gave and somebody still holds
  int64_t most_bytes = 0;

  void add(const Tensor& tensor) {
    if (!tensor.defined() || !tensor.has_storage()) return;
    const auto* storage = tensor.storage().unsafeGetStorageImpl();
    const auto same = [&](const Alive& each) { return each.storage._unsafe_get_target() == storage; };
    if (std::any_of(alive.begin(), alive.end(), same)) return;
    alive.push_back({tensor.storage().getWeakStorageImpl(), static_cast<int64_t>(tensor.storage().nbytes())});
  }
  void count() {
    std::erase_if(alive, [](const Alive& each) { return each.storage.expired(); });
    int64_t bytes = 0;
    for (const Alive& each : alive) bytes += each.bytes;
    most_bytes = std::max(most_bytes, bytes);
  }
};

thread_local Seen* seen = nullptr;  // a callback is no closure

struct Begun : at::ObserverContext {
  bool attends_to_itself = false;
  Stopwatch since_start;
};

bool attends_to_itself(const at::RecordFunction& function) {
  if (std::string_view(function.name()) != "aten::scaled_dot_product_attention") return false;
  const auto inputs = function.inputs();
  return inputs[0].toTensor().size(-2) == inputs[1].toTensor().size(-2);  // as many queries as keys
}

std::unique_ptr<at::ObserverContext> begin_operator(const at::RecordFunction& function) {
  auto begun = std::make_unique<Begun>();
  begun->attends_to_itself = seen->depth++ == 0 && attends_to_itself(function);
  return begun;
}

void end_operator(const at::RecordFunction& function, at::ObserverContext* context) {
  if (--seen->depth > 0) return;
  const auto& begun = static_cast<const Begun&>(*context);
  if (begun.attends_to_itself) seen->attention_seconds += begun.since_start.seconds();
  for (const c10::IValue& output : function.outputs()) {
    if (output.isTensor()) seen->add(output.toTensor());
    if (!output.isTensorList()) continue;
    for (const Tensor& tensor : output.toTensorVector()) seen->add(tensor);
  }
  seen->count();
}

/// Sizes to ask about, smallest first, all of them smaller than this one.
std::vector<Manifest::Size> smaller_sizes(const Manifest& manifest, Manifest::Size size) {
  const auto pixels = [](Manifest::Size each) { return each.width * each.height; };
  std::vector<Manifest::Size> sizes;
  if (const auto* list = std::get_if<std::vector<Manifest::Size>>(&manifest.allowed_sizes)) {
    sizes = *list;
    std::sort(sizes.begin(), sizes.end(), [&](auto left, auto right) { return pixels(left) < pixels(right); });
  } else {
    const auto& range = std::get<Manifest::SizeRange>(manifest.allowed_sizes);
    const auto allowed = [&](int64_t side) {
      return std::clamp((side + range.multiple - 1) / range.multiple * range.multiple, range.min, range.max);
    };
    const Manifest::Size usual = manifest.default_size;
    for (int64_t share = 1; pixels(size) > pixels(usual) * share * share / 16; share *= 2) {
      sizes.push_back({allowed(usual.width * share / 4), allowed(usual.height * share / 4)});
    }
  }
  std::erase_if(sizes, [&](auto each) { return 2 * pixels(each) > pixels(size); });
  sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
  return sizes;
}

std::string gigabytes(int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f GB", static_cast<double>(bytes) / 1e9);
  return text;
}

}  // namespace

Taken taken_by(int64_t cells, const std::function<void()>& call) {
  Seen now;
  seen = &now;
  const auto handle = at::addThreadLocalCallback(at::RecordFunctionCallback(begin_operator, end_operator)
                                                     .needsInputs(true)
                                                     .needsOutputs(true)
                                                     .scopes({at::RecordScope::FUNCTION}));
  const Stopwatch since_start;
  try {
    call();
  } catch (...) {
    at::removeCallback(handle);
    throw;
  }
  const double seconds = since_start.seconds();
  at::removeCallback(handle);
  return {cells, seconds, std::min(now.attention_seconds, seconds), now.most_bytes};
}

double seconds_at(int64_t cells, const Taken& taken) {
  const double times = static_cast<double>(cells) / static_cast<double>(taken.cells);
  return times * (taken.seconds - taken.attention_seconds) + times * times * taken.attention_seconds;
}

int64_t bytes_at(int64_t cells, const Taken& small, const Taken& larger) {
  const double each = static_cast<double>(larger.bytes - small.bytes) / static_cast<double>(larger.cells - small.cells);
  return static_cast<int64_t>(std::max(0.0, each) * static_cast<double>(cells));
}

std::string rough_time(double seconds) {
  const double minutes = seconds / 60;
  if (minutes < 90) return "about " + counted(std::lround(minutes), "minute");
  if (minutes < 48 * 60) return "about " + counted(std::lround(minutes / 60), "hour");
  return "about " + counted(std::lround(minutes / 60 / 24), "day");
}

std::vector<std::string> check_bytes(const std::string& what, int64_t bytes, int64_t available, int64_t with_swap) {
  if (bytes <= available) return {};
  const std::string text = what + " takes " + gigabytes(bytes) + " of memory beside the weights or more, and " +
                           gigabytes(available) + " are free";
  if (bytes <= with_swap) return {text + ": it will swap, which is slow; a smaller `size` needs less"};
  throw MemoryError(text + "; a smaller `size` or a bundle exported with a smaller dtype needs less");
}

std::vector<std::string> check_cost(const Bundle& bundle, const Plan& plan, const Guidance& guidance) {
  const Manifest& manifest = bundle.manifest();
  const Manifest::Size usual = manifest.default_size;
  if (plan.width * plan.height < 2 * usual.width * usual.height) return {};

  // Larger and larger, until the time is that of arithmetic: small ones take as long whatever their size.
  constexpr double kLongEnough = 0.1;
  std::vector<Taken> asked, decoded;
  for (const Manifest::Size size : smaller_sizes(manifest, {plan.width, plan.height})) {
    const int64_t height = size.height / manifest.downscale, width = size.width / manifest.downscale;
    const Tensor x = at::randn({1, manifest.latent_channels, height, width}, at::detail::createCPUGenerator(0));
    const auto ask = [&] { ask_once(bundle, plan.recipe, guidance, x); };
    if (asked.empty()) ask();  // a program's first call takes longer
    asked.push_back(taken_by(height * width, ask));
    if (decoded.size() < 2) decoded.push_back(taken_by(height * width, [&] { bundle.decode("full", x); }));
    if (asked.size() > 1 && asked.back().seconds > std::max(kLongEnough, 2 * asked[asked.size() - 2].seconds)) break;
  }
  if (asked.size() < 2) return {};

  const std::string place = std::to_string(plan.width) + "x" + std::to_string(plan.height);
  const int64_t cells = plan.width / manifest.downscale * (plan.height / manifest.downscale);
  std::vector<std::string> warnings;
  if (bundle.device() == "cpu") {
    const int64_t available = available_memory(), with_swap = most_memory();
    const auto check = [&](const std::string& what, const std::vector<Taken>& taken) {
      const int64_t bytes = bytes_at(cells, taken[taken.size() - 2], taken.back());
      for (const auto& warning : check_bytes(what + place, bytes, available, with_swap)) warnings.push_back(warning);
    };
    check("a step at ", asked);
    check("decoding a picture of ", decoded);
  }
  const double seconds = sampler_named(plan.recipe.sampler).calls_per_step * seconds_at(cells, asked.back());
  if (seconds > 60)
    warnings.push_back("a step at " + place + " will take " + rough_time(seconds) + "; a smaller `size` takes less");
  return warnings;
}

}  // namespace steplapse
