// Case of UTF-8 text.
#pragma once

#include <string>
#include <string_view>

namespace plica {

// By Unicode's simple case mapping, one code point for one, as far as the C library knows it without an
// installed locale (glibc: all of it; elsewhere perhaps ASCII alone). Bytes that are no UTF-8 stay. Safe from
// many threads.
std::string to_lower(std::string_view text);
std::string to_upper(std::string_view text);

}  // namespace plica
