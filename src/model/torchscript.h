#pragma once

#include <c10/core/Device.h>

#include <functional>
#include <memory>
#include <string>

#include "model/bundle_folder.h"
#include "model/network.h"

namespace steplapse {

/// The form of a program's result.
enum class AnswerShape { tensor, tuple };

/// Loads a module of a bundle as TorchScript: its program, checked before any of it runs, with its weights.
/// @param title   names the module in messages: "text encoder", "decoder 'full'"
/// @param output  the name of the output; the outputs of a tuple are called output_0, output_1, ...
/// @param check   called before this process reads the program; what it throws is passed on
/// @throws BundleError  the program or the weights were refused
/// @throws MemoryError  the weights do not fit into memory
std::unique_ptr<Network> load_torchscript(const BundleFolder& folder, const Manifest::Module& module, at::Device device,
                                          const std::string& title, const std::string& output, AnswerShape shape,
                                          const std::function<void()>& check);

}  // namespace steplapse
