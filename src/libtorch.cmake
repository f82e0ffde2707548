# Finds libtorch without its own CMake package, whose CUDA build stops where no CUDA toolkit is installed. Nothing
# here includes a CUDA header, so headers and libraries are all that is needed.
#
# STEPLAPSE_TORCH: the folder with include/ and lib/: an official libtorch, or a Python package's torch folder.
# Gives the target steplapse_libtorch.
set(STEPLAPSE_TORCH "$ENV{STEPLAPSE_TORCH}" CACHE PATH "libtorch: a folder with include/ and lib/")
if(NOT STEPLAPSE_TORCH)
  file(GLOB venv_torch "${CMAKE_CURRENT_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch")
  list(GET venv_torch 0 STEPLAPSE_TORCH)
endif()
if(NOT EXISTS "${STEPLAPSE_TORCH}/include/ATen/ATen.h" OR NOT EXISTS "${STEPLAPSE_TORCH}/lib/libtorch_cpu.so")
  message(FATAL_ERROR "STEPLAPSE_TORCH='${STEPLAPSE_TORCH}' has no include/ATen/ATen.h and lib/libtorch_cpu.so; "
                      "run scripts/setup.sh, or set it to an official libtorch or a Python torch package's folder")
endif()

add_library(steplapse_libtorch INTERFACE)
target_include_directories(steplapse_libtorch SYSTEM INTERFACE
  "${STEPLAPSE_TORCH}/include" "${STEPLAPSE_TORCH}/include/torch/csrc/api/include")
target_link_directories(steplapse_libtorch INTERFACE "${STEPLAPSE_TORCH}/lib")
# CUDA's part registers itself when it is loaded, and no symbol of it is named here: the linker must not drop it.
set(torch_libraries torch torch_cpu c10)
foreach(library torch_cuda c10_cuda)
  if(EXISTS "${STEPLAPSE_TORCH}/lib/lib${library}.so")
    list(APPEND torch_libraries ${library})
  endif()
endforeach()
list(TRANSFORM torch_libraries PREPEND "-l")
target_link_libraries(steplapse_libtorch INTERFACE
  "-Wl,--push-state,--no-as-needed" ${torch_libraries} "-Wl,--pop-state" "-Wl,-rpath,${STEPLAPSE_TORCH}/lib"
  # A CUDA build's own libraries live in sibling packages that libtorch_cuda finds by its own rpath.
  "-Wl,--allow-shlib-undefined")
