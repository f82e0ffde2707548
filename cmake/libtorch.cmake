# Finds libtorch without its own CMake package, whose CUDA build stops where no CUDA toolkit is installed. Nothing
# here includes a CUDA header, so headers and libraries are all that is needed.
#
# STEPLAPSE_TORCH (CMake or environment): the folder with include/ and lib/: an official libtorch, or a Python package's
# torch folder; otherwise steplapse_torch_default. Gives the target steplapse::libtorch. Installed with the package.
include_guard(DIRECTORY)
set(STEPLAPSE_TORCH "$ENV{STEPLAPSE_TORCH}" CACHE PATH "libtorch: a folder with include/ and lib/")
set(steplapse_torch "${STEPLAPSE_TORCH}")
if(NOT steplapse_torch)
  set(steplapse_torch "${steplapse_torch_default}")
endif()
if(NOT EXISTS "${steplapse_torch}/include/ATen/ATen.h" OR NOT EXISTS "${steplapse_torch}/lib/libtorch_cpu.so")
  message(FATAL_ERROR "STEPLAPSE_TORCH='${steplapse_torch}' has no include/ATen/ATen.h and lib/libtorch_cpu.so; "
                      "run scripts/setup.sh, or set it to an official libtorch or a Python torch package's folder")
endif()

# CUDA's part registers itself when it is loaded, and no symbol of it is named here: the linker must not drop it.
set(steplapse_torch_libraries "")
foreach(library torch torch_cpu c10 torch_cuda c10_cuda)
  if(EXISTS "${steplapse_torch}/lib/lib${library}.so")
    string(APPEND steplapse_torch_libraries ",-l${library}")
  endif()
endforeach()

add_library(steplapse::libtorch INTERFACE IMPORTED)
target_include_directories(steplapse::libtorch SYSTEM INTERFACE
  "${steplapse_torch}/include" "${steplapse_torch}/include/torch/csrc/api/include")
# Words for the linker alone: CMake drops what repeats, and takes back at install the run path of link
# directories that it knows of. CUDA's own libraries lie in sibling packages, where libtorch_cuda's run path leads.
target_link_libraries(steplapse::libtorch INTERFACE
  "-Wl,-L${steplapse_torch}/lib,-rpath,${steplapse_torch}/lib"
  "-Wl,--push-state,--no-as-needed${steplapse_torch_libraries},--pop-state")
