// Plots of the HTML report: a value by channel (or by layer), as inline SVG that stretches with the page
// while its text stays HTML, so that it can be read at any width.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace plica {

// One place on the horizontal axis: a value, or the range from `low` to `high` of several. NaN where there is
// nothing to show.
struct PlotPoint {
  double low = 0, high = 0;
  std::optional<double> middle;  // of a range: a dot on it
  bool negative = false;         // of a magnitude: what it is the magnitude of
  uint8_t mark = 0;              // 0, or 1 + severity: note, warning, error
};

struct Plot {
  enum class Scale {
    linear,
    logarithmic
  };  // a linear scale turns into a symmetric logarithmic one for outliers

  std::string_view title, formula;  // plain text
  std::string_view axis = "channel";
  Scale scale = Scale::linear;
  std::vector<PlotPoint> points;
  std::vector<double> values;  // all that the points stand for: of their median and histogram
  bool magnitude = false;      // of the values' magnitudes
  int64_t count = 0;           // of channels or layers that the points stand for
  int64_t first = 0;           // the number of the first
  struct Reference {
    double value;
    std::string_view label;
  };
  std::optional<Reference> reference;  // a horizontal line
  bool histogram = true;               // beside it
};

inline constexpr size_t kMostPoints = 512;

// A point for each value; more than kMostPoints are gathered into that many ranges of neighbours or fewer.
// `magnitude`: of absolute values. `marks`: by value, or empty.
std::vector<PlotPoint> plot_points(const std::vector<double>& values, bool magnitude,
                                   const std::vector<uint8_t>& marks);

// A <figure>; empty when no point is finite.
std::string plot_html(const Plot& plot);

// Three digits, as mathematics is set: a minus sign, and "&times; 10" with an exponent above.
std::string number_html(double value);

}  // namespace plica
