# What the library links beside libtorch, for us and for those who link us. Installed with the package.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
foreach(library sentencepiece sqlite3 libdeflate libcrypto icu-uc)
  pkg_check_modules(${library} REQUIRED IMPORTED_TARGET ${library})
endforeach()
