// plica optimize: folds batch norms, simplifies, writes ONNX.
#include <fmt/ranges.h>

#include <filesystem>
#include <limits>
#include <memory>

#include "engine/core/fail.h"
#include "engine/core/file.h"
#include "plica/plica.h"
#include "tools/commands.h"
#include "tools/console.h"
#include "tools/exit.h"
#include "tools/files.h"
#include "tools/signals.h"
#include "tools/verify.h"

namespace plica::tools {
namespace {

constexpr size_t kExternalThreshold = 1024;  // what onnx.save_model puts outside by default

struct OptimizeOptions {
  std::string input, output, report;
  std::vector<std::string> disable, only, keep, dump_after;
  int64_t max_rewrites = -1, verify = 0;
  uint64_t seed = 0;
  int threads = 0;
  ShapeOptions shapes;
  bool in_place = false, external_data = false, explain = false, json = false;
};

void check_usage(OptimizeOptions& options) {
  if (options.output.empty()) {
    if (!options.in_place)
      exit_with(kUsage, "OUT is missing (or say --in-place) (see plica optimize --help)");
    options.output = options.input;
  }
  refuse_overwrite(options.input, options.output, options.in_place);
  if (options.output == "-" && options.json)
    exit_with(kUsage, "OUT - and --json both want the standard output");
  if (options.output == "-" && options.external_data)
    exit_with(kUsage, "external data needs OUT to be a file");
  if (options.report.empty()) return;
  const std::string extension = std::filesystem::path(options.report).extension();
  if (extension != ".json")
    exit_with(kUsage, "--report {}: reports are written as .json, not as {}", quoted(options.report),
              quoted(extension));
  refuse_overwrite(options.input, options.report, false);
  if (std::filesystem::weakly_canonical(options.report) ==
      std::filesystem::weakly_canonical(options.output)) {
    exit_with(kUsage, "--report and OUT are the same file");
  }
}

Report optimize_model(Model& model, const OptimizeOptions& options) {
  Model::OptimizeOptions inner;
  inner.disable = options.disable;
  inner.only = options.only;
  inner.keep = options.keep;
  inner.max_rewrites = options.max_rewrites;
  inner.dump_after = options.dump_after;
  inner.on_dump = [&](std::string_view pass, std::string_view listing) {
    const std::string text = fmt::format("# after {}\n{}", pass, listing);
    if (options.output == "-" || options.json) {
      fmt::print(stderr, "{}", text);
    } else {
      print(std::string_view(text));
    }
  };
  inner.progress = [](std::string_view pass, int done, int total) {
    if (done % 64 == 0) progress(fmt::format("{}: {} of {} nodes", pass, done, total));
  };
  Report report = model.optimize(inner);
  progress("");
  return report;
}

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

void print_verdicts(const Report& report) {
  for (const Report::BatchNorm& b : report.batch_norms) {
    if (b.folded) {
      std::vector<std::string> into;
      for (const std::string& name : b.into) into.push_back(escaped(name));
      print("{}  {} into {}{}  [{}{}]\n", styled(Style::green, "folded"), escaped(b.node),
            fmt::join(into, ", "), b.error_bound ? fmt::format(", error at most {:.1e}", *b.error_bound) : "",
            b.rule, b.flushed ? fmt::format(", {} subnormal constants became 0", b.flushed) : "");
    } else {
      print("{}    {}: {}{}{}\n", styled(Style::yellow, "kept"), escaped(b.node), b.reason,
            b.fix.empty() ? "" : "; to change that: ", b.fix);
    }
  }
}

void print_report(const OptimizeOptions& options, const Model& before, const Model& after,
                  const Report& report) {
  print_comparison(before, after, report);
  const size_t norms = report.batch_norms.size();
  const auto folded = static_cast<size_t>(report.folded());
  if (norms) {
    print("{} of {} batch norms folded{}\n", folded, norms,
          folded == norms || options.explain ? "" : " (--explain tells why the rest was not)");
  }
  if (options.explain) print_verdicts(report);
  if (!report.verification) return;
  const Report::Verification& v = *report.verification;
  print("{} on {} inputs: largest difference {:.2e} of the output's magnitude, tolerance {:.2e}\n",
        v.equal ? styled(Style::green, "equal") : styled(Style::red, "different"), v.inputs, v.max_difference,
        v.tolerance);
}

int optimize(OptimizeOptions options) {
  check_usage(options);
  const Model before = load_model(options.input);
  Model after = before;
  Report report;
  about_model(options.input, [&] {
    const DimSizes sizes = options.shapes.resolve(before);
    report = optimize_model(after, options);
    if (options.verify > 0) {
      std::vector<std::string> assumed;
      const VerifyOptions how{
          .inputs = options.verify, .seed = options.seed, .threads = options.threads, .sizes = sizes};
      // What is compared is what would be read back from the file.
      report.verification = verify(before, Model::parse(after.serialize()), report, how, &assumed);
      for (const std::string& choice : assumed) note("verified with {}", escaped(choice));
    }
  });
  const bool differs = report.verification && !report.verification->equal;
  if (!options.report.empty()) write_output(options.report, report.to_json() + "\n");
  if (!differs) {
    if (options.output == "-") {
      write_output("-", after.serialize());
    } else {
      const CriticalSection critical;
      after.save(options.output, {.external_data_threshold = options.external_data ? kExternalThreshold : 0});
    }
  }
  if (options.json) {
    print(report.to_json() + "\n");
  } else if (options.output != "-") {
    print_report(options, before, after, report);
  }
  if (!differs) return kOk;
  exit_with(
      kDiffer, "{}: output {} differs after optimization by {:.2e} of its magnitude: nothing was written",
      shown(options.input), quoted(report.verification->worst_output), report.verification->max_difference);
}

}  // namespace

void add_optimize(CLI::App& program, Invocation& invocation) {
  auto options = std::make_shared<OptimizeOptions>();
  CLI::App* app = program.add_subcommand("optimize", "Fold batch norms and simplify; write ONNX");
  app->add_option("IN", options->input, "ONNX file, or - for the standard input")->required();
  app->add_option("OUT", options->output, "File to write, or - for the standard output");
  app->add_flag("--in-place", options->in_place, "Allow OUT to be IN; OUT may then be left out");
  app->add_flag("--explain", options->explain, "Say what became of every batch norm, and why");
  app->add_option("--report", options->report, "Write the report as JSON")->type_name("FILE.json");
  app->add_flag("--verify{3}", options->verify,
                "Run the model before and after on 3 (or =N) seeded inputs; write nothing and exit with 3 "
                "when they differ");
  app->add_option("--seed", options->seed, "Of those inputs (default 0)")->type_name("N");
  add_shape_options(*app, options->shapes);
  add_threads(*app, options->threads);
  add_list(*app, "--disable", options->disable, "Rule or pass not to run (plica list-rules)")
      ->type_name("RULE");
  add_list(*app, "--only", options->only, "Run only this rule or pass")->type_name("RULE");
  add_list(*app, "--keep", options->keep, "Node that nothing may change")->type_name("NODE");
  app->add_option("--max-rewrites", options->max_rewrites,
                  "Stop after N rewrites (to find the one that does harm)")
      ->check(CLI::Range(int64_t{0}, std::numeric_limits<int64_t>::max()))
      ->type_name("N");
  add_list(*app, "--dump-after", options->dump_after, "Print the graph after this pass")->type_name("PASS");
  app->add_flag("--external-data", options->external_data, "Put large tensors into OUT.data beside OUT");
  add_json(*app, options->json);
  app->footer(R"(
Examples:
  plica optimize net.onnx folded.onnx --explain --verify
  plica optimize net.onnx folded.onnx --report report.json --disable fold_constants
  plica optimize net.onnx - | plica inspect -)");
  app->callback([options, &invocation] { invocation.run = [options] { return optimize(*options); }; });
}

}  // namespace plica::tools
