# add_layer(NAME [USES layer...] [LIBRARIES lib...])
#   Makes the static library NAME from the .c files of the folder it is called in and below, links
#   only the named layers (an illegal call is a link error), and registers the unit tests in
#   tests/unit/NAME: one cmocka program per file.
function(add_layer name)
  cmake_parse_arguments(ARG "" "" "USES;LIBRARIES" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
  list(REMOVE_ITEM sources ${CMAKE_CURRENT_SOURCE_DIR}/main.c)
  add_library(${name} STATIC ${sources})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PUBLIC ${ARG_USES} ${ARG_LIBRARIES} PRIVATE expertd_warnings)
  if(EXPERTD_TESTS)
    file(GLOB tests CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/unit/${name}/test_*.c)
    foreach(file ${tests})
      add_unit_test(${file} ${name})
    endforeach()
  endif()
endfunction()

# add_unit_test(FILE LAYER): one cmocka program, run from the project's root.
function(add_unit_test file layer)
  get_filename_component(stem ${file} NAME_WE)
  string(REPLACE "test_" "" stem ${stem})
  set(target unit_${layer}_${stem})
  add_executable(${target} ${file})
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${target} PRIVATE ${layer} test_support expertd_warnings)
  set_target_properties(${target} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests/unit)
  add_test(NAME unit/${layer}/${stem} COMMAND ${target} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
endfunction()

# add_fuzzer(FILE LAYER): a libFuzzer target (clang, preset fuzz) on top of LAYER; the seed corpus is
# tests/fuzz/corpus/STEM. Without the fuzz preset it links a small driver that replays files, so
# that every compiler keeps the targets building and the seeds passing.
function(add_fuzzer file layer)
  get_filename_component(stem ${file} NAME_WE)
  add_executable(${stem} ${file})
  target_include_directories(${stem} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${stem} PRIVATE ${layer} expertd_warnings)
  set_target_properties(${stem} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests/fuzz)
  if(EXPERTD_FUZZ)
    target_link_options(${stem} PRIVATE -fsanitize=fuzzer)
  else()
    target_sources(${stem} PRIVATE ${PROJECT_SOURCE_DIR}/tests/support/fuzz_replay.c)
    string(REPLACE "fuzz_" "" short ${stem})
    add_test(NAME fuzz-seeds/${short}
      COMMAND ${stem} ${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${short}
      WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  endif()
endfunction()
