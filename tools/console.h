// What the program prints: data on stdout, notes on stderr, colour and progress only where a terminal shows
// them.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace plica::tools {

using Json = nlohmann::ordered_json;

enum class ColorMode { automatic, always, never };
enum class Style { plain, bold, dim, red, green, yellow, cyan };

// Process-wide, set once by main() from the command line.
void set_color_mode(ColorMode mode);
void set_quiet(bool quiet);

// `text` in a style when stdout takes colour.
std::string styled(Style style, std::string_view text);

// Writes to stdout. Throws Exit(kFailed) when that fails.
void print(std::string_view text);
template <class... Args>
void print(fmt::format_string<Args...> format, Args&&... args) requires(sizeof...(Args) > 0) {
  print(std::string_view(fmt::format(format, std::forward<Args>(args)...)));
}
void print_json(const Json& json);
void flush_output();

// One line on stderr, "plica: ..."; not when --quiet.
void note(std::string_view text);
template <class... Args>
void note(fmt::format_string<Args...> format, Args&&... args) requires(sizeof...(Args) > 0) {
  note(std::string_view(fmt::format(format, std::forward<Args>(args)...)));
}
void print_error(std::string_view text);

// A line on stderr that the next one replaces; only on a terminal. An empty text clears it.
void progress(std::string_view text);

// Columns of text; numbers are aligned right.
class Table {
 public:
  enum class Align { left, right };
  Table(std::vector<std::string> head, std::vector<Align> align);
  void add(std::vector<std::string> row);
  std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
  std::vector<Align> align_;
};

std::string human_bytes(double bytes);  // "4.0 MiB"
std::string human_count(double count);  // "1.23 G"
std::string bar(double fraction, int width);

}  // namespace plica::tools
