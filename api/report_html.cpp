// Report::to_html: one page that needs nothing else: its frame, and what it says of the model as a whole.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <map>

#include "api/report_markup.h"
#include "api/report_plot.h"
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

// Where difference and tolerance lie, on a logarithmic track of six decades up to ten tolerances.
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
  add_card(
      out, "Batch norms folded", fmt::format("{} <small>of {}</small>", r.folded(), norms),
      norms != 0 && r.folded() == norms ? "ok" : "",
      norms == 0
          ? std::string("<p>The model has none.</p>")
          : fmt::format(
                "<div class=\"meter\" aria-hidden=\"true\"><i style=\"width:{:.1f}%\"></i></div><p>{}</p>",
                100.0 * static_cast<double>(r.folded()) / static_cast<double>(norms),
                r.folded() == norms ? "None is left."
                                    : fmt::format("{} kept; each says why below.", norms - r.folded())));
  add_card(out, "Nodes", fmt::format("{} <small>&rarr;</small> {}", r.nodes_before, r.nodes_after), "",
           fmt::format("<div class=\"meter\" aria-hidden=\"true\"><i "
                       "style=\"width:{:.1f}%;background:var(--accent)\"></i></div>"
                       "<p>{}, by {}.</p>",
                       r.nodes_before
                           ? 100.0 * static_cast<double>(r.nodes_after) / static_cast<double>(r.nodes_before)
                           : 100.0,
                       change(r.nodes_before, r.nodes_after), plural(r.rewrites(), "rewrite")));
  if (!r.verification) {
    add_card(out, "Outputs before and after", "not compared", "",
             "<p><code>plica optimize --verify</code> runs the model before and after.</p>");
  } else {
    const Report::Verification& v = *r.verification;
    std::string inputs = plural(v.inputs, "set") + " of inputs";
    if (v.given != 0) inputs += fmt::format(", {} of them given", v.given);
    add_card(out, "Outputs before and after", v.equal ? "equal" : "different", v.equal ? "ok" : "bad",
             gauge(v) +
                 fmt::format(
                     "<p>Largest difference {} of the output&rsquo;s magnitude ({}), tolerance {}; {}.</p>",
                     number_html(v.max_difference), name(v.worst_output), number_html(v.tolerance), inputs));
  }
  const int64_t errors = r.findings(Severity::error), warnings = r.findings(Severity::warning);
  add_card(out, "Health of batch norms",
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

const std::string kFooter =
    "<p>A batch norm at inference multiplies each channel by a gain and adds a shift. Both are constants, "
    "which a "
    "linear operator next to it can take into its weights and bias: folding does that, in double precision, "
    "and "
    "rounds once.</p>\n<dl><dt>Error bound</dt><dd>How far rounding those constants can move any output of "
    "the "
    "operator that took them in, relative to the largest magnitude that output can reach. Proven, not "
    "measured; "
    "roundings while a model runs are not in it.</dd>\n<dt>Tolerance</dt><dd>How far outputs may be apart "
    "when "
    "nothing is wrong: eight times what moving every weight of the original model by its last digit does to "
    "them "
    "(the upright mark on the gauge), which is measured on the same inputs.</dd></dl>\n";

}  // namespace

std::string Report::to_html() const {
  const auto all = static_cast<int64_t>(batch_norms.size());
  const auto offsets = std::ranges::count_if(batch_norms, [](const BatchNorm& b) { return b.offset_stays; });
  const std::string lead =
      all == 0 ? std::string("It has no batch norms.")
      : folded() == all && offsets != 0
          ? fmt::format("Every batch norm is folded; of {} of the {} the offset stays, the factors are gone.",
                        offsets, all)
      : folded() == all
          ? fmt::format("Every batch norm is folded: nothing of the {} is left to compute.", all)
          : fmt::format("{} of {} batch norms are folded; the others say below what is in the way.", folded(),
                        all);
  std::string body;
  add_cards(body, *this);
  add_overview(body, batch_norms);
  add_operators(body, *this);
  add_batch_norms(body, batch_norms, true);
  return page(model, "Plica optimization report", lead, body, kFooter + std::string(kHealthFooter));
}

}  // namespace plica
