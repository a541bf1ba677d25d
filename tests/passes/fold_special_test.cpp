// Folding where the model is unusual: subgraphs, functions, old formats, mixed types, dead channels.
#include <cstring>

#include "engine/onnx/onnx.h"
#include "passes/fold/weight_view.h"
#include "tests/passes/build.h"

namespace plica::testing {
namespace {

using Ints = std::vector<int64_t>;

TEST(FoldSpecial, BodiesOfIfWithWeightsFromOutside) {
  Build b;
  Value* x = b.input("x", {1, 3, 5, 5});
  Value* w = b.random("w", {4, 3, 3, 3});
  const auto s = b.statistics("bn", 4);
  Value* condition = b.graph->add_input("condition", Type::tensor(DataType::boolean, Shape(Dims{})));
  Value* out = b.graph->add_value("out", Type::tensor(DataType::float32));
  Node* branch = b.graph->add_node("If", "", {condition}, {out});
  for (const std::string side : {"then_branch", "else_branch"}) {
    Build inner = b.in(*b.graph->add_subgraph(branch, side));
    Value* y = inner.op("Conv", side + "_conv",
                        {x, side == "then_branch" ? w : inner.random(side + "_w", {4, 3, 3, 3})});
    inner.output(inner.op("BatchNormalization", side + "_bn", {y, s.scale, s.bias, s.mean, s.variance}));
  }
  b.output(out);
  const auto before = b.model->clone();
  const OptimizeReport report = optimize(*b.model);
  b.model->graph.verify();
  ASSERT_EQ(report.batch_norms.size(), 2u);
  for (const auto& v : report.batch_norms) EXPECT_TRUE(v.folded) << v.reason;
  EXPECT_EQ(report.batch_norms[0].node, "then_branch_bn");
  EXPECT_EQ(report.batch_norms[0].into, std::vector<std::string>{"then_branch_conv"});
  EXPECT_EQ(count_ops(*b.graph, "BatchNormalization"), 0);
  EXPECT_EQ(report.nodes_before, 5);
  EXPECT_EQ(report.nodes_after, 3);
  EXPECT_FALSE(b.graph->find("w")) << "the outer weight has no reader left";
  EXPECT_TRUE(optimize(*b.model).rules.empty());
  // The branches' outputs keep their names.
  const Node* node = b.graph->nodes()[0];
  for_each_subgraph(node->attributes(),
                    [&](const Graph& sub) { EXPECT_TRUE(sub.outputs()[0]->name().ends_with("_bn")); });
}

TEST(FoldSpecial, ModelFunction) {
  Build b(DataType::float32, 17, 9);
  b.model->opset_imports.emplace_back("local", 1);
  auto f = std::make_unique<Function>(b.model.get());
  f->name = "block", f->domain = "local", f->opset_imports = {{"", 17}};
  Build in = b.in(f->graph);
  const auto node = [&](const char* name, Dims dims) {
    return in.op("Constant", name, {},
                 {{"value", random_tensor(b.type, std::move(dims), b.next_seed(), 0.5, 2)}});
  };
  Value* fx = f->graph.add_input("fx", {});
  Value* w = node("w", {3, 3, 1, 1});
  Value* y = in.op("Conv", "conv", {fx, w});
  f->graph.add_output(
      in.op("BatchNormalization", "bn", {y, node("s", {3}), node("b", {3}), node("m", {3}), node("v", {3})}));
  b.model->functions.push_back(std::move(f));
  Value* out = b.graph->add_value("y", Type::tensor(DataType::float32));
  b.graph->add_node("block", "local", {b.input("x", {1, 3, 4, 4})}, {out});
  b.output(out);

  const auto before = b.model->clone();
  const OptimizeReport report = optimize(*b.model);
  ASSERT_EQ(report.batch_norms.size(), 1u);
  EXPECT_TRUE(report.batch_norms[0].folded) << report.batch_norms[0].reason;
  const Graph& body = b.model->functions[0]->graph;
  body.verify();
  // No initializers in a function: two Constants and the Conv, with the function's output name.
  EXPECT_TRUE(body.initializers().empty());
  EXPECT_EQ(body.num_nodes(), 3u);
  EXPECT_EQ(count_ops(body, "Constant"), 2);
  EXPECT_EQ(body.outputs()[0]->name(), "bn");
  const NamedTensors inputs = {{"fx", random_tensor(DataType::float32, {1, 3, 4, 4}, 5)}};
  expect_close(evaluate_graph(before->functions[0]->graph, inputs)[0], evaluate_graph(body, inputs)[0], 1e-6);
  EXPECT_TRUE(optimize(*b.model).rules.empty());
}

// In a function every constant is a node: a fold that shares all its constants would add one, and stays away.
TEST(FoldSpecial, ModelFunctionThatWouldGrow) {
  Build b(DataType::float32, 17, 9);
  b.output(b.op("Relu", "relu", {b.input("x", {1, 3, 4, 4})}));
  auto f = std::make_unique<Function>(b.model.get());
  f->name = "block", f->domain = "local", f->opset_imports = {{"", 17}};
  Build in = b.in(f->graph);
  const auto node = [&](const char* name, Dims dims) {
    return in.op("Constant", name, {},
                 {{"value", random_tensor(b.type, std::move(dims), b.next_seed(), 0.5, 2)}});
  };
  Value *y = f->graph.add_input("fx", {}), *w = node("w", {3, 3, 1, 1});
  Value *s = node("s", {3}), *t = node("t", {3}), *m = node("m", {3}), *v = node("v", {3});
  for (const char* i : {"1", "2", "3"}) {
    y = in.op("Conv", fmt::format("conv{}", i), {y, w});
    y = in.op("BatchNormalization", fmt::format("bn{}", i), {y, s, t, m, v});
  }
  f->graph.add_output(y);
  b.model->functions.push_back(std::move(f));
  const OptimizeReport report = optimize(*b.model);
  const Graph& body = b.model->functions[0]->graph;
  body.verify();
  EXPECT_EQ(body.num_nodes(), 11u);
  for (const auto& verdict : report.batch_norms) {
    EXPECT_FALSE(verdict.folded);
    EXPECT_THAT(verdict.reason, ::testing::HasSubstr("more nodes"));
  }
}

// Before IR version 4 initializers had to be inputs too; they are constants all the same, and so are the new
// ones.
TEST(FoldSpecial, Ir3InitializersAreInputs) {
  Build b(DataType::float32, 8, 3);
  Value* x = b.input("x", {1, 3, 5, 5});
  const auto constant = [&](const char* name, Tensor t) {
    Value* v = b.graph->add_input(name, Type::tensor(t.type(), Shape(t.dims())));
    b.graph->set_initializer(v, t);
    return v;
  };
  Value* w = constant("w", random_tensor(DataType::float32, {4, 3, 3, 3}, 1));
  Value* s = constant("s", random_tensor(DataType::float32, {4}, 2));
  Value* t = constant("t", random_tensor(DataType::float32, {4}, 3));
  Value* m = constant("m", random_tensor(DataType::float32, {4}, 4));
  Value* v = constant("v", random_tensor(DataType::float32, {4}, 5, 0.1, 2));
  b.output(b.op("BatchNormalization", "bn", {b.op("Conv", "conv", {x, w}), s, t, m, v}));
  OptimizeOptions options;
  options.disable = {"upgrade_ir_version"};
  const OptimizeReport report = optimize_and_check(b, options);
  EXPECT_TRUE(report.batch_norms[0].folded) << report.batch_norms[0].reason;
  for (const Value* i : b.graph->initializers()) EXPECT_TRUE(i->is_graph_input()) << i->name();
  ASSERT_EQ(b.graph->inputs().size(), 3u);
  EXPECT_EQ(b.graph->inputs()[0]->name(), "x");
  EXPECT_EQ(b.graph->inputs()[1]->name(), "w_folded");
}

TEST(FoldSpecial, Ir3BecomesIr4) {
  Build b(DataType::float32, 8, 3);
  Value* x = b.input("x", {2, 3});
  const Tensor t = random_tensor(DataType::float32, {3}, 1);
  Value* c = b.graph->add_input("c", Type::tensor(DataType::float32, Shape{3}));
  b.graph->set_initializer(c, t);
  b.input("unread", {1});
  Value* two = b.op("Constant", "two", {}, {{"value", tensor_of(DataType::float32, {2, 3, 4}, {3})}});
  b.output(b.op("Max", "out", {b.op("Tanh", "tanh", {x}), c, two}), 2);
  const OptimizeReport report = optimize_and_check(b);
  EXPECT_EQ(b.model->ir_version, 4);
  EXPECT_EQ(report.rules.at("upgrade_ir_version"), 1);
  ASSERT_EQ(b.graph->inputs().size(), 2u);
  EXPECT_EQ(b.graph->inputs()[1]->name(), "unread");
  EXPECT_EQ(b.graph->num_nodes(), 2u);
  EXPECT_EQ(b.graph->initializers().size(), 2u);
}

TEST(FoldSpecial, Ir3ConstantNodesStayNodes) {
  Build b(DataType::float32, 8, 3);
  Value* x = b.input("x", {2, 3});
  b.output(b.op("Add", "add",
                {x, b.op("Neg", "neg", {b.op("Constant", "c", {}, {{"value", Tensor::scalar(2.f)}})})}));
  OptimizeOptions options;
  options.disable = {"upgrade_ir_version"};
  optimize_and_check(b, options);
  EXPECT_EQ(b.graph->inputs().size(), 1u);
  EXPECT_TRUE(b.graph->initializers().empty());
  EXPECT_EQ(b.graph->num_nodes(), 2u);
}

TEST(FoldSpecial, BFloat16) {
  Build b(DataType::bfloat16, 22, 10);
  Value* x = b.input("x", {1, 3, 5, 5});
  Value* y = b.op("Conv", "conv", {x, b.random("w", {7, 3, 3, 3}), b.random("b", {7})});
  b.output(b.batch_norm("bn", y, 7));
  const OptimizeReport report = optimize_and_check(b);
  EXPECT_TRUE(report.batch_norms[0].folded) << report.batch_norms[0].reason;
  EXPECT_EQ(b.graph->find("w_folded")->initializer()->type(), DataType::bfloat16);
}

// The weight keeps its type whatever the statistics have: other tools write float32 weights under float16
// inputs here.
TEST(FoldSpecial, Float16WithFloat32Statistics) {
  Build b(DataType::float16, 17);
  Value* x = b.input("x", {1, 3, 5, 5});
  Value* y = b.op("Conv", "conv", {x, b.random("w", {7, 3, 3, 3})});
  const auto f32 = [&](const char* name, double low) {
    return b.constant(name, random_tensor(DataType::float32, {7}, b.next_seed(), low, 2));
  };
  b.output(b.op("BatchNormalization", "bn", {y, f32("s", -1), f32("t", -1), f32("m", -1), f32("v", 0.1)}));
  const OptimizeReport report = optimize_and_check(b);
  EXPECT_TRUE(report.batch_norms[0].folded) << report.batch_norms[0].reason;
  for (const Value* v : b.graph->initializers()) EXPECT_EQ(v->initializer()->type(), DataType::float16);
}

// Variance far below epsilon, and at float16's edge: epsilon counts, and the arithmetic is in double.
TEST(FoldSpecial, TinyVariance) {
  for (const DataType type : {DataType::float16, DataType::float32, DataType::float64}) {
    Build b(type);
    Value* x = b.input("x", {1, 3, 4, 4});
    Value* y = b.op("Conv", "conv", {x, b.random("w", {2, 3, 1, 1}, -0.1, 0.1)});
    b.output(b.op("BatchNormalization", "bn",
                  {y, b.numbers("s", {0.5, 1}, {2}), b.numbers("t", {0, 1}, {2}),
                   b.numbers("m", {0.01, 0}, {2}), b.numbers("v", {0, 1e-7}, {2})}));
    const OptimizeReport report = optimize_and_check(b);
    EXPECT_TRUE(report.batch_norms[0].folded) << report.batch_norms[0].reason;
  }
}

// The default epsilon is the float32 nearest to 1e-5, also in a double model.
TEST(FoldSpecial, DefaultEpsilonIsAFloat32) {
  Build b(DataType::float64);
  Value* x = b.input("x", {1, 1, 1, 1});
  Value* y = b.op("Conv", "conv", {x, b.numbers("w", {1}, {1, 1, 1, 1})});
  b.output(b.op("BatchNormalization", "bn",
                {y, b.numbers("s", {1}, {1}), b.numbers("t", {0}, {1}), b.numbers("m", {0}, {1}),
                 b.numbers("v", {0}, {1})}));
  optimize(*b.model);
  EXPECT_DOUBLE_EQ(*b.graph->find("w_folded")->initializer()->data<double>(),
                   1 / std::sqrt(static_cast<double>(1e-5f)));
}

TEST(FoldSpecial, DeadChannelsLeaveNoSubnormals) {
  Build b;
  Value* x = b.input("x", {1, 2, 3, 3});
  Value* y = b.op("Conv", "conv", {x, b.random("w", {3, 2, 1, 1}, 0.5, 1)});
  b.output(b.op("BatchNormalization", "bn",
                {y, b.numbers("s", {1, 1e-42, 0}, {3}), b.numbers("t", {1, 1e-41, 0}, {3}),
                 b.numbers("m", {0.5, 0, 3}, {3}), b.numbers("v", {1, 1, 1}, {3})}));
  const OptimizeReport report = optimize_and_check(b);
  ASSERT_TRUE(report.batch_norms[0].folded);
  EXPECT_EQ(report.batch_norms[0].flushed, 3);  // two weights and a bias of channel 1
  for (const Value* v : b.graph->initializers()) {
    for (float f : v->initializer()->values<float>()) EXPECT_NE(std::fpclassify(f), FP_SUBNORMAL);
  }
}

TEST(FoldSpecial, SmallFloat16WeightsAreKept) {
  Build b(DataType::float16);
  Value* x = b.input("x", {1, 1, 1, 1});
  Value* y = b.op("Conv", "conv", {x, b.numbers("w", {3e-5}, {1, 1, 1, 1})});
  b.output(b.op("Mul", "mul", {y, b.numbers("s", {0.5}, {})}));
  optimize(*b.model);
  EXPECT_NEAR(static_cast<double>(*b.graph->find("w_folded")->initializer()->data<Float16>()), 1.5e-5, 6e-8);
}

TEST(FoldSpecial, CopiesOfASharedWeightHaveABudget) {
  Build b;
  Value* x = b.input("x", {1, 3, 5, 5});
  Value* w = b.random("w", {8, 3, 3, 3});  // 864 bytes
  for (int i = 0; i < 3; ++i) {
    b.output(b.batch_norm(fmt::format("bn{}", i), b.op("Conv", fmt::format("conv{}", i), {x, w}), 8));
  }
  OptimizeOptions options;
  options.growth_bytes = 1000;
  options.disable = {"merge_duplicates"};  // what is not folded is the same convolution again
  const OptimizeReport report = optimize(*b.model, options);
  EXPECT_TRUE(report.batch_norms[0].folded);
  EXPECT_FALSE(report.batch_norms[1].folded);
  EXPECT_THAT(report.batch_norms[1].reason, ::testing::HasSubstr("would pass the limit for new constants"));
}

// A batch norm that goes for another reason has a verdict too.
TEST(FoldSpecial, AnOffsetThatStaysKeepsTheLayoutOfFeatureMaps) {
  for (DataType type : {DataType::float32, DataType::float16}) {
    Build b(type, 17, 9);
    Value* bn = b.op("BatchNormalization", "bn",
                     {b.input("x", {1, 5, 4, 4}), b.random("scale", {5}, 0.5, 2), b.random("bias", {5}),
                      b.random("mean", {5}), b.random("var", {5}, 0.5, 2)});
    Value* y = b.op("Relu", "relu", {bn});
    b.output(b.op("Conv", "conv", {y, b.random("w", {3, 5, 1, 1})}));
    const OptimizeReport report = optimize(*b.model);
    ASSERT_EQ(report.batch_norms.size(), 1u);
    EXPECT_TRUE(report.batch_norms[0].offset_stays);
    EXPECT_EQ(report.batch_norms[0].into, std::vector<std::string>{"conv"});
    EXPECT_EQ(report.nodes_after, 3);
    const Node* kept = find_node(*b.graph, "bn");
    ASSERT_TRUE(kept);
    EXPECT_EQ(kept->op_type(), type == DataType::float32 ? "Conv" : "Add");
    if (type == DataType::float32) {
      EXPECT_EQ(AttributeReader(*kept).i("group"), 5);
      EXPECT_TRUE(kept->input(1)->constant()->identical_to(Tensor::of(std::vector<float>(5, 1.0f), {5, 1, 1, 1})));
    }
    EXPECT_TRUE(optimize(*b.model).rules.empty());
  }
}

TEST(FoldSpecial, BatchNormsOfConstantsAndOfNothing) {
  Build b;
  Value* x = b.input("x", {1, 3, 2, 2});
  b.batch_norm("dead", x, 3);
  b.output(b.op("Add", "add", {x, b.batch_norm("constant", b.random("c", {1, 3, 2, 2}), 3)}));
  const OptimizeReport report = optimize_and_check(b);
  ASSERT_EQ(report.batch_norms.size(), 2u);
  EXPECT_TRUE(report.batch_norms[0].folded);
  EXPECT_EQ(report.batch_norms[0].rule, "remove_dead_node");
  EXPECT_EQ(report.batch_norms[1].rule, "evaluate_constant");
}

TEST(FoldSpecial, LegacyBroadcast) {
  Build b(DataType::float32, 6);
  Value* x = b.input("x", {1, 3, 5, 5});
  Value* y = b.op("Conv", "conv", {x, b.random("w", {4, 3, 3, 3})});
  y = b.op("Add", "add", {y, b.random("c", {4})}, {{"broadcast", int64_t{1}}, {"axis", int64_t{1}}});
  b.output(b.batch_norm("bn", y, 4, {{"is_test", int64_t{1}}}));
  const auto before = b.model->clone();
  const OptimizeReport report = optimize(*b.model);
  EXPECT_TRUE(report.batch_norms[0].folded) << report.batch_norms[0].reason;
  EXPECT_EQ(b.graph->num_nodes(), 1u);
}

// |output before - after| <= bound * reach, in exact arithmetic, reach being what inputs of that size can
// give.
TEST(ErrorBound, HoldsForEveryWeight) {
  for (const DataType type : {DataType::float32, DataType::float16}) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
      constexpr int64_t kOut = 5, kIn = 17;
      const Tensor w = random_tensor(type, {kOut, kIn, 1}, seed),
                   bias = random_tensor(type, {kOut}, seed + 100);
      const Tensor s = random_tensor(type, {kOut}, seed + 200, -3, 3),
                   t = random_tensor(type, {kOut}, seed + 300);
      const Tensor m = random_tensor(type, {kOut}, seed + 400),
                   v = random_tensor(type, {kOut}, seed + 500, 0.01, 2);
      Build b(type);
      Value* x = b.input("x", {1, kIn, 1});
      Value* y = b.op("Conv", "conv", {x, b.constant("w", w), b.constant("b", bias)});
      b.output(b.op("BatchNormalization", "bn",
                    {y, b.constant("s", s), b.constant("t", t), b.constant("m", m), b.constant("v", v)}));
      const OptimizeReport report = optimize(*b.model);
      ASSERT_TRUE(report.batch_norms[0].folded);
      const std::vector<double> folded_w = to_doubles(*b.graph->find("w_folded")->initializer());
      const std::vector<double> folded_b = to_doubles(*b.graph->find("b_folded")->initializer());
      const auto W = to_doubles(w), B = to_doubles(bias), S = to_doubles(s), T = to_doubles(t),
                 M = to_doubles(m), V = to_doubles(v);
      double change = 0, reach = 0;
      for (size_t c = 0; c < kOut; ++c) {
        const double factor = S[c] / std::sqrt(V[c] + static_cast<double>(1e-5f));
        const double exact_b = (B[c] - M[c]) * factor + T[c];
        double dc = std::abs(folded_b[c] - exact_b),
               rc = std::abs(exact_b);  // inputs of magnitude 1, each of the worst sign
        for (size_t i = 0; i < kIn; ++i) {
          dc += std::abs(folded_w[c * kIn + i] - factor * W[c * kIn + i]);
          rc += std::abs(factor * W[c * kIn + i]);
        }
        change = std::max(change, dc);
        reach = std::max(reach, rc);
      }
      EXPECT_LE(change, *report.batch_norms[0].error_bound * reach);
      EXPECT_GT(change, 0.02 * *report.batch_norms[0].error_bound * reach) << "a bound that says nothing";
    }
  }
}

TEST(WeightView, EveryLayoutAgainstTheDefinition) {
  for (const bool output_first : {true, false}) {
    for (WeightView view :
         {WeightView{1, 7, 9, 1}, WeightView{1, 5, 7, 9}, WeightView{3, 4, 5, 6, true, true},
          WeightView{4, 3, 5, 1, true, true}, WeightView{1, 3, 70000, 1}, WeightView{1, 3, 7000, 9},
          WeightView{2, 300, 301, 1, true, true}}) {
      view.output_first = output_first;
      const Dims dims = {view.outer, view.first, view.second, view.inner};
      const Tensor w = random_tensor(DataType::float32, dims, 3);
      const std::vector<double> outputs = to_doubles(random_tensor(DataType::float64, {view.outputs()}, 4)),
                                inputs = to_doubles(random_tensor(DataType::float64, {view.inputs()}, 5));
      for (const int which : {1, 2, 3}) {
        const auto output_scale = which & 1 ? outputs : std::vector<double>();
        const auto input_scale = which & 2 ? inputs : std::vector<double>();
        const Rounded result = scale_weight(w, view, output_scale, input_scale);
        const WeightedSums sums = weighted_sums(w, view, inputs);
        std::vector<double> error(outputs.size(), 0), reach(outputs.size(), 0);
        std::vector<double> expected(outputs.size() * static_cast<size_t>(view.inner), 0);
        int64_t at = 0;
        for (int64_t g = 0; g < view.outer; ++g) {
          for (int64_t a = 0; a < view.first; ++a) {
            for (int64_t b = 0; b < view.second; ++b) {
              for (int64_t i = 0; i < view.inner; ++i, ++at) {
                const auto first = static_cast<size_t>(g * view.first + a),
                           second = static_cast<size_t>(g * view.second + b);
                const size_t out = output_first ? first : second, in = output_first ? second : first;
                const double weight = static_cast<double>(w.data<float>()[at]);
                const double exact =
                    weight * ((which & 1 ? outputs[out] : 1.0) * (which & 2 ? inputs[in] : 1.0));
                ASSERT_EQ(result.tensor.data<float>()[at], static_cast<float>(exact));
                error[out] += std::abs(static_cast<double>(static_cast<float>(exact)) - exact);
                reach[out] += std::abs(exact);
                expected[out * static_cast<size_t>(view.inner) + static_cast<size_t>(i)] +=
                    weight * inputs[in];
              }
            }
          }
        }
        for (size_t c = 0; c < outputs.size(); ++c) {
          EXPECT_NEAR(result.error[c], error[c], 1e-12 * reach[c]);
          EXPECT_NEAR(result.reach[c], reach[c], 1e-12 * reach[c]);
        }
        for (size_t k = 0; k < expected.size(); ++k)
          ASSERT_NEAR(sums.sum[k], expected[k], 1e-12 * sums.magnitude[k]);
      }
    }
  }
}

TEST(WeightView, LargeWeightsAreScaledWhenTheyAreRead) {
  const WeightView view{1, 40, 30, 25};
  const Tensor w = random_tensor(DataType::float32, {40, 30, 5, 5}, 3);
  const auto outputs = to_doubles(random_tensor(DataType::float64, {40}, 4)),
             inputs = to_doubles(random_tensor(DataType::float64, {30}, 5));
  const Tensor scaled = scale_weight(w, view, outputs, inputs, false).tensor;
  ASSERT_NE(scaled.unread(), nullptr);
  const Tensor whole = scaled.clone();
  EXPECT_TRUE(scale_weight(w, view, outputs, inputs).tensor.identical_to(whole));
  for (const size_t offset : {size_t{0}, size_t{1}, size_t{4}, size_t{4099}, size_t{50000}}) {
    for (const size_t size : {size_t{0}, size_t{3}, size_t{4}, size_t{8000}, size_t{70000}}) {
      std::vector<std::byte> piece(size);
      scaled.copy_bytes(offset, piece);
      EXPECT_EQ(std::memcmp(piece.data(), static_cast<const std::byte*>(whole.raw()) + offset, size), 0)
          << size << " bytes from " << offset;
    }
  }
  // Scaled again and again, as if each result had been stored.
  Tensor lazy = w, stored = w;
  for (int i = 0; i < 8; ++i) {
    const auto& by_output = i % 2 ? outputs : std::vector<double>();
    const auto& by_input = i % 2 ? std::vector<double>() : inputs;
    lazy = scale_weight(lazy, view, by_output, by_input, i % 3 == 0).tensor;
    stored = scale_weight(stored, view, by_output, by_input).tensor.clone();
  }
  EXPECT_TRUE(lazy.identical_to(stored));
}

TEST(WeightView, OverflowIsFoundWithoutMeasuring) {
  const WeightView view{1, 20, 1000, 1};
  for (const float bad : {2e38f, std::numeric_limits<float>::infinity(), std::nanf("")}) {
    Tensor w = random_tensor(DataType::float32, {20, 1000}, 3);
    w.mutable_data<float>()[7345] = bad;
    for (const bool measure : {true, false})
      EXPECT_EQ(scale_weight(w, view, std::vector<double>(20, 2), {}, measure).overflow, 7);
  }
  // Near the limit, and through a weight that was scaled before.
  Tensor w = random_tensor(DataType::float32, {20, 1000}, 3);
  w.mutable_data<float>()[7345] = 1e38f;
  const Tensor twice = scale_weight(w, view, std::vector<double>(20, 2), {}, false).tensor;
  EXPECT_EQ(scale_weight(twice, view, std::vector<double>(20, 1.7), {}, false).overflow, -1);
  EXPECT_EQ(scale_weight(twice, view, std::vector<double>(20, 1.8), {}, false).overflow, 7);
}

TEST(RoundOnce, DoesNotRoundTwice) {
  // Just above the middle of two float16: through float32 it would become the middle, and round to even,
  // down.
  const double above = 1 + 0x1p-11 + 0x1p-40;
  EXPECT_EQ(static_cast<float>(round_once<Float16>(above)), 1 + 0x1p-10f);
  EXPECT_EQ(static_cast<float>(Float16(static_cast<float>(above))), 1.0f);
  EXPECT_EQ(static_cast<float>(round_once<Float16>(-above)), -1 - 0x1p-10f);
  EXPECT_EQ(static_cast<float>(round_once<Float16>(1 + 0x1p-11)), 1.0f);
  EXPECT_EQ(static_cast<float>(round_once<BFloat16>(1 + 0x1p-8 + 0x1p-50)), 1 + 0x1p-7f);
  EXPECT_EQ(static_cast<float>(round_once<BFloat16>(1 + 0x1p-8)), 1.0f);
  EXPECT_TRUE(std::isinf(static_cast<float>(round_once<Float16>(65520.0))));
  EXPECT_EQ(static_cast<float>(round_once<Float16>(65519.99999)), 65504.0f);
  EXPECT_TRUE(std::isinf(static_cast<float>(round_once<BFloat16>(1e300))));
}

}  // namespace
}  // namespace plica::testing
