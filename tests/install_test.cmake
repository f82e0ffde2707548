# An installed tree runs after it was moved, and the example is built against it, as a user of the library would.
include(${CMAKE_CURRENT_LIST_DIR}/run.cmake)
file(REMOVE_RECURSE ${WORK})
set(tree "${WORK}/a tree that was moved")
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/tree)
file(RENAME ${WORK}/tree ${tree})

run(${tree}/bin/steplapse --version)

run(${CMAKE_COMMAND} -S ${SOURCE}/tests/example -B ${WORK}/example -G ${GENERATOR} -D CMAKE_BUILD_TYPE=${BUILD_TYPE}
    -D CMAKE_CXX_COMPILER=${CXX} -D CMAKE_PREFIX_PATH=${tree})
run(${CMAKE_COMMAND} --build ${WORK}/example)
run(${WORK}/example/example)
