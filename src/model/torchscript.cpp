#include "model/torchscript.h"

#include <torch/csrc/jit/runtime/graph_executor.h>

#include <future>
#include <set>

#include "base/aten.h"
#include "base/machine.h"
#include "base/mapped_file.h"
#include "base/text.h"
#include "model/libtorch_errors.h"
#include "model/libtorch_warnings.h"
#include "model/program.h"
#include "model/weights.h"
#include "steplapse/error.h"

namespace steplapse {
namespace {

namespace jit = torch::jit;

/// Sets each parameter and buffer of the program to the tensor of its name.
void place_weights(const std::string& path, jit::Module& module, const std::string& prefix, NamedTensors& tensors) {
  const auto type = module.type();
  for (size_t i = 0; i < type->numAttributes(); ++i) {
    const std::string name = prefix + type->getAttributeName(i);
    if (auto slot = module._ivalue()->getSlot(i); slot.isModule()) {
      jit::Module child = slot.toModule();
      place_weights(path, child, name + ".", tensors);
    } else if (slot.isTensor()) {
      const auto found = tensors.find(name);
      if (found == tensors.end()) throw BundleError(path + ": its " + in_quotes(name) + " has no tensor in model.json");
      module._ivalue()->setSlot(i, found->second);
    }
  }
}

/// Checks that the program has a parameter or buffer for each tensor of the weights.
void check_places(const std::string& path, const jit::Module& module, const NamedTensors& tensors) {
  std::set<std::string> places;
  for (const auto& parameter : module.named_attributes(/*recurse=*/true)) {
    if (parameter.value.isTensor()) places.insert(parameter.name);
  }
  for (const auto& [name, ignored] : tensors) {
    if (!places.contains(name))
      throw BundleError(path + ": has no " + in_quotes(name) + ", model.json has a tensor for it");
  }
}

/// What was computed with a file that another process has cut short is wrong.
void check_files_are_whole() {
  if (const auto path = cut_mapped_file())
    throw BundleError(*path + ": was cut short while it was in use; fetch or export the bundle again");
}

jit::Module load_module(const BundleFolder& folder, const Manifest::Module& spec, at::Device device,
                        const std::function<void()>& check) {
  const std::string program_path = (folder.path() / spec.program).string();
  const std::string program = folder.read(spec.program);
  auto weights = std::async(std::launch::async, [&] { return map_weights(folder, spec); });  // meanwhile
  check();
  jit::Module module = read_program(program_path, program, device);
  NamedTensors tensors = weights.get();
  const NamedTensors mapped = tensors;  // until it is known that no file was cut short
  const at::ScalarType dtype = dtype_named(spec.compute_dtype);
  if (device.is_cpu()) check_cast(program_path, tensors, dtype, available_memory());
  for (auto& [name, tensor] : tensors) {
    tensor = tensor.to(device, tensor.is_floating_point() ? dtype : tensor.scalar_type());
  }
  check_places(program_path, module, tensors);
  place_weights(program_path, module, "", tensors);
  check_files_are_whole();
  module.eval();
  return module;
}

/// Turns off profiling runs and fusion, so that the first call answers as the others do. For the whole process.
void settle_executor() {
  jit::getExecutorMode() = true;
  jit::getProfilingMode() = false;
}

/// Copies a device's tensor to pinned memory of the CPU, which the device writes to directly.
Tensor to_pinned(const Tensor& tensor) {
  const Tensor pinned = at::empty(tensor.sizes(), tensor.options().device(at::kCPU).pinned_memory(true));
  return pinned.copy_(tensor);
}

class TorchScriptNetwork : public Network {
 public:
  TorchScriptNetwork(jit::Module module, at::Device device, std::string title, std::string output, AnswerShape shape)
      : module_(std::move(module)),
        device_(device),
        title_(std::move(title)),
        output_(std::move(output)),
        shape_(shape) {}

  std::vector<NamedTensor> answer(const std::vector<NamedTensor>& inputs) override {
    const c10::IValue answer = forward(inputs);
    check_files_are_whole();
    if (shape_ == AnswerShape::tensor) return {{output_, tensor_of(answer)}};
    if (!answer.isTuple())
      throw Error(ExitCode::run_failed, title_ + ": answered " + answer.tagKind() + ", expected a tuple");
    std::vector<NamedTensor> outputs;
    for (const c10::IValue& each : answer.toTupleRef().elements()) {
      outputs.push_back({output_ + "_" + std::to_string(outputs.size()), tensor_of(each)});
    }
    return outputs;
  }

 private:
  /// Moves the inputs to the device and passes them by position.
  c10::IValue forward(const std::vector<NamedTensor>& inputs) {
    return with_libtorch_errors(title_, [&] {
      const c10::InferenceMode inference;
      const LibtorchWarnings warnings;
      std::vector<c10::IValue> moved;
      for (const auto& [name, input] : inputs) {
        // A copy from pinned memory is asynchronous; the device keeps it in order with its other work.
        moved.emplace_back(device_.is_cpu() ? input : input.pin_memory().to(device_, /*non_blocking=*/true));
      }
      return module_.forward(std::move(moved));
    });
  }

  /// The answer as an ordinary tensor on the CPU; it must be float32.
  Tensor tensor_of(const c10::IValue& value) const {
    const std::string found = value.isTensor() ? at::toString(value.toTensor().scalar_type()) : value.tagKind();
    if (found != "Float") {
      throw Error(ExitCode::run_failed, title_ + ": answered " + found + ", expected a float32 tensor");
    }
    if (value.toTensor().layout() != at::kStrided)
      throw Error(ExitCode::run_failed, title_ + ": answered a sparse tensor, expected a dense one");
    return with_libtorch_errors(title_, [&] {
      const Tensor answer = device_.is_cpu() ? value.toTensor() : to_pinned(value.toTensor());
      return answer.is_inference() ? answer.clone()
                                   : answer;  // outside of inference mode, so the clone is an ordinary tensor
    });
  }

  jit::Module module_;
  at::Device device_;
  std::string title_, output_;
  AnswerShape shape_;
};

}  // namespace

std::unique_ptr<Network> load_torchscript(const BundleFolder& folder, const Manifest::Module& module, at::Device device,
                                          const std::string& title, const std::string& output, AnswerShape shape,
                                          const std::function<void()>& check) {
  settle_executor();
  return std::make_unique<TorchScriptNetwork>(load_module(folder, module, device, check), device, title, output, shape);
}

}  // namespace steplapse
