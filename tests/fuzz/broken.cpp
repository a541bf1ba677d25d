// A target that fails in the way that its input says, to test replay.cpp.
#include <csignal>
#include <stdexcept>
#include <string_view>

#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view how(reinterpret_cast<const char*>(data), size);
  if (how == "abort") plica::fuzz::report("as asked");
  if (how == "exception") throw std::out_of_range("as asked");
  if (how == "signal") std::raise(SIGSEGV);
  return 0;
}
