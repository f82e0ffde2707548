#pragma once

#include <c10/core/Device.h>
#include <torch/csrc/jit/api/module.h>

#include <set>
#include <string>

namespace steplapse {

/// Reads a program: a TorchScript archive whose parameters and buffers are empty, to be filled with weights later.
///
/// An archive is untrusted code. torch::jit::load runs some of it before any forward (`__setstate__`, default values of
/// arguments, constants of classes), and libtorch's unpickler believes what it reads. So this function takes the
/// archive apart itself. It checks the syntax of the code, so that compiling the code runs nothing. It has libtorch's
/// SourceImporter compile the code, and checks each operator of each function against src/model/allowed_operators.txt.
/// It builds the objects from the pickled values by the types that the code declares, without a call.
///
/// @param path     names the file in messages
/// @param archive  the bytes of the file
/// @param device   the device of the archive's constants; the parameters are empty and on the CPU
/// @throws BundleError  a check failed; nothing of the archive has run
torch::jit::Module read_program(const std::string& path, const std::string& archive, at::Device device = at::kCPU);

}  // namespace steplapse
