// What operators prepare of a node (OpDef::prepare) is made once, whatever plans and runs there are.
#include <gmock/gmock.h>

#include <array>
#include <atomic>
#include <thread>

#include "runtime/plan/runner.h"
#include "tests/runtime/runtime_test.h"

namespace plica::testing {
namespace {

Tensor words(std::vector<std::string> list) {
  const auto count = static_cast<int64_t>(list.size());
  return Tensor::of(std::move(list), {count});
}

// y = whether the strings x match, for any number of them.
struct Matcher : GraphMaker {
  Value* y;

  explicit Matcher(const std::string& pattern) : GraphMaker(1, 20) {
    Value* x = symbolic_input(Shape{Dim::symbol("N")}, DataType::string);
    y = node("RegexFullMatch", {x}, {{"pattern", pattern}});
    output(y);
  }
};

TEST(PreparedNodes, PlansShareOneObject) {
  Matcher m("a+");
  const Programs programs(4);
  const Runner runner(region_of(m.graph()), programs, true);
  const Prepared object = programs.prepared(*m.y->producer());
  ASSERT_TRUE(object);
  EXPECT_EQ(object.use_count(), 2);
  const auto first = runner.plan_for({words({"a"})}), second = runner.plan_for({words({"a", "b"})});
  EXPECT_NE(first, second);
  EXPECT_EQ(object.use_count(), 4);  // each plan has it
  EXPECT_EQ(programs.prepared(*m.y->producer()), object);
  for (int round = 0; round < 2; ++round) {
    const Tensor y = runner.run({words({"a", "b"})})[0];
    EXPECT_THAT(y.values<bool>(), ::testing::ElementsAre(true, false));
  }
  EXPECT_EQ(object.use_count(), 4);  // and runs make no other
}

TEST(PreparedNodes, ConcurrentFirstRuns) {
  constexpr size_t kThreads = 8;
  Matcher m("(a|b)*c");
  const Programs programs(kThreads);
  const Runner runner(region_of(m.graph()), programs, true);
  std::array<Prepared, kThreads> seen;
  std::array<size_t, kThreads> matched{};
  std::atomic<size_t> ready = 0;
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      ++ready;
      while (ready < kThreads) std::this_thread::yield();
      // Shapes differ: all make plans of their own.
      const Tensor y = runner.run({words(std::vector<std::string>(t + 1, "abac"))})[0];
      matched[t] = static_cast<size_t>(std::ranges::count(y.values<bool>(), true));
      seen[t] = programs.prepared(*m.y->producer());
    });
  }
  for (std::thread& t : threads) t.join();
  for (size_t t = 0; t < kThreads; ++t) {
    EXPECT_EQ(seen[t], seen[0]);
    EXPECT_EQ(matched[t], t + 1);
  }
}

// A model of one TreeEnsembleRegressor: a node with two leaves, of which `yes` is the first.
std::shared_ptr<const ModelGraph> tree_model(int64_t yes) {
  using Ints = std::vector<int64_t>;
  auto model = std::make_shared<ModelGraph>();
  model->ir_version = 8;
  model->opset_imports = {{"ai.onnx.ml", 1}};
  Attributes a;
  a.set("nodes_treeids", Ints{0, 0, 0});
  a.set("nodes_nodeids", Ints{0, 1, 2});
  a.set("nodes_featureids", Ints{1, 0, 0});
  a.set("nodes_truenodeids", Ints{yes, 0, 0});
  a.set("nodes_falsenodeids", Ints{2, 0, 0});
  a.set("nodes_modes", std::vector<std::string>{"BRANCH_LEQ", "LEAF", "LEAF"});
  a.set("nodes_values", std::vector<float>{0.5f, 0, 0});
  a.set("target_treeids", Ints{0, 0});
  a.set("target_nodeids", Ints{1, 2});
  a.set("target_ids", Ints{0, 0});
  a.set("target_weights", std::vector<float>{10, 20});
  a.set("n_targets", int64_t{1});
  Graph& g = model->graph;
  Value* x = g.add_input("x", Type::tensor(DataType::float32, Shape{Dim::symbol("N"), 2}));
  Value* y = g.add_value("y");
  g.add_node("TreeEnsembleRegressor", "ai.onnx.ml", {x}, {y}, std::move(a))->name = "forest";
  g.add_output(y);
  return model;
}

TEST(PreparedNodes, TreesRun) {
  const Executor executor(tree_model(1));
  for (int round = 0; round < 2; ++round) {
    const auto y = executor.run({{"x", Tensor::of(std::vector<float>{9, 0, 9, 1}, {2, 2})}});
    EXPECT_THAT(y.at("y").values<float>(), ::testing::ElementsAre(10, 20));
  }
}

TEST(PreparedNodes, ErrorsNameTheNode) {
  const Executor executor(tree_model(0));
  for (int round = 0; round < 2; ++round) {
    try {
      executor.run({{"x", Tensor::of(std::vector<float>{0, 0}, {1, 2})}});
      ADD_FAILURE() << "a ring was not refused";
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::invalid_model);
      EXPECT_THAT(e.what(),
                  ::testing::AllOf(::testing::HasSubstr("forest"), ::testing::HasSubstr("in a ring")));
    }
  }
}

}  // namespace
}  // namespace plica::testing
