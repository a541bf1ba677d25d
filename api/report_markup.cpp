#include "api/report_markup.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/core/error.h"

namespace plica::markup {
namespace {

constexpr size_t kMostText = 240;  // bytes of a name or message that are shown
constexpr size_t kMostNames = 24;  // in a list of nodes

}  // namespace

std::string text(std::string_view raw) {
  size_t end = std::min(raw.size(), kMostText);
  while (end < raw.size() && end > 0 && (raw[end] & 0xc0) == 0x80) --end;  // between characters of UTF-8
  std::string shown = escaped(raw.substr(0, end));
  if (raw.size() > end) shown += "…";
  std::string out;
  for (char c : shown) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string name(std::string_view raw) { return fmt::format("<bdi class=\"name\">{}</bdi>", text(raw)); }

std::string names(const std::vector<std::string>& list) {
  std::string out;
  for (size_t i = 0; i < std::min(list.size(), kMostNames); ++i) out += (i ? ", " : "") + name(list[i]);
  if (list.size() > kMostNames) out += fmt::format(" and {} more", list.size() - kMostNames);
  return out;
}

std::string plural(int64_t count, std::string_view word) {
  return fmt::format("{} {}{}", count, word, count == 1 ? "" : "s");
}

std::string severity_html(HealthFinding::Severity severity, int64_t count) {
  const std::string_view sign = severity == HealthFinding::Severity::error     ? "&#9632;"
                                : severity == HealthFinding::Severity::warning ? "&#9650;"
                                                                               : "&#9679;";
  const std::string_view word = to_string(severity);
  return fmt::format("<span class=\"sev {}\"><span aria-hidden=\"true\">{}</span> {}</span>", word, sign,
                     count == 1 ? std::string(word) : fmt::format("{}&nbsp;{}s", count, word));
}

}  // namespace plica::markup
