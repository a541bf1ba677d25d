// JSON that nobody vouches for: bounded in size and nesting, every access checked.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace plica {

using Json = nlohmann::json;

inline constexpr size_t kMostJsonBytes = size_t{16} << 20;

// An object with "schema": 1. Throws limit, invalid_argument: "no `what` of schema 1".
Json parse_untrusted(std::string_view text, std::string_view what);
// Members; throw invalid_argument when they are missing or something else.
const Json& object_in(const Json& object, const char* member);
const Json& array_in(const Json& object, const char* member);
std::string text_in(const Json& object, const char* member);
// Of an array.
size_t size_at(const Json& array, size_t index);

// What differs of the members that describe a host: "cpu 'X', here 'Y'; ..."; empty: nothing.
std::string difference(const Json& object, const std::vector<std::pair<const char*, std::string>>& here);

}  // namespace plica
