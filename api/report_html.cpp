// Report::to_html: one page that needs nothing else: its frame, and what it says of the model as a whole.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <map>

#include "api/report_markup.h"
#include "api/report_plot.h"
#include "api/report_style.h"
#include "plica/report.h"

namespace plica {
namespace {

using namespace markup;
using Severity = HealthFinding::Severity;
using BatchNorm = Report::BatchNorm;

constexpr size_t kMostOperators = 60;

std::string change(int64_t before, int64_t after) {
  if (before == 0 || before == after) return "no change";
  return fmt::format("{}{:.0f}&thinsp;%", after < before ? "&minus;" : "+",
                     100.0 * std::abs(static_cast<double>(before - after)) / static_cast<double>(before));
}

void card(std::string& out, std::string_view title, std::string_view big, std::string_view css,
          std::string_view rest) {
  fmt::format_to(std::back_inserter(out),
                 "<li class=\"card\"><h2>{}</h2><div class=\"big {}\">{}</div>{}</li>\n", title, css, big,
                 rest);
}

// Where difference and tolerance lie, on a logarithmic track of nine decades up to ten tolerances.
std::string gauge(const Report::Verification& v) {
  if (!(v.tolerance > 0)) return "";
  const auto place = [&](double value) {
    const double top = std::log10(v.tolerance) + 1;
    return value > 0 ? std::clamp((std::log10(value) - top + 6) / 6 * 100, 1.0, 99.0) : 1.0;
  };
  std::string out = fmt::format(
      "<div class=\"gauge{}\" style=\"--t:{:.1f}%\" role=\"img\" aria-label=\"difference {:.2e}, tolerance "
      "{:.2e}\">",
      v.equal ? "" : " bad", place(v.tolerance), v.max_difference, v.tolerance);
  if (v.sensitivity > 0)
    out += fmt::format("<b style=\"left:{:.1f}%\" title=\"sensitivity {:.2e}\"></b>", place(v.sensitivity),
                       v.sensitivity);
  return out + fmt::format("<i style=\"left:{:.1f}%\"></i></div>", place(v.max_difference));
}

void add_cards(std::string& out, const Report& r) {
  const auto norms = static_cast<int64_t>(r.batch_norms.size());
  out += "<ul class=\"cards\">\n";
  card(out, "Batch norms folded", fmt::format("{} <small>of {}</small>", r.folded(), norms),
       norms != 0 && r.folded() == norms ? "ok" : "",
       norms == 0
           ? std::string("<p>The model has none.</p>")
           : fmt::format(
                 "<div class=\"meter\" aria-hidden=\"true\"><i style=\"width:{:.1f}%\"></i></div><p>{}</p>",
                 100.0 * static_cast<double>(r.folded()) / static_cast<double>(norms),
                 r.folded() == norms ? "None is left."
                                     : fmt::format("{} kept; each says why below.", norms - r.folded())));
  card(out, "Nodes", fmt::format("{} <small>&rarr;</small> {}", r.nodes_before, r.nodes_after), "",
       fmt::format("<div class=\"meter\" aria-hidden=\"true\"><i "
                   "style=\"width:{:.1f}%;background:var(--accent)\"></i></div>"
                   "<p>{}, by {}.</p>",
                   r.nodes_before
                       ? 100.0 * static_cast<double>(r.nodes_after) / static_cast<double>(r.nodes_before)
                       : 100.0,
                   change(r.nodes_before, r.nodes_after), plural(r.rewrites(), "rewrite")));
  if (!r.verification) {
    card(out, "Outputs before and after", "not compared", "",
         "<p><code>plica optimize --verify</code> runs the model before and after.</p>");
  } else {
    const Report::Verification& v = *r.verification;
    std::string inputs = plural(v.inputs, "set") + " of inputs";
    if (v.given != 0) inputs += fmt::format(", {} of them given", v.given);
    card(out, "Outputs before and after", v.equal ? "equal" : "different", v.equal ? "ok" : "bad",
         gauge(v) +
             fmt::format(
                 "<p>Largest difference {} of the output&rsquo;s magnitude ({}), tolerance {}; {}.</p>",
                 number_html(v.max_difference), name(v.worst_output), number_html(v.tolerance), inputs));
  }
  const int64_t errors = r.findings(Severity::error), warnings = r.findings(Severity::warning);
  card(out, "Health of batch norms",
       errors != 0     ? plural(errors, "error")
       : warnings != 0 ? plural(warnings, "warning")
       : norms != 0    ? "good"
                       : "&ndash;",
       errors != 0                   ? "bad"
       : warnings == 0 && norms != 0 ? "ok"
                                     : "",
       fmt::format("<p>{}, {}, {}, from the parameters before folding.</p>", plural(errors, "error"),
                   plural(warnings, "warning"), plural(r.findings(Severity::note), "note")));
  out += "</ul>\n";
}

double median_of(std::vector<double> values) {
  std::erase_if(values, [](double v) { return !std::isfinite(v); });
  if (values.empty()) return std::nan("");
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

void add_overview(std::string& out, const Report& r) {
  if (r.batch_norms.size() < 2) return;
  // By layer: the range and the median of |gain|; the bound.
  std::vector<double> low, middle, high, bounds;
  std::vector<uint8_t> marks;
  for (const BatchNorm& b : r.batch_norms) {
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

void add_operators(std::string& out, const Report& r) {
  struct Row {
    std::string_view op;
    int64_t before = 0, after = 0;
  };
  std::map<std::string_view, Row> by_name;
  for (const auto& [op, count] : r.operators_before) by_name[op] = {op, count, 0};
  for (const auto& [op, count] : r.operators_after) {
    by_name[op].op = op;
    by_name[op].after = count;
  }
  std::vector<Row> rows;
  int64_t most = 1;
  for (const auto& [op, row] : by_name) {
    rows.push_back(row);
    most = std::max({most, row.before, row.after});
  }
  std::ranges::stable_sort(rows, [](const Row& a, const Row& b) { return a.before > b.before; });
  out +=
      "<section aria-labelledby=\"what\"><h2 id=\"what\">What changed</h2>\n<div class=\"two\">\n<div "
      "class=\"scroll\">"
      "<table><thead><tr><th scope=\"col\">Operator</th><th scope=\"col\" class=\"n\">before</th><th "
      "scope=\"col\" "
      "class=\"n\">after</th><td style=\"width:40%\"></td></tr></thead><tbody>\n";
  for (size_t i = 0; i < std::min(rows.size(), kMostOperators); ++i) {
    const Row& row = rows[i];
    const auto share = [&](int64_t n) { return 100.0 * static_cast<double>(n) / static_cast<double>(most); };
    fmt::format_to(
        std::back_inserter(out),
        "<tr><th scope=\"row\">{}</th><td class=\"n\">{}</td><td class=\"n\">{}</td><td aria-hidden=\"true\">"
        "<div class=\"bars\"><i style=\"width:{:.1f}%\"></i><i "
        "style=\"width:{:.1f}%\"></i></div></td></tr>\n",
        name(row.op), row.before, row.after, share(row.before), share(row.after));
  }
  out += "</tbody></table></div>\n";
  if (rows.size() > kMostOperators)
    fmt::format_to(std::back_inserter(out), "<p class=\"soft\">and {} more operators</p>",
                   rows.size() - kMostOperators);
  out +=
      "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Rule</th><th scope=\"col\" "
      "class=\"n\">rewrites</th></tr>"
      "</thead><tbody>\n";
  if (r.rules.empty()) out += "<tr><td colspan=\"2\" class=\"soft\">no rule found anything to do</td></tr>";
  for (const auto& [rule, count] : r.rules)
    fmt::format_to(std::back_inserter(out), "<tr><th scope=\"row\">{}</th><td class=\"n\">{}</td></tr>\n",
                   name(rule), count);
  out += "</tbody></table></div>\n</div></section>\n";
}

constexpr std::string_view kFooter = R"(<footer><h2>How to read this</h2>
<p>A batch norm at inference multiplies each channel by a gain and adds a shift. Both are constants, which the linear operator next
to it can take into its weights and bias: folding does that, in double precision, and rounds once.</p>
<dl><dt>Error bound</dt><dd>How far rounding those constants can move any output of the operator that took them in, relative to the
largest magnitude that output can reach. Proven, not measured; roundings while a model runs are not in it.</dd>
<dt>Tolerance</dt><dd>How far outputs may be apart when nothing is wrong: eight times what moving every weight of the original model by
its last digit does to them (the upright mark on the gauge), which is measured on the same inputs.</dd>
<dt>Health</dt><dd>What is remarkable about the parameters before anything is folded. An error computes NaN, infinity or something
that depends on the rest of the batch; a warning is likely a mistake, or costs accuracy or speed; a note is worth knowing.</dd></dl>
<p>Written by Plica.</p></footer>
)";

}  // namespace

std::string Report::to_html() const {
  std::string out;
  const std::string title = model.empty() ? "a model" : text(model);
  fmt::format_to(
      std::back_inserter(out),
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
      "script-src 'unsafe-inline'\">\n"
      "<title>Plica: {}</title>\n<style>{}</style></head>\n<body>\n",
      title, kReportStyle);
  fmt::format_to(
      std::back_inserter(out),
      "<header><div class=\"eyebrow\">Plica optimization report</div><h1><bdi>{}</bdi></h1>\n<p "
      "class=\"lead\">{}"
      "</p></header>\n<main>\n",
      title,
      batch_norms.empty() ? std::string("It has no batch norms.")
      : folded() == static_cast<int64_t>(batch_norms.size())
          ? fmt::format("Every batch norm is folded: nothing of the {} is left to compute.",
                        batch_norms.size())
          : fmt::format("{} of {} batch norms are folded; the others say below what is in the way.", folded(),
                        batch_norms.size()));
  add_cards(out, *this);
  add_overview(out, *this);
  add_operators(out, *this);
  add_batch_norms(out, *this);
  out += "</main>\n";
  out += kFooter;
  fmt::format_to(std::back_inserter(out), "<script>{}</script>\n</body></html>\n", kReportScript);
  return out;
}

}  // namespace plica
