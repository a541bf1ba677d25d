#include "engine/ops/text_case.h"

#include <locale.h>
#include <wctype.h>

#include <cstdint>

namespace plica {
namespace {

// The locale that has Unicode's cases; null where the C library has none. Never freed.
locale_t unicode_locale() {
  static const locale_t locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  return locale;
}

constexpr char32_t kInvalid = 0xffffffff;

// The code point at the start of `text`, which is not empty, and its length in bytes; kInvalid for what is no
// UTF-8 (overlong forms and surrogates included).
char32_t decode(std::string_view text, size_t& length) {
  const auto lead = static_cast<uint8_t>(text[0]);
  length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  if (length == 1) return lead;
  if (length == 0 || length > text.size()) return kInvalid;
  char32_t code = lead & (0x7fu >> length);
  for (size_t i = 1; i < length; ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    if ((byte & 0xc0u) != 0x80u) return kInvalid;
    code = code << 6 | (byte & 0x3fu);
  }
  const char32_t least = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000;
  return code < least || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? kInvalid : code;
}

void append(std::string& out, char32_t code) {
  const auto put = [&](char32_t bits) { out.push_back(static_cast<char>(static_cast<uint8_t>(bits))); };
  if (code < 0x80) return put(code);
  if (code < 0x800) {
    put(0xc0 | code >> 6);
  } else {
    if (code < 0x10000) {
      put(0xe0 | code >> 12);
    } else {
      put(0xf0 | code >> 18);
      put(0x80 | (code >> 12 & 0x3f));
    }
    put(0x80 | (code >> 6 & 0x3f));
  }
  put(0x80 | (code & 0x3f));
}

// `first` to `last`: the ASCII letters that change, by 32.
template <class Map>
std::string change_case(std::string_view text, char first, char last, const Map& map) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const char c = text[0];
    size_t length = 1;
    if (static_cast<uint8_t>(c) < 0x80) {
      out.push_back(c >= first && c <= last ? static_cast<char>(c ^ 0x20) : c);
    } else if (const char32_t code = decode(text, length); code == kInvalid) {
      length = 1;
      out.push_back(c);
    } else if (const locale_t locale = unicode_locale()) {
      append(out, static_cast<char32_t>(map(static_cast<wint_t>(code), locale)));
    } else {
      out.append(text.substr(0, length));
    }
    text.remove_prefix(length);
  }
  return out;
}

}  // namespace

std::string to_lower(std::string_view text) {
  return change_case(text, 'A', 'Z', [](wint_t c, locale_t locale) { return towlower_l(c, locale); });
}

std::string to_upper(std::string_view text) {
  return change_case(text, 'a', 'z', [](wint_t c, locale_t locale) { return towupper_l(c, locale); });
}

}  // namespace plica
