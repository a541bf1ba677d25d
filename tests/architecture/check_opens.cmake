# Checks that in engine/onnx only external_data.cpp opens files by names that may come out of a model. What else is
# opened there is named here: by a caller's path, or beside it.
#
#   cmake -DSOURCE=<dir> -P check_opens.cmake
cmake_minimum_required(VERSION 3.25)

# Calls that open, map, list or follow something by its name, and objects that do.
set(calls "(open|openat|openat2|fopen|freopen|creat|readlink|opendir|dlopen|map|read_symlink|copy_file|write_file)[ \t]*\\(")
set(objects "(ifstream|ofstream|fstream|directory_iterator|AtomicFile)[ \t]+[a-z_]+[ \t]*[({]|(directory_iterator|AtomicFile)[({]|AtomicFile::At")

# file|line, without its spaces at both ends
set(allowed
  "onnx.cpp|const auto file = ReadableFile::open(path)$<SEMICOLON>"
  "onnx.cpp|const auto file = MappedFile::open(path)$<SEMICOLON>"
  "onnx.cpp|AtomicFile file(path)$<SEMICOLON>"
  "external_writer.cpp|Descriptor file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC))$<SEMICOLON>"
  "external_writer.cpp|file_.emplace(beside(path_, location_), AtomicFile::At::unused)$<SEMICOLON>")

set(faults "")
set(checked 0)
file(GLOB_RECURSE files RELATIVE ${SOURCE}/engine/onnx ${SOURCE}/engine/onnx/*.h ${SOURCE}/engine/onnx/*.cpp)
list(REMOVE_ITEM files external_data.cpp external_data.h)
foreach(file IN LISTS files)
  math(EXPR checked "${checked} + 1")
  file(STRINGS ${SOURCE}/engine/onnx/${file} lines REGEX "(^|[^A-Za-z0-9_])(${calls}|${objects})")
  foreach(line IN LISTS lines)
    string(REGEX REPLACE "^[ \t]+" "" line "${line}")
    string(REPLACE ";" "$<SEMICOLON>" line "${line}")
    if(line MATCHES "^//" OR "${file}|${line}" IN_LIST allowed)
      continue()
    endif()
    list(APPEND faults "engine/onnx/${file}: ${line}")
  endforeach()
endforeach()

if(checked EQUAL 0)
  message(FATAL_ERROR "no sources in ${SOURCE}/engine/onnx")
endif()
if(faults)
  list(JOIN faults "\n  " text)
  message(FATAL_ERROR "only external_data.cpp opens what a model names:\n  ${text}")
endif()
message(STATUS "${checked} files, none opens what a model names but external_data.cpp")
