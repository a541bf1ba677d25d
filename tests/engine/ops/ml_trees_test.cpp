// Tree ensembles of many nodes: against a walk by the definition, and what a hostile file may hold.
#include <algorithm>
#include <map>
#include <random>

#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

using Floats = std::vector<float>;
using Ints = std::vector<int64_t>;
using Strings = std::vector<std::string>;

// A TreeEnsembleRegressor of one target, as its attributes have it.
struct Trees {
  Ints trees, ids, features, yes, no, missing;
  Strings modes;
  Floats splits, weights;  // the weight of a leaf; 0 of other nodes

  NamedAttributes attributes() const {
    NamedAttributes list = {
        {"nodes_treeids", trees},   {"nodes_nodeids", ids},     {"nodes_featureids", features},
        {"nodes_truenodeids", yes}, {"nodes_falsenodeids", no}, {"nodes_missing_value_tracks_true", missing},
        {"nodes_modes", modes},     {"nodes_values", splits},   {"n_targets", int64_t{1}}};
    Ints leaf_trees, leaf_ids;
    Floats leaf_weights;
    for (size_t i = 0; i < ids.size(); ++i) {
      if (modes[i] != "LEAF") continue;
      leaf_trees.push_back(trees[i]);
      leaf_ids.push_back(ids[i]);
      leaf_weights.push_back(weights[i]);
    }
    list.emplace_back("target_ids", Ints(leaf_ids.size(), 0));
    list.emplace_back("target_treeids", std::move(leaf_trees));
    list.emplace_back("target_nodeids", std::move(leaf_ids));
    list.emplace_back("target_weights", std::move(leaf_weights));
    return list;
  }

  template <class T>
  double score(std::span<const T> row) const {
    std::map<std::pair<int64_t, int64_t>, size_t> named;
    for (size_t i = 0; i < ids.size(); ++i) named[{trees[i], ids[i]}] = i;
    double sum = 0;
    for (int64_t tree = 0; named.contains({tree, 0}); ++tree) {
      size_t at = named.at({tree, 0});
      while (modes[at] != "LEAF") {
        const T x = row[static_cast<size_t>(features[at])];
        const float s = splits[at];
        const std::string& m = modes[at];
        const bool holds = m == "BRANCH_LEQ"   ? x <= s
                           : m == "BRANCH_LT"  ? x < s
                           : m == "BRANCH_GTE" ? x >= s
                           : m == "BRANCH_GT"  ? x > s
                           : m == "BRANCH_EQ"  ? x == s
                                               : x != s;
        at = named.at({tree, (std::isnan(x) ? missing[at] != 0 : holds) ? yes[at] : no[at]});
      }
      sum += weights[at];
    }
    return sum;
  }
};

// Weights are small integers: sums are exact in any order. Features and splits often meet.
Trees random_trees(std::mt19937& random, int count, const Strings& modes, bool with_missing) {
  const auto pick = [&](int most) { return std::uniform_int_distribution<int>(0, most)(random); };
  Trees t;
  for (int tree = 0; tree < count; ++tree) {
    const size_t first = t.ids.size();
    // Nodes as they are found: each is a leaf, or gets two new ones.
    for (size_t at = first, known = first + 1; at < known; ++at) {
      const bool leaf = known - first > 40 || (at > first && pick(3) == 0);
      t.trees.push_back(tree);
      t.ids.push_back(static_cast<int64_t>(at - first));
      t.features.push_back(leaf ? 0 : pick(3));
      t.yes.push_back(leaf ? 0 : static_cast<int64_t>(known - first));
      t.no.push_back(leaf ? 0 : static_cast<int64_t>(known - first) + 1);
      t.missing.push_back(with_missing ? pick(1) : 0);
      t.modes.push_back(leaf ? "LEAF" : modes[static_cast<size_t>(pick(static_cast<int>(modes.size()) - 1))]);
      t.splits.push_back(pick(20) == 0 ? kNan : static_cast<float>(pick(8) - 4));
      t.weights.push_back(leaf ? static_cast<float>(pick(64) - 32) : 0);
      if (!leaf) known += 2;
    }
  }
  return t;
}

template <class T>
void expect_scores(const Trees& trees, std::mt19937& random, int64_t rows) {
  Tensor x(data_type_of<T>, {rows, 4});
  for (T& v : x.mutable_values<T>()) {
    const int number = std::uniform_int_distribution<int>(-6, 6)(random);
    v = number == 6 ? static_cast<T>(kNan) : static_cast<T>(number) + (number % 2 ? T(1e-9) : T(0));
  }
  Tensor expected(DataType::float32, {rows, 1});
  for (int64_t r = 0; r < rows; ++r) {
    expected.mutable_data<float>()[r] =
        static_cast<float>(trees.score(x.values<T>().subspan(static_cast<size_t>(4 * r), 4)));
  }
  EXPECT_TENSOR(run_all("TreeEnsembleRegressor", 1, {x}, trees.attributes(), 1, "ai.onnx.ml")[0], expected, 0,
                0);
}

TEST(MlForests, AsByTheDefinition) {
  std::mt19937 random(7);
  for (const Strings& modes :
       {Strings{"BRANCH_LEQ"},
        {"BRANCH_LT"},
        {"BRANCH_GT", "BRANCH_LEQ"},
        {"BRANCH_LT", "BRANCH_GTE"},
        {"BRANCH_LEQ", "BRANCH_LT"},
        {"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"}}) {
    for (const bool with_missing : {false, true}) {
      // More and fewer than go down together, and more than a block.
      for (const auto& [count, rows] : {std::pair{1, 1}, {1, 9}, {20, 1}, {9, 7}, {8, 8}, {5, 75}}) {
        SCOPED_TRACE(fmt::format("{} modes from {}, missing {}, {} trees, {} rows", modes.size(), modes[0],
                                 with_missing, count, rows));
        const Trees trees = random_trees(random, count, modes, with_missing);
        expect_scores<float>(trees, random, rows);
        expect_scores<double>(trees, random, rows);
      }
    }
  }
}

// A single path: every node's other child is the one leaf.
Trees chain(int64_t length) {
  Trees t;
  for (int64_t i = 0; i <= length; ++i) {
    t.trees.push_back(0);
    t.ids.push_back(i);
    t.features.push_back(0);
    t.yes.push_back(i + 1);
    t.no.push_back(length);
    t.missing.push_back(0);
    t.modes.push_back(i == length ? "LEAF" : "BRANCH_LEQ");
    t.splits.push_back(1);
    t.weights.push_back(5);
  }
  return t;
}

void expect_refused(const Trees& trees, ErrorCode code, const std::string& part,
                    const NamedAttributes& change = {}) {
  NamedAttributes attributes = trees.attributes();
  for (const auto& [name, value] : change) {
    std::erase_if(attributes, [&](const auto& a) { return a.first == name; });
    attributes.emplace_back(name, value);
  }
  const OneNode one("TreeEnsembleRegressor", 1, {true}, attributes, {true}, "ai.onnx.ml");
  expect_error([&] { prepare_node(one.node()); }, code, part);
}

TEST(MlForests, DeepTrees) {
  const Tensor x = floats({2, 1}, {0, 2});
  const auto y = run_all("TreeEnsembleRegressor", 1, {x}, chain(200000).attributes(), 1, "ai.onnx.ml");
  EXPECT_TENSOR(y[0], floats({2, 1}, {5, 5}));
}

TEST(MlForests, HostileTreesAreRefusedWhenPrepared) {
  constexpr int64_t kLength = 100000;
  Trees ring = chain(kLength);
  ring.no[kLength - 1] = 0;  // from the end to the root
  expect_refused(ring, ErrorCode::invalid_model, "in a ring");
  ring.no[kLength - 1] = kLength - 1;
  expect_refused(ring, ErrorCode::invalid_model, "in a ring");
  ring.no[kLength - 1] = kLength + 1;
  expect_refused(ring, ErrorCode::invalid_model, "tree 0 has no node 100001");
  ring.no[kLength - 1] = INT64_MIN;
  expect_refused(ring, ErrorCode::invalid_model, "has no node");
  const Trees small = chain(3);
  expect_refused(small, ErrorCode::invalid_model, "nodes_featureids has 2147483648",
                 {{"nodes_featureids", Ints{int64_t{1} << 31, 0, 0, 0}}});
  expect_refused(small, ErrorCode::invalid_model, "n_targets is -1", {{"n_targets", int64_t{-1}}});
  expect_refused(small, ErrorCode::invalid_model, "nodes_modes has 3 elements for 4 nodes",
                 {{"nodes_modes", Strings{"LEAF", "LEAF", "LEAF"}}});
}

// Counts beyond all memory are an error before anything of their size is made.
TEST(MlForests, HugeCounts) {
  NamedAttributes attributes = chain(3).attributes();
  std::erase_if(attributes, [](const auto& a) { return a.first == "n_targets"; });
  attributes.emplace_back("n_targets", INT64_MAX);
  expect_error(
      [&] {
        run_all("TreeEnsembleRegressor", 1, {floats({4, 1}, {0, 1, 2, 3})}, attributes, 1, "ai.onnx.ml");
      },
      ErrorCode::limit, "");
}

}  // namespace
}  // namespace plica::test
