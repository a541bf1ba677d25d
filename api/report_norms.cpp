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
  return b.into.empty() ? std::string("nothing was left to compute") : "into " + names(b.into);
}

void add_table(std::string& out, const Report& r) {
  fmt::format_to(
      std::back_inserter(out),
      "<section aria-labelledby=\"norms\"><h2 id=\"norms\">Batch norms</h2>\n"
      "<p class=\"filter\" hidden><label>Show only <input type=\"search\" placeholder=\"name, kept, warning "
      "&hellip;\"></label></p>\n<div class=\"scroll\"><table class=\"norms\"><thead><tr>"
      "<th scope=\"col\" class=\"n\" data-sort=\"number\">#</th><th scope=\"col\" "
      "data-sort=\"text\">Node</th>"
      "<th scope=\"col\" data-sort=\"text\">Verdict</th><th scope=\"col\" data-sort=\"text\">Where, or why "
      "not</th>"
      "<th scope=\"col\" class=\"n\" data-sort=\"number\">Error bound</th>"
      "<th scope=\"col\" class=\"n\" data-sort=\"number\">Channels</th>"
      "<th scope=\"col\" data-sort=\"number\">Health</th></tr></thead><tbody>\n");
  const size_t count = std::min(r.batch_norms.size(), kMostNorms);
  for (size_t i = 0; i < count; ++i) {
    const BatchNorm& b = r.batch_norms[i];
    const size_t channels = b.channels.gain.size();
    fmt::format_to(std::back_inserter(out),
                   "<tr><td class=\"n\" data-key=\"{0}\">{0}</td><th scope=\"row\"><a "
                   "href=\"#bn-{0}\">{1}</a></th><td>{2}</td>"
                   "<td>{3}</td><td class=\"n\" data-key=\"{4}\" data-label=\"error bound\">{5}</td>"
                   "<td class=\"n\" data-key=\"{6}\" data-label=\"channels\">{7}</td><td data-key=\"{8}\" "
                   "data-label=\"health\">{9}</td></tr>\n",
                   i + 1, name(b.node), pill(b), because(b), b.error_bound.value_or(0),
                   b.error_bound ? number_html(*b.error_bound) : "", channels,
                   channels ? fmt::format("{}", channels) : "", health_key(b), health_html(b));
  }
  out += "</tbody></table></div>\n";
  if (r.batch_norms.size() > count) {
    fmt::format_to(std::back_inserter(out), "<p class=\"soft\">and {} more, which the JSON report has</p>",
                   r.batch_norms.size() - count);
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

void add_details(std::string& out, const Report& r) {
  if (r.batch_norms.empty()) return;
  out += "<section aria-labelledby=\"each\"><h2 id=\"each\">Channel by channel</h2>\n";
  out +=
      "<ul class=\"legend\"><li><i></i>one channel</li><li class=\"neg\"><i></i>negative</li>"
      "<li class=\"w\"><i></i>has a warning</li><li class=\"e\"><i></i>has an error</li>"
      "<li class=\"tick\"><i></i>along the edge: any finding</li><li class=\"line\"><i></i>median</li>"
      "<li>bars at the right: how many channels lie there</li></ul>\n";
  bool full = false;
  const size_t count = std::min(r.batch_norms.size(), kMostNorms);
  for (size_t i = 0; i < count; ++i) {
    const BatchNorm& b = r.batch_norms[i];
    fmt::format_to(std::back_inserter(out), "<details class=\"norm\" id=\"bn-{}\"{}><summary>{} {}", i + 1,
                   count == 1 ? " open" : "", name(b.node), pill(b));
    if (b.error_bound) out += " <span class=\"soft\">error &le; " + number_html(*b.error_bound) + "</span>";
    if (!b.channels.gain.empty())
      out += fmt::format(" <span class=\"soft\">{}</span>",
                         plural(static_cast<int64_t>(b.channels.gain.size()), "channel"));
    out += " " + health_html(b) + "</summary>\n<div class=\"inside\">";
    if (b.folded) {
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

}  // namespace

void add_batch_norms(std::string& out, const Report& report) {
  if (report.batch_norms.empty()) return;
  add_table(out, report);
  add_details(out, report);
}

}  // namespace plica::markup
