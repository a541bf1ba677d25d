#include "api/report_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <limits>
#include <utility>

namespace plica {
namespace {

constexpr double kWidth = 1000, kHeight = 400;  // of the viewBox; the page gives it its size
constexpr double kMargin = 0.07;                // of the height, above and below the data
constexpr double kFloor = kHeight - 8;          // where a logarithmic axis puts what it can't show
constexpr double kMostDecades = 14;
constexpr double kOutlierRatio = 40;  // largest to median magnitude from which a linear axis is no use
constexpr int kBins = 28;

// Maps values to heights in [0, kHeight], the largest at 0.
class Axis {
 public:
  Axis(const std::vector<double>& values, Plot::Scale scale) {
    std::vector<double> magnitudes;
    for (double v : values) magnitudes.push_back(std::abs(v));
    std::ranges::sort(magnitudes);
    const double largest = magnitudes.back(), median = magnitudes[magnitudes.size() / 2];
    if (scale == Plot::Scale::logarithmic) {
      kind_ = Kind::logarithmic;
    } else if (median > 0 && largest > kOutlierRatio * median) {
      kind_ = Kind::symmetric;
      unit_ = std::max(median, largest * 1e-12);
    } else if (largest > 0) {
      unit_ = largest;  // so that no difference overflows
    }
    low_ = std::numeric_limits<double>::infinity();
    high_ = -low_;
    for (double v : values) {
      if (kind_ == Kind::logarithmic && !(v > 0)) continue;
      low_ = std::min(low_, forward(v));
      high_ = std::max(high_, forward(v));
    }
    if (!(low_ <= high_)) low_ = high_ = 0;  // only zeros on a logarithmic axis
    if (kind_ == Kind::logarithmic) low_ = std::max(low_, high_ - kMostDecades);
    const double least = kind_ == Kind::logarithmic ? 0.5 : std::max(std::abs(high_) * 1e-3, 1e-300);
    if (high_ - low_ < least) {
      const double middle = (low_ + high_) / 2;
      low_ = middle - least / 2;
      high_ = middle + least / 2;
    }
  }

  bool is_logarithmic() const { return kind_ == Kind::logarithmic; }
  bool is_symmetric() const { return kind_ == Kind::symmetric; }

  double height(double value) const {
    if (is_logarithmic() && (!(value > 0) || forward(value) < low_)) return kFloor;
    return from_forward(forward(value));
  }

  // No two labels overlap; the first of those that would stays.
  std::vector<double> ticks() const {
    std::vector<double> ticks;
    for (double tick : is_logarithmic() ? logarithmic_ticks()
                       : is_symmetric() ? symmetric_ticks()
                                        : linear_ticks()) {
      const bool near = std::ranges::any_of(
          ticks, [&](double other) { return std::abs(height(tick) - height(other)) < kHeight / 12; });
      if (!near) ticks.push_back(tick);
    }
    return ticks;
  }

 private:
  enum class Kind { linear, logarithmic, symmetric };

  double forward(double v) const {
    if (is_logarithmic()) return std::log10(v);
    return is_symmetric() ? std::asinh(v / unit_) : v / unit_;
  }
  double from_forward(double f) const {
    const double share = (f - low_) / (high_ - low_);
    return kHeight * (1 - kMargin - share * (1 - 2 * kMargin));
  }
  bool shows(double f) const {
    const double slack = (high_ - low_) * kMargin / 2;
    return f >= low_ - slack && f <= high_ + slack;
  }

  std::vector<double> logarithmic_ticks() const {
    const double span = high_ - low_;
    const int step = std::max(1, static_cast<int>(std::ceil(span / 4)));
    std::vector<double> ticks;
    // Powers of ten where there are enough of them, else more digits between.
    for (const std::vector<double>& digits : {std::vector<double>{1}, std::vector<double>{1, 2, 5},
                                              std::vector<double>{1, 1.5, 2, 3, 4, 5, 6, 8}}) {
      ticks.clear();
      for (int d = static_cast<int>(std::floor(low_)) - 1; d <= static_cast<int>(std::ceil(high_)); ++d) {
        if (d % step != 0) continue;
        for (double digit : digits) {
          const double tick = digit * std::pow(10, d);
          if (shows(std::log10(tick))) ticks.push_back(tick);
        }
      }
      if (ticks.size() > 2) break;
    }
    return ticks;
  }

  std::vector<double> linear_ticks() const {
    const double raw = (high_ - low_) / 4 * unit_, power = std::pow(10, std::floor(std::log10(raw)));
    double step = power;
    for (double digit : {2.0, 2.5, 5.0, 10.0}) {
      if (step < raw) step = digit * power;
    }
    std::vector<double> ticks;
    const double first = std::ceil(low_ * (unit_ / step)), last = std::floor(high_ * (unit_ / step));
    for (double i = first; i <= last && ticks.size() < 10; ++i)
      ticks.push_back(i * step + 0.0);  // no negative zero
    return ticks;
  }

  std::vector<double> symmetric_ticks() const {
    std::vector<double> ticks = {0};
    const double reach = std::sinh(std::max(std::abs(low_), std::abs(high_))) * unit_;
    const int top = static_cast<int>(std::floor(std::log10(reach)));
    const int bottom = static_cast<int>(std::ceil(std::log10(unit_)));
    const int step = std::max(1, (top - bottom + 1) / 2);
    for (int d = top; d >= bottom; d -= step) {
      for (double sign : {1.0, -1.0}) {
        if (shows(forward(sign * std::pow(10, d)))) ticks.push_back(sign * std::pow(10, d));
      }
    }
    if (!shows(0)) ticks.erase(ticks.begin());
    return ticks;
  }

  Kind kind_ = Kind::linear;
  double unit_ = 1, low_ = 0, high_ = 1;
};

// A zero-length line with a round cap is a dot, of the same size whatever the drawing is stretched to.
void add_mark(std::string& path, double x, double low, double high) {
  const long from = std::lround(low), to = std::lround(high);
  fmt::format_to(std::back_inserter(path), "M{} {}", std::lround(x), from);
  if (from == to) {
    path += "h0";
  } else {
    fmt::format_to(std::back_inserter(path), "V{}", to);
  }
}

void add_path(std::string& out, std::string_view css, const std::string& path) {
  if (!path.empty()) fmt::format_to(std::back_inserter(out), "<path class=\"{}\" d=\"{}\"/>", css, path);
}

// Ticks have one digit or two; thousands and thousandths are powers.
std::string tick_html(double value) {
  const std::string text = fmt::format("{:.1e}", std::abs(value));
  const int exponent = value == 0 ? 0 : std::stoi(text.substr(text.find('e') + 1));
  const std::string sign = value < 0 ? "&minus;" : "";
  if (std::abs(exponent) < 3) return sign + fmt::format("{:.4g}", std::abs(value));
  const std::string power =
      fmt::format("10<sup>{}{}</sup>", exponent < 0 ? "&minus;" : "", std::abs(exponent));
  const std::string digits =
      text.starts_with("1.0") ? "" : fmt::format("{:g}", std::stod(text.substr(0, text.find('e'))));
  return sign + digits + (digits.empty() ? "" : "&#8239;&middot;&#8239;") + power;
}

std::string histogram_html(const std::vector<double>& values, const Axis& axis) {
  std::array<int, kBins> bins{};
  for (double v : values) {
    const double share = std::clamp(axis.height(v) / kHeight, 0.0, 1.0);
    ++bins[std::min<size_t>(kBins - 1, static_cast<size_t>(share * kBins))];
  }
  const int most = *std::ranges::max_element(bins);
  std::string path;
  const double step = kHeight / kBins;
  for (size_t i = 0; i < bins.size(); ++i) {
    if (bins[i] == 0) continue;
    const double length = std::max(4.0, 100.0 * bins[i] / most);
    fmt::format_to(std::back_inserter(path), "M0 {:.0f}h{:.0f}v{:.0f}H0z", static_cast<double>(i) * step + 1,
                   length, step - 2);
  }
  return fmt::format(
      "<svg class=\"hist\" viewBox=\"0 0 100 {:.0f}\" preserveAspectRatio=\"none\" aria-hidden=\"true\">"
      "<path d=\"{}\"/></svg>",
      kHeight, path);
}

struct Extremes {
  double low, median, high;
};

Extremes extremes_of(std::vector<double> values) {
  std::ranges::sort(values);
  return {values.front(), values[values.size() / 2], values.back()};
}

std::string marks_text(const Plot& plot) {
  int64_t marked = 0;
  for (const PlotPoint& p : plot.points) marked += p.mark > 1;
  return marked == 0 ? "" : fmt::format("; {} marked", marked);
}

}  // namespace

std::vector<PlotPoint> plot_points(const std::vector<double>& values, bool magnitude,
                                   const std::vector<uint8_t>& marks) {
  const size_t group = (values.size() + kMostPoints - 1) / kMostPoints;
  std::vector<PlotPoint> points;
  for (size_t first = 0; group != 0 && first < values.size(); first += group) {
    constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
    PlotPoint p{.low = kNone, .high = kNone, .middle = {}, .negative = true};
    for (size_t i = first; i < std::min(first + group, values.size()); ++i) {
      if (i < marks.size()) p.mark = std::max(p.mark, marks[i]);
      if (!std::isfinite(values[i])) continue;
      const double v = magnitude ? std::abs(values[i]) : values[i];
      p.low = std::isnan(p.low) ? v : std::min(p.low, v);
      p.high = std::isnan(p.high) ? v : std::max(p.high, v);
      p.negative = p.negative && values[i] < 0;
    }
    points.push_back(p);
  }
  return points;
}

std::string number_html(double value) {
  if (!std::isfinite(value)) return std::isnan(value) ? "NaN" : value > 0 ? "&infin;" : "&minus;&infin;";
  // As %.3g, with the zeros that keep a column of powers aligned.
  std::string text = fmt::format("{:.3g}", value);
  if (text.find('e') != std::string::npos) text = fmt::format("{:.2e}", value);
  std::string out;
  const size_t e = text.find('e');
  for (char c : text.substr(0, e)) c == '-' ? out += "&minus;" : out += c;
  if (e == std::string::npos) return out;
  const int exponent = std::stoi(text.substr(e + 1));
  const std::string power =
      fmt::format("10<sup>{}{}</sup>", exponent < 0 ? "&minus;" : "", std::abs(exponent));
  return out + "&thinsp;&times;&thinsp;" + power;
}

std::string plot_html(const Plot& plot) {
  std::vector<double> values, shown;
  for (double v : plot.values) {
    if (std::isfinite(v)) values.push_back(plot.magnitude ? std::abs(v) : v);
  }
  for (const PlotPoint& p : plot.points) {
    if (std::isnan(p.low)) continue;
    shown.push_back(p.low);
    shown.push_back(p.high);
  }
  if (shown.empty() || values.empty()) return "";
  if (plot.reference && std::isfinite(plot.reference->value)) shown.push_back(plot.reference->value);
  const Axis axis(shown, plot.scale);
  if (plot.reference) shown.pop_back();
  const Extremes e = extremes_of(values), range = extremes_of(shown);
  const bool grouped =
      std::ranges::any_of(plot.points, [](const PlotPoint& p) { return p.low < p.high && !p.middle; });

  std::string grid, positive, negative, middles, rails[3], halos[3], labels;
  for (double tick : axis.ticks()) {
    const double y = axis.height(tick);
    fmt::format_to(std::back_inserter(grid), "M0 {:.0f}H{:.0f}", y, kWidth);
    fmt::format_to(std::back_inserter(labels), "<span style=\"top:{:.1f}%\">{}</span>", y / kHeight * 100,
                   tick_html(tick));
  }
  for (size_t i = 0; i < plot.points.size(); ++i) {
    const PlotPoint& p = plot.points[i];
    const double x = (static_cast<double>(i) + 0.5) / static_cast<double>(plot.points.size()) * kWidth;
    if (p.mark != 0 && p.mark <= 3) {
      add_mark(rails[p.mark - 1], x, kHeight - 20, kHeight);
      if (!std::isnan(p.low) && p.mark > 1)
        add_mark(halos[p.mark - 1], x, axis.height(p.low), axis.height(p.high));
    }
    if (std::isnan(p.low)) continue;
    add_mark(p.negative ? negative : positive, x, axis.height(p.low), axis.height(p.high));
    if (p.middle) add_mark(middles, x, axis.height(*p.middle), axis.height(*p.middle));
  }

  const size_t n = plot.points.size();
  const std::string_view density = n <= 80 ? "few" : n <= 260 ? "some" : "many";
  const auto plain = [](double v) { return fmt::format("{:.3g}", v); };
  const std::string text =
      fmt::format("{} by {}, {} scale: from {} to {}, median {}{}", plot.title, plot.axis,
                  axis.is_logarithmic() ? "logarithmic"
                  : axis.is_symmetric() ? "symmetric logarithmic"
                                        : "linear",
                  plain(range.low), plain(range.high), plain(e.median), marks_text(plot));
  std::string svg = fmt::format(
      "<svg class=\"body {}{}\" viewBox=\"0 0 {:.0f} {:.0f}\" preserveAspectRatio=\"none\" role=\"img\" "
      "aria-label=\"{}\"><title>{}</title>",
      density, grouped || !middles.empty() ? " ranges" : "", kWidth, kHeight, text, text);
  add_path(svg, "grid", grid);
  if (!axis.is_logarithmic() && axis.height(0) > 0 && axis.height(0) < kHeight)
    add_path(svg, "zero", fmt::format("M0 {:.0f}H{:.0f}", axis.height(0), kWidth));
  if (plot.histogram) add_path(svg, "median", fmt::format("M0 {:.0f}H{:.0f}", axis.height(e.median), kWidth));
  if (plot.reference && axis.height(plot.reference->value) < kFloor)
    add_path(svg, "reference", fmt::format("M0 {:.0f}H{:.0f}", axis.height(plot.reference->value), kWidth));
  for (size_t m : {1, 2}) add_path(svg, m == 2 ? "halo error" : "halo warning", halos[m]);
  add_path(svg, "positive", positive);
  add_path(svg, "negative", negative);
  add_path(svg, "middle", middles);
  for (size_t m : {0, 1, 2})
    add_path(svg, m == 2 ? "rail error" : m == 1 ? "rail warning" : "rail note", rails[m]);
  svg += "</svg>";

  std::string reference;
  if (plot.reference && axis.height(plot.reference->value) < kFloor) {
    reference = fmt::format("<span class=\"reference\" style=\"top:{:.1f}%\">{}</span>",
                            axis.height(plot.reference->value) / kHeight * 100, plot.reference->label);
  }
  std::string key, axis_text(plot.axis);
  if (plot.histogram) {
    key = fmt::format("<span class=\"key\">median {}{}</span>", number_html(e.median),
                      axis.is_symmetric() ? ", symmetric log scale" : "");
  }
  if (const auto points = static_cast<int64_t>(n); grouped && plot.count > points) {
    axis_text += fmt::format(", {} to a bar from lowest to highest", (plot.count + points - 1) / points);
  }
  return fmt::format(
      "<figure class=\"plot\"><figcaption><b>{}</b> <span class=\"formula\">{}</span>{}</figcaption>"
      "<div class=\"frame\"><div class=\"y\" aria-hidden=\"true\">{}</div><div "
      "class=\"area\">{}{}</div>{}</div>"
      "<div class=\"x\" aria-hidden=\"true\"><span>{}</span><span>{}</span><span>{}</span></div></figure>",
      plot.title, plot.formula, key, labels, svg, reference,
      plot.histogram ? histogram_html(values, axis) : "", plot.first, axis_text,
      std::max<int64_t>(plot.first + plot.count - 1, 0));
}

}  // namespace plica
