#include "api/report_markup.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "api/report_style.h"
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

void add_card(std::string& out, std::string_view title, std::string_view big, std::string_view css,
              std::string_view rest) {
  fmt::format_to(std::back_inserter(out),
                 "<li class=\"card\"><h2>{}</h2><div class=\"big {}\">{}</div>{}</li>\n", title, css, big,
                 rest);
}

std::string page(std::string_view title, std::string_view eyebrow, std::string_view lead,
                 std::string_view body, std::string_view footer) {
  const std::string name = title.empty() ? "a model" : text(title);
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
      "script-src 'unsafe-inline'\">\n"
      "<title>Plica: {0}</title>\n<style>{1}</style></head>\n<body>\n"
      "<header><div class=\"eyebrow\">{2}</div><h1><bdi>{0}</bdi></h1>\n<p class=\"lead\">{3}</p></header>\n"
      "<main>\n{4}</main>\n<footer><h2>How to read this</h2>\n{5}<p>Written by Plica.</p></footer>\n"
      "<script>{6}</script>\n</body></html>\n",
      name, kReportStyle, eyebrow, lead, body, footer, kReportScript);
}

const std::string_view kHealthFooter =
    "<dl><dt>Health</dt><dd>What is remarkable about the parameters before anything is folded. An error "
    "computes NaN, "
    "infinity or something that depends on the rest of the batch; a warning is likely a mistake, or costs "
    "accuracy or "
    "speed; a note is worth knowing.</dd></dl>\n";

}  // namespace plica::markup
