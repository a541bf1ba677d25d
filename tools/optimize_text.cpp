#include "tools/optimize_text.h"

#include <fmt/ranges.h>

#include "engine/core/error.h"
#include "tools/console.h"

namespace plica::tools {
namespace {

std::string size_text(const Model& model, const ModelSummary& summary) {
  // One that needs external data has no size as a single file.
  constexpr int64_t kMostInOneFile = int64_t{2000} << 20;
  const bool large = summary.parameter_bytes > kMostInOneFile;
  return (large ? "about " : "") + human_bytes(large ? static_cast<double>(summary.parameter_bytes)
                                                     : static_cast<double>(model.serialized_size()));
}

void print_comparison(const Model& before, const Model& after, const Report& report) {
  const ModelSummary a = before.summarize(), b = after.summarize();
  using enum Table::Align;
  Table table({"", "before", "after"}, {left, right, right});
  const auto row = [&](const char* what, auto x, auto y) {
    table.add({what, fmt::format("{}", x), fmt::format("{}", y)});
  };
  row("nodes", report.nodes_before, report.nodes_after);
  row("operators", a.operators.size(), b.operators.size());
  row("batch norms", a.batch_norms.size(), b.batch_norms.size());
  row("size", size_text(before, a), size_text(after, b));
  print(table.text());
}

std::string_view colored(HealthFinding::Severity severity, std::string& text) {
  using enum HealthFinding::Severity;
  text = styled(severity == error     ? Style::red
                : severity == warning ? Style::yellow
                                      : Style::dim,
                to_string(severity));
  return text;
}

void print_verdicts(const Report& report) {
  for (const Report::BatchNorm& b : report.batch_norms) {
    if (b.folded) {
      std::vector<std::string> into;
      for (const std::string& name : b.into) into.push_back(escaped(name));
      print("{}  {}{}{}{}{}  [{}{}]\n", styled(Style::green, "folded"), escaped(b.node),
            into.empty() ? ": nothing was left to compute" : " into ", fmt::join(into, ", "),
            b.offset_stays ? "; its offset stays" : "",
            b.error_bound ? fmt::format(", error at most {:.1e}", *b.error_bound) : "", b.rule,
            b.flushed ? fmt::format(", {} subnormal constants became 0", b.flushed) : "");
    } else {
      print("{}    {}: {}{}{}\n", styled(Style::yellow, "kept"), escaped(b.node), escaped(b.reason),
            b.fix.empty() ? "" : "; to change that: ", escaped(b.fix));
    }
    for (const HealthFinding& f : b.health) {
      std::string severity;
      print("        {}: {}{}{}\n", colored(f.severity, severity), escaped(to_text(f)),
            f.fix.empty() ? "" : "; to change that: ", escaped(f.fix));
    }
  }
}

void print_health(const Report& report, bool explained) {
  using enum HealthFinding::Severity;
  std::vector<std::string> parts;
  for (const auto& [severity, word] : {std::pair(error, "error"), std::pair(warning, "warning")}) {
    if (const int64_t count = report.findings(severity))
      parts.push_back(fmt::format("{} {}{}", count, word, count == 1 ? "" : "s"));
  }
  if (!parts.empty())
    print("health of batch norms: {}{}\n", fmt::join(parts, ", "),
          explained ? "" : " (--explain lists them)");
}

}  // namespace

void print_report(const Model& before, const Model& after, const Report& report, bool explain) {
  print_comparison(before, after, report);
  const size_t norms = report.batch_norms.size();
  const auto folded = static_cast<size_t>(report.folded());
  if (norms) {
    print("{} of {} batch norms folded{}\n", folded, norms,
          folded == norms || explain ? "" : " (--explain tells why the rest was not)");
  }
  if (explain) print_verdicts(report);
  print_health(report, explain);
  if (!report.verification) return;
  const Report::Verification& v = *report.verification;
  print("{} on {} inputs{}: largest difference {:.2e} of the output's magnitude, tolerance {:.2e}\n",
        v.equal ? styled(Style::green, "equal") : styled(Style::red, "different"), v.inputs,
        v.given ? fmt::format(" ({} of them given)", v.given) : "", v.max_difference, v.tolerance);
}

}  // namespace plica::tools
