# OpenMP::OpenMP_CXX for clang without a second OpenMP runtime beside oneDNN's: the functions are those of gcc's libgomp,
# and pragmas are ignored, so parallel loops run in their thread.
file(GLOB directories /usr/lib/gcc/*/*)
find_library(SerialOpenMP_LIBRARY gomp HINTS ${directories})
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(SerialOpenMP REQUIRED_VARS SerialOpenMP_LIBRARY)
if(SerialOpenMP_FOUND AND NOT TARGET OpenMP::OpenMP_CXX)
  add_library(OpenMP::OpenMP_CXX UNKNOWN IMPORTED)
  set_target_properties(OpenMP::OpenMP_CXX PROPERTIES
    IMPORTED_LOCATION ${SerialOpenMP_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${CMAKE_CURRENT_LIST_DIR}/serial_omp
    INTERFACE_COMPILE_OPTIONS -Wno-unknown-pragmas)
endif()
mark_as_advanced(SerialOpenMP_LIBRARY)
