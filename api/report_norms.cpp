// The batch norms of the HTML report: a table of all, and a section with plots for each.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include "api/report_markup.h"
#include "api/report_plot.h"

namespace plica::markup {
namespace {

using Severity = HealthFinding::Severity;
using BatchNorm = Report::BatchNorm;

constexpr size_t kMostPlotBytes = 16 << 20;  // of the page, from which on batch norms get no plots
constexpr size_t kMostNorms = 5000;          // rows and sections

// "■ error ▲ 2 warnings"; empty for good health.
std::string health_html(const BatchNorm& b) {
  std::string out;
  for (const Severity severity : {Severity::error, Severity::warning, Severity::note}) {
    const auto count = std::ranges::count(b.health, severity, &HealthFinding::severity);
    if (count != 0) out += (out.empty() ? "" : " ") + severity_html(severity, count);
  }
  return out;
}

int64_t health_key(const BatchNorm& b) {
  int64_t key = 0;
  for (const HealthFinding& f : b.health)
    key += f.severity == Severity::error ? 1000000 : f.severity == Severity::warning ? 1000 : 1;
  return key;
}

std::string pill(const BatchNorm& b) {
  return b.folded ? "<span class=\"pill folded\">folded</span>" : "<span class=\"pill kept\">kept</span>";
}

std::string because(const BatchNorm& b) {
  if (!b.folded) return text(b.reason);
  if (b.into.empty()) return "nothing was left to compute";
  return "into " + names(b.into) + (b.offset_stays ? "; its offset stays" : "");
}

void add_table(std::string& out, const std::vector<BatchNorm>& norms, bool verdicts) {
  out +=
      "<section aria-labelledby=\"norms\"><h2 id=\"norms\">Batch norms</h2>\n"
      "<p class=\"filter\" hidden><label>Show only <input type=\"search\" placeholder=\"name, kept, warning "
      "&hellip;\"></label></p>\n<div class=\"scroll\"><table class=\"norms\"><thead><tr>";
  const auto head = [&](std::string_view title, bool number) {
    fmt::format_to(std::back_inserter(out), "<th scope=\"col\"{} data-sort=\"{}\">{}</th>",
                   number ? " class=\"n\"" : "", number ? "number" : "text", title);
  };
  head("#", true);
  head("Node", false);
  if (verdicts) {
    head("Verdict", false);
    head("Where, or why not", false);
    head("Error bound", true);
  }
  head("Channels", true);
  out += "<th scope=\"col\" data-sort=\"number\">Health</th></tr></thead><tbody>\n";
  const size_t count = std::min(norms.size(), kMostNorms);
  for (size_t i = 0; i < count; ++i) {
    const BatchNorm& b = norms[i];
    const size_t channels = b.channels.gain.size();
    fmt::format_to(
        std::back_inserter(out),
        "<tr><td class=\"n\" data-key=\"{0}\">{0}</td><th scope=\"row\"><a href=\"#bn-{0}\">{1}</a></th>",
        i + 1, name(b.node));
    if (verdicts) {
      fmt::format_to(std::back_inserter(out),
                     "<td>{}</td><td class=\"why-cell\">{}</td><td class=\"n\" data-key=\"{}\" "
                     "data-label=\"error bound\">{}</td>",
                     pill(b), because(b), b.error_bound.value_or(0),
                     b.error_bound ? number_html(*b.error_bound) : "");
    }
    fmt::format_to(std::back_inserter(out),
                   "<td class=\"n\" data-key=\"{}\" data-label=\"channels\">{}</td><td data-key=\"{}\" "
                   "data-label=\"health\">{}</td></tr>\n",
                   channels, channels ? fmt::format("{}", channels) : "", health_key(b), health_html(b));
  }
  out += "</tbody></table></div>\n";
  if (norms.size() > count) {
    fmt::format_to(std::back_inserter(out), "<p class=\"soft\">and {} more, which the JSON report has</p>",
                   norms.size() - count);
  }
  out += "</section>\n";
}

std::string plots_of(const BatchNorm& b) {
  const Report::Channels& c = b.channels;
  const auto count = static_cast<int64_t>(c.gain.size());
  const auto plot = [&](std::string_view title, std::string_view formula, Plot::Scale scale, bool magnitude,
                        const std::vector<double>& values) {
    return Plot{.title = title,
                .formula = formula,
                .axis = "channel",
                .scale = scale,
                .points = plot_points(values, magnitude, c.marks),
                .values = values,
                .magnitude = magnitude,
                .count = count,
                .first = 0,
                .reference = {},
                .histogram = true};
  };
  using enum Plot::Scale;
  std::string out;
  out += plot_html(plot("Gain", "|scale| &divide; &radic;(variance + &epsilon;)", logarithmic, true, c.gain));
  out += plot_html(plot("Shift", "bias &minus; mean &times; gain", linear, false, c.shift));
  Plot variance = plot("Variance", "running, as stored", logarithmic, false, c.variance);
  if (b.epsilon > 0) variance.reference = Plot::Reference{b.epsilon, "&epsilon;"};
  // An epsilon far below everything would only flatten the plot.
  double least = std::numeric_limits<double>::infinity();
  for (double v : c.variance) least = v > 0 ? std::min(least, v) : least;
  if (least > 100 * b.epsilon) variance.reference.reset();
  out += plot_html(variance);
  out += c.bounds.empty() ? plot_html(plot("Mean", "running, as stored", linear, false, c.mean))
                          : plot_html(plot("Error bound", "relative to the channel&rsquo;s reach",
                                           logarithmic, true, c.bounds));
  return out.empty() ? out : "<div class=\"plots\">" + out + "</div>\n";
}

void add_details(std::string& out, const std::vector<BatchNorm>& norms, bool verdicts) {
  out += "<section aria-labelledby=\"each\"><h2 id=\"each\">Channel by channel</h2>\n";
  out +=
      "<ul class=\"legend\"><li><i></i>one channel</li><li class=\"neg\"><i></i>negative</li>"
      "<li class=\"w\"><i></i>has a warning</li><li class=\"e\"><i></i>has an error</li>"
      "<li class=\"tick\"><i></i>along the edge: any finding</li><li class=\"line\"><i></i>median</li>"
      "<li>bars at the right: how many channels lie there</li></ul>\n";
  bool full = false;
  const size_t count = std::min(norms.size(), kMostNorms);
  for (size_t i = 0; i < count; ++i) {
    const BatchNorm& b = norms[i];
    fmt::format_to(std::back_inserter(out), "<details class=\"norm\" id=\"bn-{}\"{}><summary>{} {}", i + 1,
                   count == 1 ? " open" : "", name(b.node), verdicts ? pill(b) : "");
    if (b.error_bound) out += " <span class=\"soft\">error &le; " + number_html(*b.error_bound) + "</span>";
    if (!b.channels.gain.empty())
      out += fmt::format(" <span class=\"soft\">{}</span>",
                         plural(static_cast<int64_t>(b.channels.gain.size()), "channel"));
    out += " " + health_html(b) + "</summary>\n<div class=\"inside\">";
    if (!verdicts) {
      out += fmt::format("<p>&epsilon; = {}</p>\n", number_html(b.epsilon));
    } else if (b.folded) {
      out += fmt::format("<p>Folded {} by {}.", because(b), name(b.rule));
      if (b.error_bound)
        out += fmt::format(
            " What that rounds moves no output of it by more than {} of the largest it can reach.",
            number_html(*b.error_bound));
      if (b.flushed != 0) out += fmt::format(" {} became 0.", plural(b.flushed, "subnormal constant"));
      out += "</p>\n";
    } else {
      out += fmt::format("<div class=\"why\"><p><b>Kept:</b> {}.</p>", text(b.reason));
      if (!b.blocking.empty()) out += fmt::format("<p><b>In the way:</b> {}</p>", name(b.blocking));
      if (!b.fix.empty()) out += fmt::format("<p><b>To change that:</b> {}.</p>", text(b.fix));
      out += "</div>\n";
    }
    if (!b.health.empty()) {
      out += "<ul class=\"findings\">";
      for (const HealthFinding& f : b.health) {
        out += fmt::format("<li>{} &nbsp;{}", severity_html(f.severity), text(plica::to_text(f)));
        if (!f.fix.empty())
          out += fmt::format(" <span class=\"soft\">To change that: {}.</span>", text(f.fix));
        out += "</li>";
      }
      out += "</ul>\n";
    }
    full = full || out.size() > kMostPlotBytes;
    out += full ? "<p class=\"soft\">Its plots are left out to keep this page small; the JSON report has its "
                  "channels.</p>"
                : plots_of(b);
    out += "</div></details>\n";
  }
  out += "</section>\n";
}

double median_of(std::vector<double> values) {
  std::erase_if(values, [](double v) { return !std::isfinite(v); });
  if (values.empty()) return std::nan("");
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

}  // namespace

void add_overview(std::string& out, const std::vector<BatchNorm>& norms) {
  if (norms.size() < 2) return;
  // By layer: the range and the median of |gain|; the bound.
  std::vector<double> low, middle, high, bounds;
  std::vector<uint8_t> marks;
  for (const BatchNorm& b : norms) {
    std::vector<double> magnitudes;
    for (double g : b.channels.gain) {
      if (std::isfinite(g) && g != 0) magnitudes.push_back(std::abs(g));
    }
    middle.push_back(median_of(magnitudes));
    low.push_back(magnitudes.empty() ? std::nan("") : *std::ranges::min_element(magnitudes));
    high.push_back(magnitudes.empty() ? std::nan("") : *std::ranges::max_element(magnitudes));
    bounds.push_back(b.error_bound.value_or(std::nan("")));
    uint8_t mark = 0;
    for (const HealthFinding& f : b.health)
      mark = std::max(mark, static_cast<uint8_t>(1 + static_cast<int>(f.severity)));
    marks.push_back(mark);
  }
  Plot gains{.title = "Gain, layer by layer",
             .formula = "median and range of |gain| in each batch norm",
             .axis = "batch norm, in graph order",
             .scale = Plot::Scale::logarithmic,
             .points = plot_points(middle, true, marks),
             .values = middle,
             .count = static_cast<int64_t>(middle.size()),
             .first = 1,
             .reference = {},
             .histogram = false};
  if (gains.points.size() == middle.size()) {
    for (size_t i = 0; i < middle.size(); ++i) {
      gains.points[i].middle = gains.points[i].low;
      gains.points[i].low = low[i];
      gains.points[i].high = high[i];
    }
  }
  const Plot errors{.title = "Error bound, layer by layer",
                    .formula = "of what folding rounds, relative to the layer&rsquo;s reach",
                    .axis = "batch norm, in graph order",
                    .scale = Plot::Scale::logarithmic,
                    .points = plot_points(bounds, true, {}),
                    .values = bounds,
                    .count = static_cast<int64_t>(bounds.size()),
                    .first = 1,
                    .reference = {},
                    .histogram = false};
  const std::string first = plot_html(gains), second = plot_html(errors);
  if (first.empty() && second.empty()) return;
  out +=
      "<section aria-labelledby=\"across\"><h2 id=\"across\">Across the model</h2>\n<div class=\"two wide\">";
  for (const std::string& figure : {first, second}) {
    if (!figure.empty()) out += "<div class=\"card\">" + figure + "</div>\n";
  }
  out += "</div></section>\n";
}

void add_batch_norms(std::string& out, const std::vector<BatchNorm>& norms, bool verdicts) {
  if (norms.empty()) return;
  add_table(out, norms, verdicts);
  add_details(out, norms, verdicts);
}

}  // namespace plica::markup
