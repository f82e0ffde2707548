# What the library links beside libtorch, for us and for those who link us. Installed with the package.
include_guard(DIRECTORY)
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
foreach(library sqlite3 libdeflate libseccomp libcrypto icu-uc cairo pangocairo libpng libwebp libwebpmux)
  pkg_check_modules(${library} REQUIRED IMPORTED_TARGET ${library})
endforeach()

# Not by pkg-config: on Debian 13 sentencepiece.pc wants protobuf's, which libsentencepiece-dev does not bring.
find_path(STEPLAPSE_SENTENCEPIECE_INCLUDE sentencepiece_processor.h REQUIRED)
find_library(STEPLAPSE_SENTENCEPIECE sentencepiece REQUIRED)
add_library(steplapse::sentencepiece INTERFACE IMPORTED)
target_include_directories(steplapse::sentencepiece INTERFACE ${STEPLAPSE_SENTENCEPIECE_INCLUDE})
target_link_libraries(steplapse::sentencepiece INTERFACE ${STEPLAPSE_SENTENCEPIECE})
