# The warning set of the style guide, as one PRIVATE interface target. -Werror comes from the
# presets (EXPERTD_WERROR), never by default: people who only build must not be stopped by a
# newer compiler's opinion.
add_library(expertd_warnings INTERFACE)
target_compile_options(expertd_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wformat=2 -Wundef -Wvla
  -Walloca -Wcast-qual -Wstrict-prototypes -Wmissing-prototypes -Wmissing-declarations
  -Wold-style-definition -Wpointer-arith -Wwrite-strings -Wimplicit-fallthrough
  -Wnull-dereference -Wdouble-promotion -Wfloat-equal -Wredundant-decls -Wnested-externs
  -Wbad-function-cast -Wunused-macros -Wdate-time)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  target_compile_options(expertd_warnings INTERFACE
    -Wformat-signedness -Wcast-align=strict -Wlogical-op -Wduplicated-cond -Wduplicated-branches
    -Wjump-misses-init -Walloc-zero -Warith-conversion -Wframe-larger-than=16384)
elseif(CMAKE_C_COMPILER_ID MATCHES "Clang")
  target_compile_options(expertd_warnings INTERFACE
    -Wcast-align -Wcomma -Wassign-enum -Wmissing-variable-declarations -Wthread-safety
    -Wshorten-64-to-32)
endif()
if(EXPERTD_WERROR)
  target_compile_options(expertd_warnings INTERFACE -Werror)
endif()
