// Linear models, support vector machines and tree ensembles of ai.onnx.ml.
#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

using Floats = std::vector<float>;
using Ints = std::vector<int64_t>;
using Strings = std::vector<std::string>;

std::vector<Tensor> run_ml(const std::string& op, int64_t opset, const Tensor& x,
                           const NamedAttributes& attributes, int outputs = 1) {
  return run_all(op, opset, {x}, attributes, outputs, "ai.onnx.ml");
}

NamedAttributes with(NamedAttributes attributes, const NamedAttributes& more) {
  for (const auto& [name, value] : more) {
    std::erase_if(attributes, [&](const auto& a) { return a.first == name; });
    attributes.emplace_back(name, value);
  }
  return attributes;
}

Tensor texts(const Strings& values) { return Tensor::of(values, {static_cast<int64_t>(values.size())}); }
double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

TEST(MlLinear, Regressor) {
  const NamedAttributes two = {
      {"coefficients", Floats{1, 2, 3, 4}}, {"intercepts", Floats{.5, -1}}, {"targets", int64_t{2}}};
  EXPECT_TENSOR(run_ml("LinearRegressor", 1, floats({2, 2}, {1, 0, 1, 1}), two)[0],
                floats({2, 2}, {1.5, 2, 3.5, 6}));
  EXPECT_TENSOR(run_ml("LinearRegressor", 1, ints({2}, {1, 1}), {{"coefficients", Floats{2, 3}}})[0],
                floats({1, 1}, {5}));
  expect_error(
      [&] {
        run_ml("LinearRegressor", 1, floats({1, 3}, {1, 2, 3}), two);
      },
      ErrorCode::invalid_model, "rows of 3 features, the model has 2");
  expect_error(
      [&] {
        run_ml("LinearRegressor", 1, floats({1, 2}, {1, 2}), {{"targets", int64_t{0}}});
      },
      ErrorCode::invalid_model, "0 targets");
}

TEST(MlLinear, ClassifierTakesTheBestClass) {
  const NamedAttributes three = {{"coefficients", Floats{1, 0, 0, 1, 1, 1}},
                                 {"intercepts", Floats{0, 0, -1}},
                                 {"classlabels_strings", Strings{"a", "b", "c"}},
                                 {"post_transform", std::string("SOFTMAX")}};
  const auto y = run_ml("LinearClassifier", 1, floats({2, 2}, {1, 0, 2, 2}), three, 2);
  EXPECT_TENSOR(y[0], texts({"a", "c"}));
  const double e = std::exp(1), sum = e + 1 + 1;  // of scores 1, 0, 0
  const double f = std::exp(2), g = std::exp(3), all = 2 * f + g;
  EXPECT_TENSOR(y[1], floats({2, 3}, {e / sum, 1 / sum, 1 / sum, f / all, f / all, g / all}));
}

TEST(MlLinear, BinaryClassifierGivesTwoScores) {
  const NamedAttributes binary = {
      {"coefficients", Floats{1}}, {"intercepts", Floats{0}}, {"classlabels_ints", Ints{5, 9}}};
  const Tensor x = floats({2, 1}, {-2, .75});
  auto y = run_ml("LinearClassifier", 1, x, binary, 2);
  EXPECT_TENSOR(y[0], ints({2}, {5, 9}));
  EXPECT_TENSOR(y[1], floats({2, 2}, {3, -2, .25, .75}));
  y = run_ml("LinearClassifier", 1, x, with(binary, {{"post_transform", std::string("LOGISTIC")}}), 2);
  EXPECT_TENSOR(y[1], floats({2, 2}, {sigmoid(2), sigmoid(-2), sigmoid(-.75), sigmoid(.75)}));
  // The normal distribution's 0.75 and 0.1 quantiles, approximately; the scores of a pair are opposite.
  y = run_ml("LinearClassifier", 1, floats({2, 1}, {.75, .1}),
             with(binary, {{"post_transform", std::string("PROBIT")}}), 2);
  EXPECT_TENSOR(y[1], floats({2, 2}, {-.67449, .67449, 1.28155, -1.28155}), 1e-2);
  expect_error(
      [&] {
        run_ml("LinearClassifier", 1, x, with(binary, {{"post_transform", std::string("X")}}), 2);
      },
      ErrorCode::invalid_model, "post_transform");
  expect_error(
      [&] {
        run_ml("LinearClassifier", 1, x, {{"coefficients", Floats{1}}}, 2);
      },
      ErrorCode::invalid_model, "must give labels");
}

TEST(MlSupportVectors, RegressorSumsKernels) {
  const NamedAttributes rbf = {{"kernel_type", std::string("RBF")}, {"kernel_params", Floats{.5, 0, 0}},
                               {"support_vectors", Floats{0, 2}},   {"coefficients", Floats{1, -3}},
                               {"n_supports", int64_t{2}},          {"rho", Floats{.25}}};
  const Tensor x = floats({1, 1}, {1});
  EXPECT_TENSOR(run_ml("SVMRegressor", 1, x, rbf)[0], floats({1, 1}, {.25 - 2 * std::exp(-.5)}));
  EXPECT_TENSOR(run_ml("SVMRegressor", 1, x, with(rbf, {{"one_class", int64_t{1}}}))[0],
                floats({1, 1}, {-1}));
  const auto poly = with(rbf, {{"kernel_type", std::string("POLY")}, {"kernel_params", Floats{2, 1, 3}}});
  EXPECT_TENSOR(run_ml("SVMRegressor", 1, x, poly)[0], floats({1, 1}, {.25 + 1 - 3 * 125}));
  expect_error(
      [&] {
        run_ml("SVMRegressor", 1, x, with(rbf, {{"coefficients", Floats{1}}}));
      },
      ErrorCode::invalid_model, "coefficients has 1 numbers, 2 are needed");
  expect_error(
      [&] {
        run_ml("SVMRegressor", 1, x, with(rbf, {{"n_supports", int64_t{-1}}}));
      },
      ErrorCode::invalid_model, "n_supports is -1");
  expect_error(
      [&] {
        run_ml("SVMRegressor", 1, x, with(rbf, {{"rho", Floats{}}}));
      },
      ErrorCode::invalid_model, "rho");
}

TEST(MlSupportVectors, ClassifierVotesInPairs) {
  // Three classes with one vector each, at 0, 1 and 2; linear kernel.
  const NamedAttributes three = {{"support_vectors", Floats{0, 1, 2}},
                                 {"vectors_per_class", Ints{1, 1, 1}},
                                 {"coefficients", Floats{1, -1, -1, 1, 1, -1}},
                                 {"rho", Floats{.5, 1, 1.5}},
                                 {"classlabels_ints", Ints{7, 8, 9}}};
  // Decisions at x: 0 and 1: -x + .5; 0 and 2: -2x + 1; 1 and 2: x - 2x + 1.5.
  const auto y = run_ml("SVMClassifier", 1, floats({3, 1}, {0, 1, 2}), three, 2);
  EXPECT_TENSOR(y[0], ints({3}, {7, 8, 9}));
  EXPECT_TENSOR(y[1], floats({3, 3}, {.5, 1, 1.5, -.5, -1, .5, -1.5, -3, -.5}));
  expect_error(
      [&] {
        run_ml("SVMClassifier", 1, floats({1, 1}, {0}), with(three, {{"rho", Floats{1}}}), 2);
      },
      ErrorCode::invalid_model, "rho has 1 numbers, 3 are needed");
  expect_error(
      [&] {
        run_ml("SVMClassifier", 1, floats({1, 1}, {0}), with(three, {{"vectors_per_class", Ints{-1, 3, 1}}}),
               2);
      },
      ErrorCode::invalid_model, "vectors_per_class has -1");
  expect_error(
      [&] {
        run_ml("SVMClassifier", 1, floats({1, 1}, {0}),
               with(three, {{"vectors_per_class", Ints{INT64_MAX, INT64_MAX, 1}}}), 2);
      },
      ErrorCode::limit, "");
}

TEST(MlSupportVectors, ProbabilitiesOfTwoClasses) {
  const NamedAttributes two = {{"support_vectors", Floats{1, -1}},
                               {"vectors_per_class", Ints{1, 1}},
                               {"coefficients", Floats{.5, -.5}},
                               {"rho", Floats{0}},
                               {"prob_a", Floats{-2}},
                               {"prob_b", Floats{.1f}},
                               {"classlabels_strings", Strings{"no", "yes"}}};
  const auto y = run_ml("SVMClassifier", 1, floats({1, 1}, {.8}), two, 2);
  const double p = 1 / (1 + std::exp(-2 * .8 + .1));
  EXPECT_TENSOR(y[0], texts({"no"}));
  EXPECT_TENSOR(y[1], floats({1, 2}, {p, 1 - p}), 0, 0.005);  // what the coupling stops at
}

// Tree 0: x0 <= 1 ? (x1 > 2 ? leaf 2 : leaf 3) : leaf 4.  Tree 1: a leaf.
NamedAttributes two_trees(const std::string& votes) {
  return {{"nodes_treeids", Ints{0, 0, 0, 0, 0, 1}},
          {"nodes_nodeids", Ints{0, 1, 2, 3, 4, 0}},
          {"nodes_featureids", Ints{0, 1, 0, 0, 0, 0}},
          {"nodes_values", Floats{1, 2, 0, 0, 0, 0}},
          {"nodes_modes", Strings{"BRANCH_LEQ", "BRANCH_GT", "LEAF", "LEAF", "LEAF", "LEAF"}},
          {"nodes_truenodeids", Ints{1, 2, 0, 0, 0, 0}},
          {"nodes_falsenodeids", Ints{4, 3, 0, 0, 0, 0}},
          {votes + "_treeids", Ints{0, 0, 0, 1}},
          {votes + "_nodeids", Ints{2, 3, 4, 0}},
          {votes + "_ids", Ints{0, 0, 0, 0}},
          {votes + "_weights", Floats{10, 20, 30, 1}}};
}
const Tensor kRows = floats({4, 2}, {1, 3, 1, 2, 1.5, 9, kNan, 0});

TEST(MlTrees, RegressorAggregates) {
  const auto trees = with(two_trees("target"), {{"n_targets", int64_t{1}}});
  const auto of = [&](const char* function) {
    return run_ml("TreeEnsembleRegressor", 1, kRows,
                  with(trees, {{"aggregate_function", std::string(function)}}))[0];
  };
  EXPECT_TENSOR(of("SUM"), floats({4, 1}, {11, 21, 31, 31}));
  EXPECT_TENSOR(of("AVERAGE"), floats({4, 1}, {5.5, 10.5, 15.5, 15.5}));
  EXPECT_TENSOR(of("MIN"), floats({4, 1}, {1, 1, 1, 1}));
  EXPECT_TENSOR(of("MAX"), floats({4, 1}, {10, 20, 30, 30}));
  const auto tracked = with(
      trees, {{"nodes_missing_value_tracks_true", Ints{1, 0, 0, 0, 0, 0}}, {"base_values", Floats{100}}});
  EXPECT_TENSOR(run_ml("TreeEnsembleRegressor", 1, kRows, tracked)[0], floats({4, 1}, {111, 121, 131, 121}));
  EXPECT_TENSOR(run_ml("TreeEnsembleRegressor", 1, floats({0, 2}, {}), trees)[0], floats({0, 1}, {}));
}

TEST(MlTrees, DoublesAreComparedAsSuch) {
  const double above = std::nextafter(1.0, 2.0);  // 1 as a float
  auto trees = two_trees("target");
  std::erase_if(trees,
                [](const auto& a) { return a.first == "nodes_values" || a.first == "target_weights"; });
  trees = with(trees, {{"n_targets", int64_t{1}},
                       {"nodes_values_as_tensor", Tensor::vector<double>({1, 2, 0, 0, 0, 0})},
                       {"target_weights_as_tensor", Tensor::vector<double>({10, 20, 30, 1})}});
  const Tensor x = tensor(DataType::float64, {2, 2}, {1, 0, above, 0});
  EXPECT_TENSOR(run_ml("TreeEnsembleRegressor", 3, x, trees)[0], floats({2, 1}, {21, 31}));
  expect_error([&] { run_ml("TreeEnsembleRegressor", 1, x, trees); }, ErrorCode::invalid_model, "as_tensor");
}

TEST(MlTrees, BrokenTreesAreRefused) {
  const auto trees = with(two_trees("target"), {{"n_targets", int64_t{1}}});
  const auto refused = [&](const NamedAttributes& change, const std::string& part,
                           ErrorCode code = ErrorCode::invalid_model) {
    expect_error([&] { run_ml("TreeEnsembleRegressor", 1, kRows, with(trees, change)); }, code, part);
  };
  refused({{"nodes_truenodeids", Ints{0, 2, 0, 0, 0, 0}}}, "in a ring");   // its own child
  refused({{"nodes_falsenodeids", Ints{4, 0, 0, 0, 0, 0}}}, "in a ring");  // back to the root
  refused({{"nodes_truenodeids", Ints{7, 2, 0, 0, 0, 0}}}, "tree 0 has no node 7");
  refused({{"nodes_truenodeids", Ints{INT64_MIN, 2, 0, 0, 0, 0}}}, "has no node");
  refused({{"nodes_nodeids", Ints{0, 1, 2, 3, 3, 0}}}, "two nodes 3");
  refused({{"nodes_featureids", Ints{-1, 0, 0, 0, 0, 0}}}, "nodes_featureids has -1");
  refused({{"nodes_featureids", Ints{2, 0, 0, 0, 0, 0}}}, "the trees ask for 3", ErrorCode::invalid_argument);
  refused({{"nodes_values", Floats{1}}}, "nodes_values has 1 elements for 6 nodes");
  refused({{"target_ids", Ints{0, 0, 0, 1}}}, "votes for 1 of 1 targets");
  refused({{"target_nodeids", Ints{2, 3, 4, 9}}}, "tree 1 has no node 9");
  refused({{"nodes_modes", Strings{"BRANCH_LEQ", "IF", "LEAF", "LEAF", "LEAF", "LEAF"}}}, "nodes_modes");
  refused({{"base_values", Floats{1, 2}}}, "2 base_values for 1 targets");
}

TEST(MlTrees, ClassifierOfManyClasses) {
  const auto trees = with(two_trees("class"), {{"class_ids", Ints{0, 1, 2, 1}},
                                               {"class_weights", Floats{.5, .5, 1, .25}},
                                               {"classlabels_strings", Strings{"a", "b", "c"}}});
  const auto y = run_ml("TreeEnsembleClassifier", 1, kRows, trees, 2);
  EXPECT_TENSOR(y[0], texts({"a", "b", "c", "c"}));
  EXPECT_TENSOR(y[1], floats({4, 3}, {.5, .25, 0, 0, .75, 0, 0, .25, 1, 0, .25, 1}));
}

TEST(MlTrees, BinaryClassifierWithOneScore) {
  const auto trees = with(two_trees("class"), {{"class_weights", Floats{.25, .5, .125, .125}},
                                               {"classlabels_int64s", Ints{3, 4}}});
  auto y = run_ml("TreeEnsembleClassifier", 1, kRows, trees, 2);  // probabilities of the second class
  EXPECT_TENSOR(y[0], ints({4}, {3, 4, 3, 3}));
  EXPECT_TENSOR(y[1], floats({4, 2}, {.625, .375, .375, .625, .75, .25, .75, .25}));
  const auto margins = with(trees, {{"class_weights", Floats{-1, 2, .5, .25}},
                                    {"post_transform", std::string("LOGISTIC")},
                                    {"base_values", Floats{-1}}});
  y = run_ml("TreeEnsembleClassifier", 1, kRows, margins, 2);
  EXPECT_TENSOR(y[0], ints({4}, {3, 4, 3, 3}));
  std::vector<double> expected;
  for (const double margin : {-1.75, 1.25, -.25, -.25})
    expected.insert(expected.end(), {sigmoid(-margin), sigmoid(margin)});
  EXPECT_TENSOR(y[1], floats({4, 2}, expected));
}

// One tree: x0 member of {1, 3} ? leaf 0 : (x0 < 2 ? leaf 1 : leaf 2).
NamedAttributes indexed_tree(DataType type) {
  return {{"tree_roots", Ints{0}},
          {"nodes_modes", Tensor::vector<uint8_t>({6, 1})},
          {"nodes_featureids", Ints{0, 0}},
          {"nodes_splits", tensor(type, {2}, {0, 2})},
          {"nodes_trueleafs", Ints{1, 1}},
          {"nodes_truenodeids", Ints{0, 1}},
          {"nodes_falseleafs", Ints{0, 1}},
          {"nodes_falsenodeids", Ints{1, 2}},
          {"membership_values", tensor(type, {3}, {3, 1, kNan})},
          {"leaf_targetids", Ints{0, 1, 1}},
          {"leaf_weights", tensor(type, {3}, {5, 6, 7})},
          {"n_targets", int64_t{2}}};
}

TEST(MlTrees, IndexedTrees) {
  for (const DataType type : {DataType::float32, DataType::float64, DataType::float16}) {
    const Tensor x = tensor(type, {5, 1}, {1, 0, 3, 2, kNan});
    EXPECT_TENSOR(run_ml("TreeEnsemble", 5, x, indexed_tree(type))[0],
                  tensor(type, {5, 2}, {5, 0, 0, 6, 5, 0, 0, 7, 0, 7}));
  }
  const Tensor x = floats({1, 1}, {1});
  const auto refused = [&](const NamedAttributes& change, const std::string& part) {
    expect_error([&] { run_ml("TreeEnsemble", 5, x, with(indexed_tree(DataType::float32), change)); },
                 ErrorCode::invalid_model, part);
  };
  refused({{"nodes_falsenodeids", Ints{0, 2}}}, "in a ring");
  refused({{"nodes_falsenodeids", Ints{2, 2}}}, "node 2 of 2");
  refused({{"nodes_truenodeids", Ints{3, 1}}}, "leaf 3 of 3");
  refused({{"tree_roots", Ints{-1}}}, "node -1 of 2");
  refused({{"nodes_modes", Tensor::vector<uint8_t>({7, 1})}}, "nodes_modes has 7");
  refused({{"membership_values", floats({0}, {})}}, "0 sets for 1 nodes");
  refused({{"aggregate_function", int64_t{4}}}, "aggregate_function");
  refused({{"post_transform", int64_t{-1}}}, "post_transform");
}

TEST(MlTrees, ShapesAreInferred) {
  auto facts = infer_all("TreeEnsembleClassifier", 1, {typed(DataType::float32, Shape{symbol("N"), 2})},
                         with(two_trees("class"), {{"classlabels_int64s", Ints{3, 4}}}), 2, "ai.onnx.ml");
  EXPECT_EQ(to_string(facts[0].type), "int64[N]");
  EXPECT_EQ(to_string(facts[1].type), "float32[N, 2]");
  expect_error(
      [&] {
        run_ml("TreeEnsembleRegressor", 1, floats({1, 1, 1}, {1}), two_trees("target"));
      },
      ErrorCode::invalid_model, "a vector or a matrix");
}

}  // namespace
}  // namespace plica::test
