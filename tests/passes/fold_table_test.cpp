// Every pattern of the table that folding is compared on (fold_rows.cpp), with the batch norm behind the
// linear operator and before it, in variants of element type, opset, batch, dimensions and channels; against
// the model as it was, in double precision.
#include "engine/core/parallel.h"
#include "engine/onnx/onnx.h"
#include "engine/ops/infer.h"
#include "tests/passes/compare_models.h"
#include "tests/passes/fold_rows.h"

namespace plica::testing {
namespace {

using enum DataType;

// Channel counts that are no multiples of a vector's width, and both parities: row_builder.cpp chooses bias,
// kernel, padding, epsilon and the shapes of constants by them.
const Variant kVariants[] = {
    {float32, 17, 1, 2, 5, 7, false},  {float32, 9, 3, 1, 3, 10, true},   {float64, 13, 1, 3, 6, 5, false},
    {float16, 14, 3, 2, 7, 9, true},   {bfloat16, 22, 1, 2, 4, 6, false}, {float32, 7, 3, 2, 9, 4, false},
    {float32, 6, 1, 2, 5, 3, false},   {float64, 15, 3, 1, 2, 11, true},  {float32, 21, 1, 3, 3, 6, true},
    {float16, 21, 1, 1, 10, 3, false}, {float32, 1, 3, 2, 3, 5, false},   {float64, 9, 3, 2, 12, 5, true},
    {bfloat16, 22, 3, 1, 7, 13, true}, {float32, 14, 1, 1, 1, 1, false},  {float64, 8, 1, 2, 11, 2, false},
    {float16, 15, 3, 3, 3, 5, false},
};

std::vector<Variant> variants_of(const Row& row) {
  std::vector<Variant> out;
  for (Variant v : kVariants) {
    if (v.opset < 7 && !(row.demands & kFromOpset1)) continue;
    if (row.demands & kOpset15 && v.opset < 15) v.opset = v.opset % 2 ? 15 : 17;
    if (row.demands & kUpToOpset8 && v.opset > 8) v.opset = v.opset % 2 ? 7 : 8;
    if (row.demands & kSeveral && v.c == 1) continue;
    if (row.demands & kFloat16Only) v.type = float16;
    if (row.demands & kFloat64Only) v.type = float64;
    if (row.demands & kFloat32Only) v.type = float32;
    if (row.demands & kOnly2d) v.spatial = 2;
    if (v.type == bfloat16 && v.opset < 22) v.type = float32;
    out.push_back(v);
  }
  return out;
}

void add_operators(const Graph& graph, std::vector<std::string>& names) {
  for (const Node* n : graph.nodes()) {
    names.push_back(n->op_type());
    for_each_subgraph(n->attributes(), [&](const Graph& sub) { add_operators(sub, names); });
  }
}
// Sorted, with single blanks between.
std::string operators_of(const Graph& graph) {
  std::vector<std::string> names;
  add_operators(graph, names);
  std::ranges::sort(names);
  return fmt::format("{}", fmt::join(names, " "));
}
std::vector<std::string> sorted_alternatives(const std::string& left) {
  std::vector<std::string> out;
  std::istringstream alternatives(left);
  for (std::string one; std::getline(alternatives, one, '|');) {
    std::istringstream words(one);
    std::vector<std::string> names{std::istream_iterator<std::string>(words), {}};
    std::ranges::sort(names);
    out.push_back(fmt::format("{}", fmt::join(names, " ")));
  }
  return out;
}

int64_t norms_in(const ModelGraph& model) {
  int64_t n = count_ops(model.graph, "BatchNormalization");
  for (const auto& f : model.functions) n += count_ops(f->graph, "BatchNormalization");
  return n;
}

void check(const Row& row, const Variant& variant, bool mirrored) {
  RowBuilder g(variant, mirrored);
  row.build(g);
  ModelGraph& model = *g.b.model;
  model.graph.verify();
  const auto before = model.clone();
  const OptimizeReport report = optimize(model, folding_alone());
  model.graph.verify();
  const std::string after = print(model.graph);
  const auto failed = [&](const std::string& why) {
    ADD_FAILURE() << why << "\n" << print(before->graph) << "became\n" << after;
    for (const auto& v : report.batch_norms)
      if (!v.folded) ADD_FAILURE() << v.node << " was kept: " << v.reason;
  };

  EXPECT_LE(report.nodes_after, report.nodes_before);
  EXPECT_EQ(std::ssize(report.batch_norms), norms_in(*before));
  for (const Value* v : model.graph.initializers()) EXPECT_TRUE(v->has_uses()) << v->name() << " is not used";

  for (const char* branch : {"then_branch", "else_branch"}) {
    const auto runs = inlined(model, branch);
    InferOptions strict;
    strict.allow_unknown_ops = false;
    EXPECT_NO_THROW(infer_graph(dequantized(*runs)->graph, strict)) << "it is not valid any more: " << after;
    if (!g.has_values) continue;
    const Seen seen =
        compare(*inlined(*before, branch), *runs, report, g.inputs, variant.type, g.only_batch_norms);
    if (!seen.failure.empty()) return failed(seen.failure);
  }

  // What is left.
  const char* left = mirrored ? row.left_mirrored : row.left;
  const std::string wanted = *left ? left : operators_of(before->graph), is = operators_of(model.graph);
  const auto alternatives = sorted_alternatives(wanted);
  if (std::ranges::find(alternatives, is) == alternatives.end())
    return failed(fmt::format("left is {}, not {}", is, wanted));
  int64_t kept = 0;
  for (const BatchNormVerdict& v : report.batch_norms) {
    kept += !v.folded;
    if (v.folded) {
      EXPECT_FALSE(v.rule.empty());
      EXPECT_TRUE(v.reason.empty()) << v.reason;
    } else {
      const bool any = mirrored && row.demands & kAnyReason;
      EXPECT_THAT(v.reason, ::testing::HasSubstr(any ? "" : row.reason));
      EXPECT_FALSE(v.reason.empty());
    }
  }
  if (row.kept >= 0) {
    EXPECT_EQ(kept, row.kept);
    EXPECT_EQ(norms_in(model), row.kept);
  }

  // Once and for all, and always the same way.
  const std::string bytes = serialize_model(model);
  const OptimizeReport again = optimize(model, folding_alone());
  EXPECT_TRUE(again.rules.empty()) << "the second run applied " << again.rules.begin()->first;
  EXPECT_EQ(bytes, serialize_model(model)) << "the second run changed something";
  RowBuilder twin(variant, mirrored);
  row.build(twin);
  optimize(*twin.b.model, folding_alone());
  EXPECT_EQ(bytes, serialize_model(*twin.b.model)) << "the same model gave other bytes";
}

class FoldTable : public ::testing::TestWithParam<std::pair<Row, bool>> {};

TEST_P(FoldTable, InEveryVariant) {
  const ThreadScope one_thread(1);
  const auto& [row, mirrored] = GetParam();
  for (const Variant& v : variants_of(row)) {
    SCOPED_TRACE(to_string(v));
    ASSERT_NO_FATAL_FAILURE(check(row, v, mirrored));
    if (HasFailure()) break;  // one is enough to read
  }
}

std::vector<std::pair<Row, bool>> all_rows() {
  std::vector<std::pair<Row, bool>> out;
  for (const Row& row : fold_rows()) {
    out.emplace_back(row, false);
    if (row.left_mirrored) out.emplace_back(row, true);
  }
  return out;
}

INSTANTIATE_TEST_SUITE_P(Rows, FoldTable, ::testing::ValuesIn(all_rows()), [](const auto& info) {
  return info.param.first.name + std::string(info.param.second ? "_mirrored" : "");
});

// Also where nothing folds: a row that cannot be evaluated would say nothing.
TEST(FoldTableRows, AreValidModels) {
  for (const auto& [row, mirrored] : all_rows()) {
    for (const Variant& v : variants_of(row)) {
      SCOPED_TRACE(fmt::format("{}{}: {}", row.name, mirrored ? " mirrored" : "", to_string(v)));
      RowBuilder g(v, mirrored);
      row.build(g);
      ASSERT_NO_THROW(g.b.model->graph.verify());
      if (!g.has_values) continue;
      const auto model = inlined(*g.b.model);
      const Seen seen = compare(*model, *model, {}, g.inputs, v.type, true);
      EXPECT_EQ(seen.failure, "");
    }
  }
}

// The comparison is worth something: any constant that is off by 2^-10 in one element shows.
TEST(FoldTableRows, AWrongConstantShows) {
  int64_t noticed = 0, changed = 0;
  for (const Row& row : fold_rows()) {
    const Variant v{float32, 17, 1, 2, 5, 7, false};
    RowBuilder g(row.demands & kUpToOpset8 ? Variant{float32, 7, 1, 2, 5, 7, false} : v, false);
    if (row.demands & kFloat16Only) continue;
    row.build(g);
    const auto before = inlined(*g.b.model);
    const OptimizeReport report = optimize(*g.b.model, folding_alone());
    if (!g.has_values || report.rules.empty()) continue;
    const auto after = inlined(*g.b.model);
    for (Value* c : after->graph.initializers()) {
      const Tensor right = *c->initializer();
      if (right.type() != float32 || before->graph.find(c->name())) continue;
      std::vector<double> values = to_doubles(right);
      double& largest = *std::ranges::max_element(values, {}, [](double d) { return std::abs(d); });
      largest *= 1 + 0x1p-10;
      after->graph.set_initializer(c, tensor_of(float32, values, right.dims()));
      ++changed;
      noticed += !compare(*before, *after, report, g.inputs, float32, g.only_batch_norms).failure.empty();
      after->graph.set_initializer(c, right);
    }
  }
  EXPECT_GT(changed, 20);
  EXPECT_GE(noticed, changed - changed / 20);  // a Relu may hide one
}

TEST(FoldTableRows, CoverEveryPattern) {
  int64_t models = 0;
  for (const auto& [row, mirrored] : all_rows()) models += std::ssize(variants_of(row));
  EXPECT_GT(models, 500);
  for (const char* pattern : table_patterns()) {
    const auto rows = fold_rows();
    EXPECT_TRUE(std::ranges::any_of(rows, [&](const Row& r) { return std::string_view(r.name) == pattern; }))
        << pattern;
  }
}

}  // namespace
}  // namespace plica::testing
