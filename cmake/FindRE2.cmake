# The RE2 of the system, by pkg-config, as the target RE2::RE2. Not by its own re2Config.cmake: Debian 12's has none.
find_package(PkgConfig REQUIRED)
pkg_check_modules(RE2 REQUIRED IMPORTED_TARGET re2)
if(NOT TARGET RE2::RE2)
  add_library(RE2::RE2 ALIAS PkgConfig::RE2)
endif()
