// The options of optimize(), and what the driver refuses.
#include "passes/driver.h"
#include "engine/core/fail.h"
#include "passes/apply.h"
#include "passes/pipeline.h"
#include "tests/passes/build.h"

namespace plica::testing {
namespace {

using ::testing::HasSubstr;

// Two convolutions with batch norms, and an Identity.
Build two_blocks() {
  Build b;
  Value* y = b.op("Identity", "id", {b.input("x", {1, 3, 4, 4})});
  for (const std::string i : {"1", "2"}) {
    y = b.op("Relu", "relu" + i,
             {b.batch_norm("bn" + i, b.op("Conv", "conv" + i, {y, b.random("w" + i, {3, 3, 1, 1})}), 3)});
  }
  b.output(y);
  return b;
}

TEST(Options, UnknownNamesAreRefusedBeforeAnythingChanges) {
  Build b = two_blocks();
  const std::string before = print(*b.graph);
  for (const int which : {0, 1, 2}) {
    OptimizeOptions options;
    (which == 0 ? options.disable : which == 1 ? options.only : options.keep) = {"no_such_thing"};
    try {
      optimize(*b.model, options);
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
      EXPECT_THAT(error.message(), HasSubstr("'no_such_thing'"));
    }
    EXPECT_EQ(before, print(*b.graph));
  }
}

TEST(Options, DisableARuleOrAPass) {
  for (const char* name : {"remove_identity", "remove_no_ops"}) {
    Build b = two_blocks();
    OptimizeOptions options;
    options.disable = {name};
    const OptimizeReport report = optimize_and_check(b, options);
    EXPECT_EQ(count_ops(*b.graph, "Identity"), 1);
    EXPECT_EQ(count_ops(*b.graph, "BatchNormalization"), 0);
    EXPECT_FALSE(report.rules.contains("remove_identity"));
  }
}

TEST(Options, OnlyARuleOrAPass) {
  for (const char* name : {"fold_affine_backward", "fold_affines"}) {
    Build b = two_blocks();
    OptimizeOptions options;
    options.only = {name};
    const OptimizeReport report = optimize_and_check(b, options);
    EXPECT_EQ(report.rules, (std::map<std::string, int64_t>{{"fold_affine_backward", 2}}));
    EXPECT_EQ(count_ops(*b.graph, "Identity"), 1);
  }
}

TEST(Options, MaxRewritesStopsAfterSoMany) {
  for (int64_t limit = 0; limit <= 4; ++limit) {
    Build b = two_blocks();
    OptimizeOptions options;
    options.max_rewrites = limit;
    const OptimizeReport report = optimize_and_check(b, options);
    int64_t rewrites = 0;
    for (const auto& [rule, count] : report.rules) rewrites += count;
    EXPECT_EQ(rewrites, std::min<int64_t>(limit, 3));
    if (limit == 2) {
      EXPECT_TRUE(report.batch_norms[0].folded);
      EXPECT_FALSE(report.batch_norms[1].folded);
      EXPECT_THAT(report.batch_norms[1].reason, HasSubstr("limit of 2 rewrites"));
    }
  }
}

TEST(Options, KeepProtectsEachNodeAlone) {
  Build b = two_blocks();
  OptimizeOptions options;
  options.keep = {"conv2", "id"};
  const OptimizeReport report = optimize(*b.model, options);
  EXPECT_TRUE(report.batch_norms[0].folded);
  EXPECT_FALSE(report.batch_norms[1].folded);
  EXPECT_EQ(report.batch_norms[1].blocking, "conv2");
  EXPECT_TRUE(find_node(*b.graph, "id"));
}

TEST(Options, KeptNodesAreNotDeadCode) {
  Build b = two_blocks();
  b.op("Neg", "probe", {b.graph->find("relu1")});
  OptimizeOptions options;
  options.keep = {"probe"};
  optimize(*b.model, options);
  EXPECT_TRUE(find_node(*b.graph, "probe"));
}

TEST(Options, AfterPassSeesEveryPassInOrder) {
  Build b = two_blocks();
  std::vector<std::string> seen;
  std::vector<size_t> nodes;
  OptimizeOptions options;
  options.after_pass = [&](std::string_view pass, const ModelGraph& model) {
    seen.emplace_back(pass);
    nodes.push_back(model.graph.num_nodes());
  };
  int last_done = -1, last_total = 0;
  options.progress = [&](std::string_view, int done, int total) { last_done = done, last_total = total; };
  optimize(*b.model, options);
  const size_t passes = default_pipeline().size();
  ASSERT_GE(seen.size(), passes);
  std::map<std::string, size_t> after;
  for (size_t i = 0; i < passes; ++i) {
    EXPECT_EQ(seen[i], default_pipeline()[i].name);
    after[seen[i]] = nodes[i];
  }
  EXPECT_EQ(after["fold_constants"], 7u);
  EXPECT_EQ(after["remove_no_ops"], 6u);
  EXPECT_EQ(after["fold_affines"], 4u);
  EXPECT_EQ(last_done, last_total);
}

TEST(Options, RulesHaveUniqueNamesAndSummaries) {
  std::unordered_set<std::string_view> names;
  for (const RuleInfo& rule : all_rules()) {
    EXPECT_TRUE(names.insert(rule.name).second) << rule.name;
    EXPECT_FALSE(rule.summary.empty());
    EXPECT_FALSE(rule.pass.empty());
  }
  for (const Pass& pass : default_pipeline()) EXPECT_FALSE(names.contains(pass.name)) << pass.name;
}

TEST(Options, AnEmptyModel) {
  ModelGraph model;
  model.opset_imports = {{"", 17}};
  const OptimizeReport report = optimize(model);
  EXPECT_EQ(report.nodes_before, 0);
  EXPECT_TRUE(report.rules.empty());
}

// ---- the applier, with patches that no rule makes

class ApplierTest : public ::testing::Test {
 protected:
  ApplierTest() : b(two_blocks()), applier(*b.model, facts, kept) { facts.infer(*b.model); }
  std::string refusal(Patch patch) {
    const std::string before = print(*b.graph);
    auto skip = applier.apply(patch, [](const Node&) { FAIL() << "removed a node"; });
    EXPECT_EQ(before, print(*b.graph));
    return skip ? skip->reason : "";
  }
  Node& node(const char* name) { return *find_node(*b.graph, name); }

  Build b;
  ModelFacts facts;
  std::unordered_set<const Node*> kept;
  Applier applier;
};

TEST_F(ApplierTest, RefusesAnotherShape) {
  Patch patch(node("relu2"));
  patch.replace(b.graph->find("relu1"),
                patch.add_constant("c", Tensor::zeros(DataType::float32, {1, 3, 4, 5}), node("relu1")));
  EXPECT_THAT(refusal(patch), HasSubstr("would be float32[1, 3, 4, 5] instead of float32[1, 3, 4, 4]"));
}

TEST_F(ApplierTest, RefusesAnotherType) {
  Patch patch(node("relu2"));
  patch.replace(b.graph->find("relu1"),
                patch.add_constant("c", Tensor::zeros(DataType::float64, {1, 3, 4, 4}), node("relu1")));
  EXPECT_THAT(refusal(patch), HasSubstr("float64"));
}

TEST_F(ApplierTest, RefusesAnEditThatDoesNotInfer) {
  Patch patch(node("bn1"));
  patch.set_input(&node("conv1"), 1,
                  patch.add_constant("w", Tensor::zeros(DataType::float32, {3, 4, 1, 1}), node("conv1")));
  patch.replace(b.graph->find("bn1"), b.graph->find("conv1"));
  EXPECT_THAT(refusal(patch), HasSubstr("would not be valid"));
}

TEST_F(ApplierTest, RefusesToRedefineWhatOthersRead) {
  Patch patch(node("relu1"));
  patch.set_input(&node("conv1"), 1,
                  patch.add_constant("w", Tensor::zeros(DataType::float32, {3, 3, 1, 1}), node("conv1")));
  EXPECT_THAT(refusal(patch), HasSubstr("is also read by node 'bn1'"));
}

TEST_F(ApplierTest, RefusesMoreNodes) {
  Patch patch(node("relu1"));
  Operand y = b.graph->find("bn1");
  for (int i = 0; i < 2; ++i) y = patch.add_node({"Relu", "", "r", {y}, {}, &node("relu1")});
  patch.replace(b.graph->find("relu1"), y);
  EXPECT_THAT(refusal(patch), HasSubstr("more nodes"));
}

TEST_F(ApplierTest, RefusesToRemoveWhatIsRead) {
  Patch patch(node("relu1"));
  patch.remove(node("relu1"));
  EXPECT_THAT(refusal(patch), HasSubstr("in use"));
}

TEST_F(ApplierTest, ReplacesANodeByAnotherUnderItsName) {
  Patch patch(node("relu1"));
  patch.replace(b.graph->find("relu1"),
                patch.add_node({"Sigmoid", "gate", "s", {b.graph->find("bn1")}, {}, &node("relu1")}));
  std::vector<std::string> gone;
  EXPECT_FALSE(applier.apply(patch, [&](const Node& n) { gone.push_back(n.name); }));
  EXPECT_EQ(gone, std::vector<std::string>{"relu1"});
  EXPECT_EQ(node("gate").output(0)->name(), "relu1");
  b.graph->verify();
}

}  // namespace
}  // namespace plica::testing
