// Finding the rewrite that does harm.
#include "tools/bisect.h"

#include "tests/tools/program.h"

namespace plica::tools {
namespace {

TEST(FirstDifference, IsFoundForEveryPlaceInFewSteps) {
  for (int64_t count : {1, 2, 3, 7, 64, 100, 1000}) {
    for (int64_t bad = 1; bad <= count; ++bad) {
      int steps = 0;
      const int64_t found = first_difference(count, [&](int64_t n) {
        EXPECT_GT(n, 0);
        EXPECT_LT(n, count);
        ++steps;
        return n >= bad;
      });
      ASSERT_EQ(found, bad) << "of " << count;
      ASSERT_LE(steps, std::ceil(std::log2(static_cast<double>(count))));
    }
  }
}

// A later rewrite may hide an earlier one's harm: what is found is still a step from equal to different.
TEST(FirstDifference, IsAStepWhateverTheAnswers) {
  for (uint32_t answers = 0; answers < 1u << 10; ++answers) {
    const auto differs = [&](int64_t n) { return n != 0 && (n == 11 || (answers >> (n - 1) & 1) != 0); };
    const int64_t found = first_difference(11, differs);
    ASSERT_TRUE(differs(found));
    ASSERT_FALSE(differs(found - 1));
  }
}

bool has_node(const Model& model, const std::string& name) {
  const std::string bytes = model.serialize();
  const auto graph = parse_model(std::as_bytes(std::span(bytes)));
  for (const Node* node : graph->graph.nodes()) {
    if (node->name == name) return true;
  }
  return false;
}

// A comparison that takes exception to one fold finds that fold.
TEST(FindBadRewrite, NamesRuleAndNode) {
  const Model model = Model::load(kDigits);
  Model optimized = model;
  const Report report = optimized.optimize();
  ASSERT_EQ(report.batch_norms.size(), 7u);
  for (const Report::BatchNorm& norm : report.batch_norms) {
    const auto bad = find_bad_rewrite(
        model, {}, [&](const Model& after, const Report&) { return !has_node(after, norm.node); });
    ASSERT_TRUE(bad.has_value()) << norm.node;
    EXPECT_EQ(bad->rewrite.node, norm.node);
    EXPECT_EQ(bad->rewrite.rule, norm.rule);
    EXPECT_EQ(bad->rewrite.into, norm.into);
    EXPECT_EQ(bad->count, report.rewrites());
    EXPECT_LE(bad->runs, 1 + std::ceil(std::log2(static_cast<double>(bad->count))));
    // Without it, the model is as good as before.
    Model without = model;
    without.optimize({.keep = {norm.node}});
    EXPECT_TRUE(has_node(without, norm.node));
  }
}

TEST(FindBadRewrite, FindsNothingWhereNothingDiffers) {
  const Model model = Model::load(kDigits);
  int calls = 0;
  const auto never = [&](const Model&, const Report&) {
    ++calls;
    return false;
  };
  EXPECT_FALSE(find_bad_rewrite(model, {}, never).has_value());
  EXPECT_EQ(calls, 1);
  EXPECT_FALSE(find_bad_rewrite(model, {.max_rewrites = 0}, never).has_value());
  EXPECT_EQ(calls, 1) << "no rewrites, nothing to compare";
}

// ---- as a process

using BisectCommand = ProgramTest;

TEST_F(BisectCommand, FindsNothingInAGoodModel) {
  const Outcome outcome = plica({"optimize", kDigits, "--bisect"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("no rewrite changes"));
  EXPECT_EQ(count_files(), 0u);
  EXPECT_EQ(parse_json(plica({"optimize", kDigits, "--bisect", "--json"}))["found"], false);
}

// No rounding at all is allowed: the first fold is to blame, and keeping what is named helps it along.
TEST_F(BisectCommand, NamesTheFirstRewriteThatDiffers) {
  const Outcome outcome = plica({"optimize", kDigits, "--bisect", "--tolerance", "0", "--json"});
  EXPECT_EQ(outcome.code, 3) << outcome.err;
  const json found = json::parse(outcome.out);
  EXPECT_EQ(found["found"], true);
  EXPECT_EQ(found["rewrites"], 7);
  EXPECT_EQ(found["rule"], "fold_affine_backward");
  EXPECT_THAT(found["node"].get<std::string>(), HasSubstr("bn"));
  const std::string number = std::to_string(found["rewrite"].get<int64_t>());
  EXPECT_EQ(plica({"optimize", kDigits, "o.onnx", "--tolerance", "0", "--max-rewrites", number}).code, 3);
  const Outcome text = plica({"optimize", kDigits, "--bisect", "--tolerance", "0"});
  EXPECT_EQ(text.code, 3);
  EXPECT_THAT(text.out, HasSubstr("--keep"));
}

}  // namespace
}  // namespace plica::tools
