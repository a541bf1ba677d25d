#include "tools/console.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "tools/exit.h"

namespace plica::tools {
namespace {

ColorMode color_mode = ColorMode::automatic;
bool is_quiet = false;
bool shows_progress = false;

bool stdout_takes_color() {
  if (color_mode != ColorMode::automatic) return color_mode == ColorMode::always;
  const char* no_color = std::getenv("NO_COLOR");  // no-color.org: set and not empty
  if (no_color && *no_color) return false;
  const char* term = std::getenv("TERM");
  return isatty(STDOUT_FILENO) && term && std::string_view(term) != "dumb";
}

// Columns that UTF-8 text takes, one a code point.
size_t width_of(std::string_view text) {
  return static_cast<size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; }));
}

}  // namespace

void set_color_mode(ColorMode mode) { color_mode = mode; }
void set_quiet(bool quiet) { is_quiet = quiet; }

std::string styled(Style style, std::string_view text) {
  static const bool color = stdout_takes_color();
  if (!color || style == Style::plain || text.empty()) return std::string(text);
  constexpr int kCodes[] = {0, 1, 2, 31, 32, 33, 36};
  return fmt::format("\x1b[{}m{}\x1b[0m", kCodes[static_cast<int>(style)], text);
}

void print(std::string_view text) {
  progress("");
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size())
    throw Exit(kFailed, "cannot write to the standard output");
}

void print_json(const Json& json) {
  // Names come from files and need not be UTF-8.
  print(json.dump(isatty(STDOUT_FILENO) ? 2 : -1, ' ', false, Json::error_handler_t::replace) + "\n");
}

void flush_output() {
  if (std::fflush(stdout) != 0 || std::ferror(stdout))
    throw Exit(kFailed, "cannot write to the standard output");
}

void note(std::string_view text) {
  if (is_quiet) return;
  progress("");
  fmt::print(stderr, "plica: {}\n", text);
}

void print_error(std::string_view text) {
  progress("");
  std::fflush(stdout);
  fmt::print(stderr, "plica: {}\n", text);
}

void progress(std::string_view text) {
  static const bool terminal = isatty(STDERR_FILENO) == 1;
  if (!terminal || (is_quiet && !text.empty()) || (text.empty() && !shows_progress)) return;
  shows_progress = !text.empty();
  fmt::print(stderr, "\r\x1b[K{}", text.substr(0, 100));
  std::fflush(stderr);
}

Table::Table(std::vector<std::string> head, std::vector<Align> align)
    : rows_{std::move(head)}, align_(std::move(align)) {}

void Table::add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }

std::string Table::text() const {
  std::vector<size_t> widths(align_.size(), 0);
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  std::string out;
  for (size_t r = 0; r < rows_.size(); ++r) {
    std::string line;
    for (size_t i = 0; i < rows_[r].size(); ++i) {
      const std::string& cell = rows_[r][i];
      const std::string padding(widths[i] - width_of(cell), ' ');
      if (i) line += "  ";
      line += align_[i] == Align::left ? cell + padding : padding + cell;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += styled(r == 0 ? Style::bold : Style::plain, line) + "\n";
  }
  return out;
}

std::string human_bytes(double bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  for (; bytes >= 1024 && unit + 1 < std::size(kUnits); ++unit) bytes /= 1024;
  return unit == 0 ? fmt::format("{:.0f} B", bytes) : fmt::format("{:.1f} {}", bytes, kUnits[unit]);
}

std::string human_count(double count) {
  constexpr const char* kUnits[] = {"", " k", " M", " G", " T"};
  size_t unit = 0;
  for (; count >= 1000 && unit + 1 < std::size(kUnits); ++unit) count /= 1000;
  return unit == 0 ? fmt::format("{:.0f}", count) : fmt::format("{:.2f}{}", count, kUnits[unit]);
}

std::string bar(double fraction, int width) {
  // Eighths of a block.
  constexpr const char* kPart[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  if (!(fraction >= 0)) fraction = 0;
  const int eighths = static_cast<int>(std::lround(std::min(fraction, 1.0) * width * 8));
  std::string out;
  for (int i = 0; i < eighths / 8; ++i) out += "█";
  out += kPart[eighths % 8];
  for (int i = (eighths + 7) / 8; i < width; ++i) out += " ";
  return out;
}

}  // namespace plica::tools
