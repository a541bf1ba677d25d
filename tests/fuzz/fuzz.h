// What the fuzz targets share.
//
// A target is one file with LLVMFuzzerTestOneInput, which takes any bytes and returns 0. What it may meet is
// plica::Error; everything else ends the process and is a finding: another exception, an Error(internal), a
// signal, a report of a sanitizer, results that contradict each other (report()). With PLICA_FUZZ libFuzzer
// calls it; otherwise replay.cpp does, with the files of corpus/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>

#include "engine/core/error.h"
#include "engine/core/limits.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace plica::fuzz {

// What every input gets. A step that takes long comes on top of the time.
inline const LimitOptions kLimits{.max_memory = size_t{64} << 20, .timeout = 1};

[[noreturn]] inline void report(const std::string& what) {
  std::fprintf(stderr, "finding: %s\n", what.c_str());
  std::abort();
}

// Whether `body` ends without an Error.
template <class Body>
bool succeeds(Body&& body) {
  try {
    body();
    return true;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::internal) report(error.message());
    if (error.message().find('\n') != std::string::npos)
      report("an error of several lines: " + error.message());
    return false;
  }
}

inline std::span<const std::byte> bytes_of(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const std::byte*>(data), size};
}

}  // namespace plica::fuzz
