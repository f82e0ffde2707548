# Every C++ file is as .clang-format says. Another version of clang-format formats otherwise, so it is the pinned one.
file(GLOB_RECURSE files ${SOURCE}/src/*.h ${SOURCE}/src/*.cpp ${SOURCE}/include/*.h ${SOURCE}/tests/*.h ${SOURCE}/tests/*.cpp)
execute_process(COMMAND ${CLANG_FORMAT} --dry-run --Werror ${files} ERROR_VARIABLE found RESULT_VARIABLE result)
if(result)
  message(FATAL_ERROR "${found}\nscripts/format.sh formats them")
endif()
