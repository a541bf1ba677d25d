# libplica, the library that applications link: all rooms in one, shared (only what api/plica.map names is visible, so
# that a second copy of ONNX's messages in the process is no matter) and static; the headers as they are installed; and
# what finds them: a CMake package, a pkg-config file.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# ---- headers, where <plica/...> is all there is: what the public ones take from engine/core goes to plica/core
set(staged ${PROJECT_BINARY_DIR}/include)
file(GLOB public_headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/api/include ${PROJECT_SOURCE_DIR}/api/include/plica/*.h)
set(core_headers api data_type error limits shape tensor)
set(headers)
function(plica_stage from to)
  file(READ ${from} text)
  string(REPLACE "\"engine/core/" "\"plica/core/" text "${text}")
  file(CONFIGURE OUTPUT ${staged}/${to} CONTENT "${text}" @ONLY NEWLINE_STYLE UNIX)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${from})
endfunction()
foreach(header IN LISTS public_headers)
  plica_stage(${PROJECT_SOURCE_DIR}/api/include/${header} ${header})
endforeach()
plica_stage(${PROJECT_SOURCE_DIR}/api/c/plica.h plica.h)
foreach(header IN LISTS core_headers)
  plica_stage(${PROJECT_SOURCE_DIR}/engine/core/${header}.h plica/core/${header}.h)
endforeach()

# ---- the libraries
set(rooms plica_core plica_graph plica_ops plica_onnx plica_onnx_proto plica_passes plica_runtime plica_api)
set(objects)
foreach(room IN LISTS rooms)
  list(APPEND objects $<TARGET_OBJECTS:${room}>)
endforeach()
set(dependencies fmt::fmt OpenMP::OpenMP_CXX OneDNN::OneDNN RE2::RE2 protobuf::libprotobuf-lite)
set(installed)

function(plica_library_properties target)
  target_include_directories(${target} INTERFACE $<BUILD_INTERFACE:${staged}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_features(${target} INTERFACE cxx_std_20)
  set_target_properties(${target} PROPERTIES OUTPUT_NAME plica POSITION_INDEPENDENT_CODE ON)
endfunction()

if(PLICA_BUILD_SHARED)
  add_library(plica_shared SHARED ${objects})
  add_library(plica::plica ALIAS plica_shared)
  plica_library_properties(plica_shared)
  set(map ${PROJECT_SOURCE_DIR}/api/plica.map)
  set_target_properties(plica_shared PROPERTIES
    EXPORT_NAME plica VERSION ${PROJECT_VERSION} SOVERSION ${PLICA_SOVERSION} LINK_DEPENDS ${map})
  target_link_libraries(plica_shared PRIVATE ${dependencies})
  target_link_options(plica_shared PRIVATE -Wl,--version-script=${map} -Wl,--gc-sections)
  if(NOT PLICA_SANITIZE AND NOT PLICA_FUZZ)
    target_link_options(plica_shared PRIVATE -Wl,--no-undefined)
  endif()
  list(APPEND installed plica_shared)
endif()

if(PLICA_BUILD_STATIC)
  add_library(plica_static STATIC ${objects})
  add_library(plica::static ALIAS plica_static)
  plica_library_properties(plica_static)
  set_target_properties(plica_static PROPERTIES EXPORT_NAME static)
  target_link_libraries(plica_static PRIVATE ${dependencies})
  if(NOT PLICA_BUILD_SHARED)
    add_library(plica::plica ALIAS plica_static)
  endif()
  list(APPEND installed plica_static)
endif()

if(NOT PLICA_INSTALL OR NOT installed)
  return()
endif()

# ---- what is installed
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/plica)
install(TARGETS ${installed} EXPORT plica-targets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime NAMELINK_COMPONENT development
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(DIRECTORY ${staged}/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
install(EXPORT plica-targets NAMESPACE plica:: DESTINATION ${package_dir} COMPONENT development)

set(files ${PROJECT_BINARY_DIR}/package)
configure_package_config_file(cmake/package/plicaConfig.cmake.in ${files}/plicaConfig.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${files}/plicaConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${files}/plicaConfig.cmake ${files}/plicaConfigVersion.cmake cmake/FindOneDNN.cmake cmake/FindRE2.cmake
  DESTINATION ${package_dir} COMPONENT development)

# Paths relative to the file itself, so that the tree can be moved.
file(RELATIVE_PATH prefix_from_pc /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" prefix_from_pc "${prefix_from_pc}")
configure_file(cmake/package/plica.pc.in ${files}/plica.pc @ONLY)
install(FILES ${files}/plica.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)

if(TARGET plica)
  install(TARGETS plica RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT tools)
endif()

if(PROJECT_IS_TOP_LEVEL)
  add_custom_target(uninstall COMMAND ${CMAKE_COMMAND} -DMANIFEST=${PROJECT_BINARY_DIR}/install_manifest.txt
                    -P ${PROJECT_SOURCE_DIR}/cmake/Uninstall.cmake VERBATIM)
endif()
