# With a CUDA build of libtorch, on a machine without a CUDA toolkit, a program links and runs, and loads libtorch_cuda
# although it names no symbol of it. Shown with stand-ins for CUDA's libraries: libtorch_cuda prints a line when it is
# loaded, and needs libcudart, which lies where only its own run path leads.
include(${CMAKE_CURRENT_LIST_DIR}/run.cmake)
file(REMOVE_RECURSE ${WORK})
set(torch ${WORK}/torch)
set(nvidia ${WORK}/nvidia)
file(MAKE_DIRECTORY ${torch}/lib ${nvidia})
file(CREATE_LINK ${TORCH}/include ${torch}/include SYMBOLIC)
file(GLOB libraries ${TORCH}/lib/*.so*)
list(FILTER libraries EXCLUDE REGEX "/lib(torch|c10)_cuda\\.so$")
foreach(library ${libraries})
  cmake_path(GET library FILENAME name)
  file(CREATE_LINK ${library} ${torch}/lib/${name} SYMBOLIC)
endforeach()

file(WRITE ${WORK}/cudart.cpp "int cuda_devices() { return 0; }")
file(WRITE ${WORK}/c10_cuda.cpp "int c10_cuda() { return 0; }")
file(WRITE ${WORK}/torch_cuda.cpp
     "#include <cstdio>\nint cuda_devices();\n"
     "static int loaded = std::printf(\"libtorch_cuda sees %d devices\\n\", cuda_devices());\n")
set(shared ${CXX} -shared -fPIC)
run(${shared} ${WORK}/cudart.cpp -o ${nvidia}/libcudart.so.13 -Wl,-soname,libcudart.so.13)
run(${shared} ${WORK}/c10_cuda.cpp -o ${torch}/lib/libc10_cuda.so -Wl,-soname,libc10_cuda.so)
run(${shared} ${WORK}/torch_cuda.cpp -o ${torch}/lib/libtorch_cuda.so -Wl,-soname,libtorch_cuda.so
    ${nvidia}/libcudart.so.13 -Wl,-rpath,${nvidia})

file(WRITE ${WORK}/CMakeLists.txt "cmake_minimum_required(VERSION 3.25)\nproject(cuda_link LANGUAGES CXX)\n"
     "include(${SOURCE}/cmake/libtorch.cmake)\nadd_executable(program main.cpp)\n"
     "target_compile_features(program PRIVATE cxx_std_20)\n"
     "target_link_libraries(program PRIVATE steplapse::libtorch)\n")
file(WRITE ${WORK}/main.cpp "#include <ATen/ops/ones.h>\n#include <cstdio>\n"
     "int main() { std::printf(\"%g on the CPU\\n\", at::ones({2, 3}).sum().item<double>()); }\n")
run(${CMAKE_COMMAND} -S ${WORK} -B ${WORK}/build -G ${GENERATOR} -D CMAKE_CXX_COMPILER=${CXX}
    -D STEPLAPSE_TORCH=${torch} -D CMAKE_EXE_LINKER_FLAGS=-Wl,--as-needed)
run(${CMAKE_COMMAND} --build ${WORK}/build)
run(${WORK}/build/program)
if(NOT output STREQUAL "libtorch_cuda sees 0 devices\n6 on the CPU\n")
  message(FATAL_ERROR "libtorch_cuda was not loaded")
endif()
