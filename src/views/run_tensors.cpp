#include "views/run_tensors.h"

#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/aten.h"

namespace steplapse {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

using Steps = std::vector<const HistoryStep*>;

Steps chosen(const History& history, const std::set<int64_t>& at) {
  Steps steps;
  for (const HistoryStep& step : history.steps) {
    if (at.empty() || at.contains(step.step.number)) steps.push_back(&step);
  }
  return steps;
}

template <typename Number>
Tensor column(const Steps& steps, at::ScalarType type, const std::function<Number(const HistoryStep&)>& number) {
  std::vector<Number> numbers;
  for (const HistoryStep* step : steps) numbers.push_back(number(*step));
  return at::tensor(numbers, type);
}

/// [steps, C, h, w], of what is [1, C, h, w] at a step, or undefined. Undefined where it is so at all steps.
Tensor stacked(const Steps& steps, const std::function<Tensor(const HistoryStep&)>& tensor) {
  std::vector<Tensor> rows;
  bool any = false;
  for (const HistoryStep* step : steps) {
    Tensor row = tensor(*step);
    any = any || row.defined();
    rows.push_back(row.defined() ? row : at::full_like(step->step.x0, kNone));
  }
  return any ? at::cat(rows) : Tensor();
}

}  // namespace

const std::vector<std::string>& exported_names() {
  static const std::vector<std::string> names{"xt", "x0", "eps", "cond", "uncond"};
  return names;
}

NamedTensors run_tensors(const History& history, const std::set<std::string>& names, const std::set<int64_t>& at) {
  using Row = std::function<Tensor(const HistoryStep&)>;
  const std::map<std::string, Row> rows{
      {"xt", [](const HistoryStep& step) { return step.questions.front().x; }},
      {"x0", [](const HistoryStep& step) { return step.step.x0; }},
      {"eps", [&](const HistoryStep& step) { return guided_prediction(history.recipe, step).eps; }},
      {"cond", [](const HistoryStep& step) { return step.answers.front().cond; }},
      {"uncond", [](const HistoryStep& step) { return step.answers.front().uncond; }}};
  const Steps steps = chosen(history, at);
  NamedTensors tensors{
      {"step", column<int64_t>(steps, at::kLong, [](const HistoryStep& step) { return step.step.number; })},
      {"timestep", column<double>(steps, at::kDouble,
                                  [](const HistoryStep& step) { return step.level().timestep.value_or(kNone); })},
      {"alpha", column<double>(steps, at::kDouble, [](const HistoryStep& step) { return step.level().alpha; })},
      {"sigma", column<double>(steps, at::kDouble, [](const HistoryStep& step) { return step.level().sigma; })}};
  for (const std::string& name : names) {
    if (Tensor tensor = stacked(steps, rows.at(name)); tensor.defined()) tensors[name] = std::move(tensor);
  }
  if (history.latents.defined()) tensors["latents"] = history.latents;
  return tensors;
}

std::map<std::string, std::string> run_metadata(const Facts& facts, const std::string& facts_json) {
  std::map<std::string, std::string> texts;
  const auto add = [&](const std::string& key, const auto& value) {
    if (!value.is_null()) texts[key] = value.is_string() ? value.template get<std::string>() : value.dump();
  };
  const nlohmann::ordered_json settings = settings_json(facts);
  for (const auto& [key, value] : settings.items()) add(key, value);
  const auto logged = nlohmann::json::parse(facts_json);
  for (const char* key : {"model", "model_sha256", "version", "ended"}) {
    if (logged.contains(key)) add(key, logged.at(key));
  }
  return texts;
}

}  // namespace steplapse
