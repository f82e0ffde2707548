# An installed tree runs after it was moved, model and all. A user's example builds against it, sees each step of a run
# and ends it; without a bundle it says so in a line.
include(${CMAKE_CURRENT_LIST_DIR}/run.cmake)
file(REMOVE_RECURSE ${WORK})
set(tree "${WORK}/a tree that was moved")
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/tree)
file(RENAME ${WORK}/tree ${tree})

run(${tree}/bin/steplapse "red apple" --steps 3 --out ${WORK}/run)
if(NOT EXISTS ${WORK}/run/final.png)
  message(FATAL_ERROR "the installed program made no picture")
endif()

run(${CMAKE_COMMAND} -S ${SOURCE}/tests/build/example -B ${WORK}/example -G ${GENERATOR} -D CMAKE_BUILD_TYPE=${BUILD_TYPE}
    -D CMAKE_CXX_COMPILER=${CXX} -D CMAKE_PREFIX_PATH=${tree})
run(${CMAKE_COMMAND} --build ${WORK}/example)
run(${WORK}/example/example ${tree}/share/steplapse/models/emoji-64)
if(NOT output MATCHES "step 1: .*step 2: .*a picture of 64 x 64" OR output MATCHES "step 30: ")
  message(FATAL_ERROR "the example saw no steps, or did not end the run")
endif()
refuses(2 "usage: example BUNDLE, with steplapse ${VERSION}" ${WORK}/example/example)
file(MAKE_DIRECTORY ${WORK}/empty)
refuses(3 "example: ${WORK}/empty" ${WORK}/example/example ${WORK}/empty)
refuses(3 "example: ${WORK}/nowhere" ${WORK}/example/example ${WORK}/nowhere)
