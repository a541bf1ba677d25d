// plica optimize: folds batch norms, simplifies, writes ONNX.
#include <fmt/ranges.h>

#include <filesystem>
#include <limits>
#include <memory>

#include "engine/core/fail.h"
#include "engine/core/file.h"
#include "plica/plica.h"
#include "tools/bisect.h"
#include "tools/commands.h"
#include "tools/console.h"
#include "tools/exit.h"
#include "tools/files.h"
#include "tools/optimize_text.h"
#include "tools/samples.h"
#include "tools/signals.h"
#include "tools/verify.h"

namespace plica::tools {
namespace {

constexpr size_t kExternalThreshold = 1024;  // what onnx.save_model puts outside by default

constexpr int64_t kSeededInputs = 3;

struct OptimizeOptions {
  std::string input, output, report, data;
  std::vector<std::string> disable, only, keep, dump_after;
  int64_t max_rewrites = -1, verify = 0;
  uint64_t seed = 0;
  double tolerance = -1;
  int threads = 0;
  ShapeOptions shapes;
  SampleOptions samples;
  bool in_place = false, external_data = false, explain = false, json = false, bisect = false;
};

bool is_html(const std::filesystem::path& path) {
  return path.extension() == ".html" || path.extension() == ".htm";
}

void check_usage(OptimizeOptions& options) {
  if (options.tolerance >= 0 && options.verify == 0 && options.data.empty()) options.verify = kSeededInputs;
  if (options.bisect) {
    if (!options.output.empty() || options.in_place || !options.report.empty() || options.external_data)
      exit_with(kUsage, "--bisect writes no model and no report: leave out OUT, --in-place and --report");
    if (options.verify == 0 && options.data.empty()) options.verify = kSeededInputs;
    return;
  }
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
  if (extension != ".json" && !is_html(options.report))
    exit_with(kUsage, "--report {}: reports are written as .json or .html, not as {}", quoted(options.report),
              quoted(extension));
  refuse_overwrite(options.input, options.report, false);
  if (std::filesystem::weakly_canonical(options.report) ==
      std::filesystem::weakly_canonical(options.output)) {
    exit_with(kUsage, "--report and OUT are the same file");
  }
}

Model::OptimizeOptions inner_options(const OptimizeOptions& options) {
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
  return inner;
}

// What --verify, --data and --tolerance want compared with `before`.
class Comparison {
 public:
  Comparison(const Model& before, const OptimizeOptions& options, const DimSizes& sizes) {
    if (!options.data.empty()) {
      SampleOptions how = options.samples;
      how.sizes = sizes;
      samples_ = Samples::open(options.data, before, how);
    }
    VerifyOptions how{
        .inputs = options.verify, .seed = options.seed, .threads = options.threads, .sizes = sizes};
    if (samples_) how.data = &*samples_;
    if (options.tolerance >= 0) how.tolerance = options.tolerance;
    std::vector<std::string> assumed;
    verifier_.emplace(before, how, &assumed);
    for (const std::string& choice : assumed) note("verified with {}", escaped(choice));
  }

  // What is compared is what would be read back from the file.
  Report::Verification operator()(const Model& after, const Report& report) const {
    return verifier_->compare(Model::parse(after.serialize()), report);
  }

 private:
  std::optional<Samples> samples_;
  std::optional<Verifier> verifier_;
};

bool wants_comparison(const OptimizeOptions& options) { return options.verify > 0 || !options.data.empty(); }

// Exits with 3 when there is a bad rewrite.
int bisect(const OptimizeOptions& options, const Model& before) {
  const auto bad = about_model(options.input, [&] {
    const Comparison compare(before, options, options.shapes.resolve(before));
    int64_t runs = 0;
    return find_bad_rewrite(before, inner_options(options), [&](const Model& after, const Report& report) {
      const bool differs = !compare(after, report).equal;
      note("comparison {}: {} after {} rewrites", ++runs, differs ? "different" : "equal", report.rewrites());
      return differs;
    });
  });
  if (options.json) {
    Json root = {{"schema", 1}, {"model", options.input}, {"found", bad.has_value()}};
    if (bad) {
      root.update({{"rewrite", bad->number},
                   {"rewrites", bad->count},
                   {"rule", bad->rewrite.rule},
                   {"node", bad->rewrite.node},
                   {"into", bad->rewrite.into}});
    }
    print_json(root);
  } else if (!bad) {
    print("{}: no rewrite changes what the model computes\n", styled(Style::green, "equal"));
  } else {
    std::vector<std::string> into;
    for (const std::string& name : bad->rewrite.into) into.push_back(escaped(name));
    print("{} from rewrite {} of {} on: {} at {}{}{}\n", styled(Style::red, "different"), bad->number,
          bad->count, bad->rewrite.rule, escaped(bad->rewrite.node), into.empty() ? "" : ", into ",
          fmt::join(into, ", "));
    print("to go without it: --keep {} or --disable {}\n", quoted(bad->rewrite.node), bad->rewrite.rule);
  }
  return bad ? kDiffer : kOk;
}

int optimize(OptimizeOptions options) {
  check_usage(options);
  const Model before = load_model(options.input);
  if (options.bisect) return bisect(options, before);
  Model after = before;
  Report report;
  about_model(options.input, [&] {
    const DimSizes sizes = options.shapes.resolve(before);
    report = after.optimize(inner_options(options));
    progress("");
    if (wants_comparison(options)) report.verification = Comparison(before, options, sizes)(after, report);
  });
  if (options.input != "-") report.model = std::filesystem::path(options.input).filename();
  const bool differs = report.verification && !report.verification->equal;
  if (!options.report.empty()) {
    write_output(options.report, is_html(options.report)
                                     ? report.to_html()
                                     : report.to_json(2, Report::ChannelDetail::values) + "\n");
  }
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
    print_report(before, after, report, options.explain);
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
  app->add_option("--report", options->report, "Write the report, with all channels of batch norms")
      ->type_name("FILE.{json,html}");
  app->add_flag("--verify{3}", options->verify,
                "Run the model before and after on 3 (or =N) seeded inputs; write nothing and exit with 3 "
                "when they differ");
  app->add_option("--seed", options->seed, "Of those inputs (default 0)")->type_name("N");
  app->add_option(
         "--data", options->data,
         "Verify on your inputs: an .npz with an array for each input, a file as for plica run -i, or a "
         "directory of them")
      ->type_name("FILE|DIR");
  app->add_option("--limit", options->samples.limit, "Take the first N samples of --data")
      ->check(CLI::PositiveNumber)
      ->type_name("N");
  app->add_option("--mean", options->samples.mean, "Of pictures in --data, as for plica run")
      ->type_name("M,M,M");
  app->add_option("--scale", options->samples.scale, "As for plica run")->type_name("S,S,S");
  app->add_option("--layout", options->samples.layout, "As for plica run")
      ->check(CLI::IsMember({"nchw", "nhwc"}));
  app->add_option("--resize", options->samples.resize, "As for plica run")->type_name("WxH");
  app->add_option("--tolerance", options->tolerance,
                  "Largest difference, relative to the output's magnitude (default: from how sensitive the "
                  "model is to roundings)")
      ->check(CLI::NonNegativeNumber)
      ->type_name("T");
  app->add_flag(
      "--bisect", options->bisect,
      "Write nothing; find the rewrite after which the model computes something else, on the inputs of "
      "--verify and --data; exit with 3 when there is one");
  add_shape_options(*app, options->shapes);
  add_threads(*app, options->threads);
  add_list(*app, "--disable", options->disable, "Rule or pass not to run (plica list-rules)")
      ->type_name("RULE");
  add_list(*app, "--only", options->only, "Run only this rule or pass")->type_name("RULE");
  add_list(*app, "--keep", options->keep, "Node that nothing may change")->type_name("NODE");
  app->add_option("--max-rewrites", options->max_rewrites,
                  "Stop after N rewrites (--bisect finds the one that does harm)")
      ->check(CLI::Range(int64_t{0}, std::numeric_limits<int64_t>::max()))
      ->type_name("N");
  add_list(*app, "--dump-after", options->dump_after, "Print the graph after this pass")->type_name("PASS");
  app->add_flag("--external-data", options->external_data, "Put large tensors into OUT.data beside OUT");
  add_json(*app, options->json);
  app->footer(R"(
Examples:
  plica optimize net.onnx folded.onnx --explain --verify
  plica optimize net.onnx folded.onnx --data samples.npz --report report.html
  plica optimize net.onnx folded.onnx --disable fold_constants --keep stem.bn
  plica optimize net.onnx --bisect --data samples.npz
  plica optimize net.onnx - | plica inspect -)");
  app->callback([options, &invocation] { invocation.run = [options] { return optimize(*options); }; });
}

}  // namespace plica::tools
