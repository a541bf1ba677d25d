// fail(code, "format {}", args...): throws plica::Error. Internal: public headers don't see fmt.
#pragma once

#include <fmt/format.h>

#include "engine/core/error.h"

namespace plica {

template <class... Args>
[[noreturn]] void fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

// Throws when `condition` does not hold.
template <class... Args>
void require(bool condition, ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  if (!condition) [[unlikely]] fail(code, format, std::forward<Args>(args)...);
}

}  // namespace plica
