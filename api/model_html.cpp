// Model::to_html: what summarize() says, as a page.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>

#include "api/report_markup.h"
#include "plica/model.h"

namespace plica {
namespace {

using namespace markup;
using Severity = HealthFinding::Severity;

constexpr size_t kMostRows = 200;

std::string count_text(int64_t count) {
  const auto value = static_cast<double>(count);
  for (const auto& [unit, letter] :
       {std::pair(1e12, "T"), std::pair(1e9, "G"), std::pair(1e6, "M"), std::pair(1e3, "k")}) {
    if (value >= unit) return fmt::format("{:.3g}&thinsp;{}", value / unit, letter);
  }
  return fmt::format("{}", count);
}

void add_tensors(std::string& out, std::string_view title, const std::vector<TensorInfo>& list) {
  for (size_t i = 0; i < std::min(list.size(), kMostRows); ++i) {
    fmt::format_to(std::back_inserter(out),
                   "<tr><th scope=\"row\">{} {}</th><td><code>{}</code>{}</td></tr>\n", title,
                   name(list[i].name), text(list[i].text), list[i].has_default ? " (has a default)" : "");
  }
  if (list.size() > kMostRows)
    fmt::format_to(std::back_inserter(out), "<tr><td colspan=\"2\">and {} more</td></tr>",
                   list.size() - kMostRows);
}

void add_facts(std::string& out, const Model& model, const ModelSummary& s) {
  out +=
      "<section aria-labelledby=\"what\"><h2 id=\"what\">The model</h2>\n<div class=\"two\">\n<div "
      "class=\"scroll\"><table><tbody>\n";
  add_tensors(out, "input", model.inputs());
  add_tensors(out, "output", model.outputs());
  const auto row = [&](std::string_view head, const std::string& html) {
    fmt::format_to(std::back_inserter(out), "<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", head, html);
  };
  for (const auto& [domain, version] : s.opsets)
    row("opset", fmt::format("{} {}", domain.empty() ? "ai.onnx" : text(domain), version));
  row("IR version", fmt::format("{}", s.ir_version));
  if (!s.producer.empty()) row("producer", text(s.producer + " " + s.producer_version));
  for (size_t i = 0; i < std::min(model.metadata().size(), kMostRows); ++i)
    row(text(model.metadata()[i].first), text(model.metadata()[i].second));
  out +=
      "</tbody></table></div>\n<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Operator</th><th "
      "scope=\"col\" "
      "class=\"n\">nodes</th><td style=\"width:40%\"></td></tr></thead><tbody>\n";
  std::vector<std::pair<std::string, int64_t>> rows(s.operators.begin(), s.operators.end());
  std::ranges::stable_sort(rows, std::greater(), &std::pair<std::string, int64_t>::second);
  for (size_t i = 0; i < std::min(rows.size(), kMostRows); ++i) {
    fmt::format_to(std::back_inserter(out),
                   "<tr><th scope=\"row\">{}</th><td class=\"n\">{}</td><td aria-hidden=\"true\"><div "
                   "class=\"bars\"><i></i><i "
                   "style=\"width:{:.1f}%\"></i></div></td></tr>\n",
                   name(rows[i].first), rows[i].second,
                   100.0 * static_cast<double>(rows[i].second) / static_cast<double>(rows[0].second));
  }
  out += "</tbody></table></div>\n</div></section>\n";
}

}  // namespace

std::string Model::to_html(std::string_view title, const DimSizes& sizes) const {
  ModelSummary s = summarize(sizes);
  std::vector<Report::BatchNorm> norms;
  int64_t errors = 0, warnings = 0, notes = 0;
  for (ModelSummary::BatchNorm& b : s.batch_norms) {
    for (const HealthFinding& f : b.health)
      ++(f.severity == Severity::error ? errors : f.severity == Severity::warning ? warnings : notes);
    norms.push_back({.node = std::move(b.node),
                     .epsilon = b.epsilon,
                     .channels = std::move(b.values),
                     .health = std::move(b.health)});
  }

  std::string body = "<ul class=\"cards\">\n";
  add_card(body, "Nodes", fmt::format("{}", s.nodes), "",
           fmt::format("<p>{}</p>", plural(static_cast<int64_t>(s.operators.size()), "operator")));
  add_card(body, "Parameters", count_text(s.parameters), "",
           fmt::format("<p>{}B</p>", count_text(s.parameter_bytes)));
  std::string assumed;
  for (const std::string& a : s.assumptions) assumed += (assumed.empty() ? " with " : ", ") + text(a);
  if (s.macs_unknown != 0)
    assumed += fmt::format("; those of {} are not known", plural(s.macs_unknown, "node"));
  add_card(body, "Multiply-accumulates", count_text(s.macs), "",
           fmt::format("<p>for one run{}</p>", assumed));
  add_card(body, "Health of batch norms",
           errors != 0      ? plural(errors, "error")
           : warnings != 0  ? plural(warnings, "warning")
           : !norms.empty() ? "good"
                            : "&ndash;",
           errors != 0                       ? "bad"
           : warnings == 0 && !norms.empty() ? "ok"
                                             : "",
           fmt::format("<p>{}, {}, {} in {}.</p>", plural(errors, "error"), plural(warnings, "warning"),
                       plural(notes, "note"), plural(static_cast<int64_t>(norms.size()), "batch norm")));
  body += "</ul>\n";
  add_facts(body, *this, s);
  add_overview(body, norms);
  add_batch_norms(body, norms, false);
  return page(title, "Plica inspection",
              norms.empty() ? "It has no batch norms."
                            : fmt::format("{}, before anything is optimized.",
                                          plural(static_cast<int64_t>(norms.size()), "batch norm")),
              body, kHealthFooter);
}

}  // namespace plica
