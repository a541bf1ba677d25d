// Random models, optimized, compute what they computed before.
//
// 500 seeds run in ctest. A range of them:
//     PLICA_SEEDS=1000:11000 build/dev/tests/test_passes --gtest_filter='FoldProperty.*'
// One, with what it became, as text and as files (before.onnx and after.onnx in that directory):
//     PLICA_SEEDS=4711 PLICA_PRINT=1 PLICA_SAVE=. build/dev/tests/test_passes --gtest_filter='FoldProperty.*'
#include <fmt/format.h>

#include <cstdlib>
#include <fstream>

#include "engine/core/parallel.h"
#include "engine/onnx/onnx.h"
#include "passes/driver.h"
#include "tests/passes/build.h"
#include "tests/passes/compare_models.h"
#include "tests/passes/random_model.h"

namespace plica::testing {
namespace {

struct Outcome {
  std::string failure;  // empty: all holds
  std::string before, after;
  int64_t batch_norms = 0, folded = 0, rewrites = 0;
  bool reported = false;
};

void save(const std::string& name, const ModelGraph& model) {
  const char* directory = std::getenv("PLICA_SAVE");
  if (directory)
    std::ofstream(fmt::format("{}/{}.onnx", directory, name), std::ios::binary) << serialize_model(model);
}

Outcome try_seed(uint64_t seed, int nodes) {
  Outcome o;
  RandomModel r = random_model(seed, nodes);
  try {
    o.before = print(r.model->graph);
    r.model->graph.verify();
    const auto before = r.model->clone();
    evaluate_graph(dequantized(*inlined(*before))->graph, r.inputs);

    const OptimizeReport report = optimize(*r.model);
    save("before", *before);
    save("after", *r.model);
    o.after = print(r.model->graph);
    for (const auto& v : report.batch_norms) o.folded += v.folded;
    o.batch_norms = std::ssize(report.batch_norms);
    for (const auto& [rule, n] : report.rules) o.rewrites += n;
    r.model->graph.verify();
    if (count_nodes(r.model->graph) > count_nodes(before->graph)) {
      o.failure = fmt::format("{} nodes became {}", count_nodes(before->graph), count_nodes(r.model->graph));
      return o;
    }
    for (size_t i = 0; i < before->graph.outputs().size(); ++i) {
      if (before->graph.outputs()[i]->name() != r.model->graph.outputs()[i]->name())
        o.failure = "an output has another name";
    }
    for (const auto& v : report.batch_norms) {
      if (!v.folded && v.reason.empty()) o.failure = v.node + " was kept without a reason";
      // A batch norm that changed nothing but constants may have no bound, one that took part in none is
      // "into" nothing.
      if (v.folded && !v.into.empty() && v.error_bound && !(*v.error_bound < 0.1))
        o.failure = fmt::format("{} has the bound {}", v.node, *v.error_bound);
    }
    for (const char* branch : {"then_branch", "else_branch"}) {
      const Seen seen = compare(*inlined(*before, branch), *inlined(*r.model, branch), report, r.inputs,
                                r.type, r.only_batch_norms);
      o.reported = seen.reported;
      if (o.failure.empty()) o.failure = seen.failure;
      if (!r.in_branches) break;
    }

    const OptimizeReport again = optimize(*r.model);
    if (o.failure.empty() && (!again.rules.empty() || print(r.model->graph) != o.after)) {
      o.failure = "optimizing again changed something" +
                  (again.rules.empty() ? std::string() : ": " + again.rules.begin()->first);
      o.after += "then\n" + print(r.model->graph);
    }
  } catch (const std::exception& e) {
    o.failure = e.what();
  }
  return o;
}

TEST(FoldProperty, RandomModelsComputeTheSame) {
  uint64_t first = 1, end = 501;
  if (const char* range = std::getenv("PLICA_SEEDS")) {
    char* rest = nullptr;
    first = std::strtoull(range, &rest, 10);
    end = *rest == ':' ? std::strtoull(rest + 1, nullptr, 10) : first + 1;
  }
  const ThreadScope one_thread(1);  // for tensors of some hundred elements
  int failures = 0;
  int64_t batch_norms = 0, folded = 0, reported = 0, rewrites = 0;
  for (uint64_t seed = first; seed < end && failures < 5; ++seed) {
    Outcome o = try_seed(seed, random_node_count(seed));
    batch_norms += o.batch_norms, folded += o.folded, reported += o.reported, rewrites += o.rewrites;
    if (std::getenv("PLICA_PRINT")) fmt::print("{}became\n{}", o.before, o.after);
    if (o.failure.empty()) continue;
    ++failures;
    int nodes = random_node_count(seed);
    for (int fewer = 1; fewer < nodes; ++fewer) {
      Outcome smaller = try_seed(seed, fewer);
      if (smaller.failure.empty()) continue;
      o = std::move(smaller);
      nodes = fewer;
    }
    ADD_FAILURE() << "seed " << seed << " (" << nodes << " nodes): " << o.failure << "\n"
                  << o.before << "became\n"
                  << o.after;
  }
  fmt::print("{} seeds: {} of {} batch norms folded, {} rewrites; {} seeds held to the reported bounds too\n",
             end - first, folded, batch_norms, rewrites, reported);
  // What the generator makes must be worth optimizing.
  if (end - first >= 500) {
    EXPECT_GT(batch_norms, static_cast<int64_t>(end - first));
    EXPECT_GT(10 * folded, batch_norms);
    EXPECT_GT(20 * reported, static_cast<int64_t>(end - first));
  }
}

}  // namespace
}  // namespace plica::testing
