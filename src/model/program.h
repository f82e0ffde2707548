#pragma once

#include <c10/core/Device.h>
#include <torch/csrc/jit/api/module.h>

#include <set>
#include <string>

namespace steplapse {

/// Reads a program: a TorchScript archive whose parameters and buffers are empty, to be filled from elsewhere.
///
/// An archive is untrusted code, and torch::jit::load runs some of it before any forward: `__setstate__`, default
/// values of arguments, constants of classes; and libtorch's unpickler believes what it reads. So the archive is taken
/// apart here: its code is compiled by libtorch's SourceImporter, after a look at its syntax that leaves nothing to
/// be run by that; every operator of every function is held against src/allowed_operators.txt; and the objects are
/// built from the pickled values by the types the code gives them, without a call.
///
/// @param path     for messages
/// @param archive  the bytes of the file
/// @param device   where its constants go; the parameters are empty on the CPU
/// @throws BundleError  what was refused and why; nothing of the archive has run
torch::jit::Module read_program(const std::string& path, const std::string& archive, at::Device device = at::kCPU);

}  // namespace steplapse
