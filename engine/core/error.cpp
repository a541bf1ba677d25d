#include "engine/core/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

namespace plica {

std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_model: return "invalid model";
    case ErrorCode::unsupported: return "unsupported";
    case ErrorCode::invalid_argument: return "invalid argument";
    case ErrorCode::io: return "input/output error";
    case ErrorCode::limit: return "limit exceeded";
    case ErrorCode::cancelled: return "cancelled";
    case ErrorCode::internal: return "internal error";
  }
  return "unknown error";
}

void Error::add_context(std::string_view context) { message_ = fmt::format("{}: {}", context, message_); }

namespace {

// The length of the UTF-8 sequence at the start of `text`, 0 when there is none (RFC 3629: no overlong forms,
// no surrogates, nothing beyond U+10FFFF); `code` is its code point.
size_t decode_utf8(std::string_view text, uint32_t& code) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const size_t length = byte(0) < 0x80   ? 1
                        : byte(0) < 0xc2 ? 0
                        : byte(0) < 0xe0 ? 2
                        : byte(0) < 0xf0 ? 3
                        : byte(0) < 0xf5 ? 4
                                         : 0;
  if (length == 0 || length > text.size()) return 0;
  code = length == 1 ? byte(0) : byte(0) & (0x7fu >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0u) != 0x80u) return 0;
    code = code << 6 | (byte(i) & 0x3fu);
  }
  constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < kLeast[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return 0;
  return length;
}

// What could end a line, move a terminal's cursor or turn the direction of the text.
bool is_control(uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029 ||
         (code >= 0x200e && code <= 0x200f) || (code >= 0x202a && code <= 0x202e) ||
         (code >= 0x2066 && code <= 0x2069);
}

// The next character of `text`, escaped when it has to be; moves `text` past it.
std::string take_character(std::string_view& text) {
  uint32_t code = 0;
  const size_t length = decode_utf8(text, code);
  const std::string_view bytes = text.substr(0, std::max<size_t>(length, 1));
  text.remove_prefix(bytes.size());
  if (length != 0 && !is_control(code)) return std::string(bytes);
  std::string out;
  for (unsigned char c : bytes) out += fmt::format("\\x{:02x}", c);
  return out;
}

// Most names are: nothing in them needs escaping.
bool is_plain(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
}

}  // namespace

std::string escaped(std::string_view text) {
  if (is_plain(text)) return std::string(text);
  std::string out;
  while (!text.empty()) out += take_character(text);
  return out;
}

std::string quoted(std::string_view name) {
  constexpr size_t kLongest = 120;
  if (name.size() <= kLongest && is_plain(name)) return fmt::format("'{}'", name);
  std::string out = "'";
  for (std::string_view left = name; !left.empty();) {
    if (name.size() - left.size() >= kLongest) {
      out += "...";
      break;
    }
    out += take_character(left);
  }
  return out + "'";
}

}  // namespace plica
