#pragma once

#include <c10/core/Device.h>

#include <memory>
#include <string>

#include "model/bundle_folder.h"
#include "model/network.h"

namespace steplapse {

/// How a program gives what it answers.
enum class AnswerShape { tensor, tuple };

/// A module of a bundle as TorchScript: its program, looked through before any of it runs, with its weights put in.
/// @param title   for messages: "text encoder", "decoder 'full'"
/// @param output  what the output is called; of a tuple, with _0, _1, ... behind
/// @throws BundleError  what was refused and why; MemoryError
std::unique_ptr<Network> load_torchscript(const BundleFolder& folder, const Manifest::Module& module, at::Device device,
                                          const std::string& title, const std::string& output, AnswerShape shape);

}  // namespace steplapse
