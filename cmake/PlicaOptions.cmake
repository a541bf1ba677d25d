# Options and flags of the whole build, in the interface target plica_flags.
option(PLICA_BUILD_TOOLS "the plica program" ${PROJECT_IS_TOP_LEVEL})
option(PLICA_BUILD_TESTS "the tests" ${PROJECT_IS_TOP_LEVEL})
option(PLICA_BUILD_BENCH "the kernel benchmarks (Google Benchmark)" OFF)
option(PLICA_BUILD_PYTHON "the Python package (nanobind, of the Python that Python_EXECUTABLE names)" OFF)
option(PLICA_DEVELOPER "warnings are errors" OFF)
option(PLICA_FUZZ "the targets of tests/fuzz with libFuzzer, everything with AddressSanitizer and UBSan (clang only)" OFF)
set(PLICA_SANITIZE "" CACHE STRING "sanitizers, as for -fsanitize=: address,undefined or thread")

option(PLICA_BUILD_SHARED "libplica.so" ON)
option(PLICA_BUILD_STATIC "libplica.a" ON)
option(PLICA_INSTALL "rules to install" ${PROJECT_IS_TOP_LEVEL})
# Counts up with every release that breaks the binary interface.
set(PLICA_SOVERSION 0)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
# What libplica exports is marked (engine/core/api.h).
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release)
endif()

find_program(PLICA_CCACHE ccache)
if(PLICA_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${PLICA_CCACHE})
endif()

add_library(plica_flags INTERFACE)
target_include_directories(plica_flags INTERFACE ${PROJECT_SOURCE_DIR})
# -Wrestrict: gcc 12 warns of "literal" + std::to_string(i) (gcc bug 105651).
target_compile_options(plica_flags INTERFACE -Wall -Wextra -Wno-missing-field-initializers
                       $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict> $<$<BOOL:${PLICA_DEVELOPER}>:-Werror>)
# Nothing here reads errno after a mathematical function, or the floating-point exception flags; without them loops over
# sqrt, floor and comparisons become vector code. No result changes.
target_compile_options(plica_flags INTERFACE -fno-math-errno -fno-trapping-math)
if(PLICA_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "PLICA_FUZZ needs clang, for libFuzzer: use the preset fuzz, or -D CMAKE_CXX_COMPILER=clang++-16")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
endif()
if(PLICA_SANITIZE)
  # Everywhere, the generated code and the tests included: half-instrumented containers give false reports.
  add_compile_options(-fsanitize=${PLICA_SANITIZE} -fno-omit-frame-pointer)
  # gcc 12 loses sight of what is initialized among the checks.
  target_compile_options(plica_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  add_link_options(-fsanitize=${PLICA_SANITIZE})
endif()
