#include "api/untrusted_json.h"

#include "engine/core/fail.h"

namespace plica {
namespace {

constexpr int kMostNesting = 8;

const Json& member_of(const Json& object, const char* member, bool (Json::*is)() const noexcept,
                      const char* kind) {
  const auto it = object.find(member);
  require(it != object.end() && ((*it).*is)(), ErrorCode::invalid_argument, "{} is no {}", quoted(member),
          kind);
  return *it;
}

}  // namespace

Json parse_untrusted(std::string_view text, std::string_view what) {
  require(text.size() <= kMostJsonBytes, ErrorCode::limit, "larger than {} bytes", kMostJsonBytes);
  bool too_deep = false;
  Json json = Json::parse(
      text.begin(), text.end(),
      [&](int depth, Json::parse_event_t, Json&) {
        too_deep |= depth > kMostNesting;
        return !too_deep;
      },
      false);
  require(!too_deep && json.is_object() && json.contains("schema") && json["schema"] == 1,
          ErrorCode::invalid_argument, "no {} of schema 1", what);
  return json;
}

const Json& object_in(const Json& object, const char* member) {
  return member_of(object, member, &Json::is_object, "object");
}

const Json& array_in(const Json& object, const char* member) {
  return member_of(object, member, &Json::is_array, "array");
}

std::string text_in(const Json& object, const char* member) {
  return member_of(object, member, &Json::is_string, "text").get<std::string>();
}

size_t size_at(const Json& array, size_t index) {
  require(array.is_array() && index < array.size() && array[index].is_number_unsigned(),
          ErrorCode::invalid_argument, "element {} of an array is no size", index);
  return array[index].get<size_t>();
}

std::string difference(const Json& object, const std::vector<std::pair<const char*, std::string>>& here) {
  std::string differs;
  for (const auto& [member, mine] : here) {
    const std::string there = text_in(object, member);
    if (there == mine) continue;
    differs +=
        fmt::format("{}{} {}, here {}", differs.empty() ? "" : "; ", member, quoted(there), quoted(mine));
  }
  return differs;
}

}  // namespace plica
