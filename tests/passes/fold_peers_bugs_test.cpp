// Bugs that other tools have shipped in folding batch norms, each as a test. The comment before a test names
// the class of the bug, and where it was reported.
#include "engine/onnx/onnx.h"
#include "tests/passes/compare_models.h"
#include "tests/passes/fold_rows.h"

namespace plica::testing {
namespace {

using ::testing::HasSubstr;
using Ints = std::vector<int64_t>;

// Optimizes the model, which must stay valid, not grow, and compute the same (before and after in double,
// within what one rounding of each constant may do).
OptimizeReport fold(Build& b, const NamedTensors& given = {}, const OptimizeOptions& options = {}) {
  const auto before = b.model->clone();
  const NamedTensors inputs = given.empty() ? random_inputs(before->graph) : given;
  OptimizeReport report = optimize(*b.model, options);
  b.model->graph.verify();
  EXPECT_LE(report.nodes_after, report.nodes_before);
  for (const char* branch : {"then_branch", "else_branch"}) {
    const Seen seen = compare(*inlined(*before, branch), *inlined(*b.model, branch), report, inputs, b.type);
    EXPECT_EQ(seen.failure, "") << print(before->graph) << "became\n" << print(*b.graph);
  }
  return report;
}

int norms_left(const Build& b) { return count_ops(*b.graph, "BatchNormalization"); }
const Tensor& constant(const Node* node, int input) { return *node->input(input)->constant(); }

// The default epsilon is the float32 nearest to 1e-5, not the double (onnxscript, OnnxSlim), nor 1e-10 (MNN);
// and an absent attribute is no null pointer (ONNX Runtime).
TEST(PeersBugs, DefaultEpsilon) {
  for (const DataType type : {DataType::float64, DataType::float32}) {
    Build b(type);
    Value* y = b.op("Conv", "conv", {b.input("x", {1, 1, 2, 2}), b.numbers("w", {1}, {1, 1, 1, 1})});
    b.output(b.op("BatchNormalization", "bn",
                  {y, b.numbers("s", {1}, {1}), b.numbers("t", {0.5}, {1}), b.numbers("m", {0}, {1}),
                   b.numbers("v", {1e-6}, {1})}));
    const double variance = to_doubles(*b.graph->find("v")->initializer())[0];
    fold(b);
    ASSERT_EQ(norms_left(b), 0);
    const double w = to_doubles(constant(find_node(*b.graph, "conv"), 1))[0];
    const double exact = 1 / std::sqrt(variance + static_cast<double>(1e-5f));
    EXPECT_LE(std::abs(w - exact), 2 * unit_roundoff(type) * exact);
  }
}

// The channels of a grouped ConvTranspose's weight are axis 1 within each group.
// https://github.com/microsoft/onnxscript/issues/2867 https://github.com/pytorch/pytorch/issues/180995
// https://github.com/ultralytics/ultralytics/pull/25364
TEST(PeersBugs, ChannelsOfGroupedConvTranspose) {
  for (const int64_t groups : {1, 2, 3, 6}) {
    Build b;
    Value* y = b.op("ConvTranspose", "conv",
                    {b.input("x", {2, 6, 3, 3}), b.random("w", {6, 2, 2, 2}), b.random("b", {2 * groups})},
                    {{"group", groups}, {"strides", Ints{2, 2}}});
    b.output(b.batch_norm("bn", y, 2 * groups));
    EXPECT_TRUE(fold(b).batch_norms[0].folded) << groups;
  }
}

// beta goes into the bias, once. https://github.com/microsoft/onnxscript/pull/3027
TEST(PeersBugs, BetaOfGemm) {
  for (const float beta : {0.f, 0.5f, -2.f}) {
    for (const Dims& c : {Dims{}, Dims{7}, Dims{1, 7}, Dims{3, 1}, Dims{3, 7}}) {
      Build b;
      Value* y = b.op("Gemm", "fc", {b.input("x", {3, 5}), b.random("w", {5, 7}), b.random("c", c)},
                      {{"alpha", 1.5f}, {"beta", beta}});
      b.output(b.batch_norm("bn", y, 7));
      EXPECT_TRUE(fold(b).batch_norms[0].folded) << beta << plica::to_string(c);
    }
  }
}

// A MatMul of rank 3 is no Gemm. https://github.com/microsoft/onnxruntime/issues/22512
TEST(PeersBugs, MatMulOfRankThreeStaysOne) {
  for (const bool transposed : {false, true}) {
    Build b;
    Value* y = b.op("MatMul", "fc", {b.input("x", {2, 7, 5}), b.random("w", {5, 7})});
    if (transposed) y = b.op("Transpose", "transpose", {y}, {{"perm", Ints{0, 2, 1}}});
    b.output(b.batch_norm("bn", y, 7));
    fold(b);
    EXPECT_EQ(count_ops(*b.graph, "Gemm"), 0);
    EXPECT_EQ(count_ops(*b.graph, "MatMul"), 1);
  }
}

// Nor is one of rank 5 with a bias. https://github.com/inisis/OnnxSlim/issues/323
TEST(PeersBugs, MatMulOfRankFiveWithABias) {
  Build b;
  Value* y = b.op("MatMul", "fc", {b.input("x", {2, 7, 2, 1, 5}), b.random("w", {5, 3})});
  y = b.op("Add", "add", {y, b.random("b", {3})});
  b.output(b.batch_norm("bn", b.op("Mul", "mul", {y, b.random("s", {3}, 0.5, 2)}), 7));
  fold(b);
  EXPECT_EQ(count_ops(*b.graph, "Gemm"), 0);
}

// Two convolutions share a weight and have batch norms of their own: each gets a copy.
// https://github.com/Tencent/TNN/issues/808
TEST(PeersBugs, SharedWeight) {
  Build b;
  Value *x = b.input("x", {1, 3, 5, 5}), *w = b.random("w", {4, 3, 3, 3}), *bias = b.random("b", {4});
  for (const char* i : {"1", "2", "3"}) {
    b.output(b.batch_norm(std::string("bn") + i, b.op("Conv", std::string("conv") + i, {x, w, bias}), 4));
  }
  b.output(b.op("Conv", "plain", {x, w, bias}));
  const Tensor original = w->initializer()->clone();
  fold(b);
  EXPECT_EQ(norms_left(b), 0);
  EXPECT_TRUE(constant(find_node(*b.graph, "plain"), 1).identical_to(original));
}

// Parameters are shared too, with a batch norm that stays.
TEST(PeersBugs, SharedParameters) {
  Build b;
  Value* x = b.input("x", {1, 4, 5, 5});
  const auto s = b.statistics("bn", 4);
  Value* y = b.op("Conv", "conv", {x, b.random("w", {4, 4, 3, 3})});
  b.output(b.op("BatchNormalization", "bn1", {y, s.scale, s.bias, s.mean, s.variance}));
  b.output(b.op("BatchNormalization", "bn2", {x, s.scale, s.bias, s.mean, s.variance}));
  const OptimizeReport report = fold(b);
  EXPECT_TRUE(report.batch_norms[0].folded);
  EXPECT_FALSE(report.batch_norms[1].folded);
}

// scale * b + shift, not b + shift. https://github.com/Tencent/ncnn/issues/1339
TEST(PeersBugs, ConvolutionWithABias) {
  Build b;
  Value* y = b.op("Conv", "conv",
                  {b.input("x", {1, 1, 1, 1}), b.numbers("w", {3}, {1, 1, 1, 1}), b.numbers("b", {5}, {1})});
  b.output(b.op("BatchNormalization", "bn",
                {y, b.numbers("s", {8}, {1}), b.numbers("t", {0.25}, {1}), b.numbers("m", {1}, {1}),
                 b.numbers("v", {4}, {1})},
                {{"epsilon", 0.f}}));
  fold(b);
  EXPECT_EQ(to_doubles(constant(find_node(*b.graph, "conv"), 1)), std::vector<double>{12});
  EXPECT_EQ(to_doubles(constant(find_node(*b.graph, "conv"), 2)), std::vector<double>{16.25});
}

// https://github.com/microsoft/onnxruntime/issues/12498
TEST(PeersBugs, AddBehindAGroupedConvolution) {
  for (const int64_t groups : {2, 3, 6}) {
    Build b;
    Value* y = b.op("Conv", "conv", {b.input("x", {2, 6, 4, 4}), b.random("w", {12, 6 / groups, 3, 3})},
                    {{"group", groups}});
    y = b.op("Add", "add", {y, b.random("c", {12, 1, 1})});
    b.output(b.batch_norm("bn", y, 12));
    EXPECT_TRUE(fold(b).batch_norms[0].folded);
    EXPECT_EQ(b.graph->num_nodes(), 1u);
  }
}

// New names are new, whatever is there already: "initializer name is not unique".
// https://github.com/onnx/optimizer/issues/174
TEST(PeersBugs, NamesAreUnique) {
  Build b;
  Value* x = b.input("w_folded", {1, 3, 5, 5});
  Value* y = b.op("Conv", "conv", {x, b.random("w", {4, 3, 3, 3})});
  y = b.op("Relu", "conv_bias_folded", {b.batch_norm("bn", y, 4)});
  y = b.op("Conv", "w_folded_1", {y, b.random("w", {4, 4, 1, 1})});
  b.output(b.batch_norm("conv_bias", y, 4));
  fold(b);
  EXPECT_EQ(norms_left(b), 0);
  std::set<std::string> names;
  for (const Value* v : b.graph->values()) EXPECT_TRUE(names.insert(v->name()).second) << v->name();
  EXPECT_TRUE(b.graph->find("conv_bias")->is_graph_output());
}

// https://github.com/onnxsim/onnxsim/issues/428 https://github.com/microsoft/onnxscript/issues/2637
// https://github.com/microsoft/onnxscript/issues/1752
TEST(PeersBugs, DocStringsAndMetadataStay) {
  Build b;
  b.model->doc_string = "a model", b.model->metadata = {{"classes", "cat,dog"}},
  b.model->producer_name = "somebody";
  b.graph->doc_string = "a graph";
  Value* x = b.input("x", {1, 3, 5, 5});
  x->doc_string = "RGB";
  Value* y = b.op("Conv", "conv", {x, b.random("w", {4, 3, 3, 3})});
  y->producer()->doc_string = "stem", y->producer()->metadata = {{"origin", "net.0"}};
  Value* z = b.batch_norm("bn", y, 4);
  z->doc_string = "normalized";
  b.output(z);
  fold(b);
  const Node* conv = find_node(*b.graph, "conv");
  ASSERT_TRUE(conv);
  EXPECT_EQ(conv->doc_string, "stem");
  EXPECT_EQ(conv->metadata[0], (std::pair<std::string, std::string>("origin", "net.0")));
  EXPECT_EQ(b.graph->outputs()[0]->doc_string, "normalized");
  EXPECT_EQ(b.graph->inputs()[0]->doc_string, "RGB");
  EXPECT_EQ(b.graph->doc_string, "a graph");
  EXPECT_EQ(b.model->doc_string, "a model");
  EXPECT_EQ(b.model->metadata, (Metadata{{"classes", "cat,dog"}}));
}

// Folded all the same, wrongly (onnxscript). The mode leaks into exports; tell the user.
// https://github.com/pytorch/pytorch/issues/75252 https://github.com/microsoft/onnxruntime/issues/14185
TEST(PeersBugs, TrainingMode) {
  for (const bool before : {false, true}) {
    Build b;
    Value* x = b.input("x", {2, 4, 5, 5});
    const auto bn = [&](Value* v) { return b.batch_norm("bn", v, 4, {{"training_mode", int64_t{1}}}); };
    const auto conv = [&](Value* v) { return b.op("Conv", "conv", {v, b.random("w", {4, 4, 1, 1})}); };
    b.output(before ? conv(bn(x)) : bn(conv(x)));
    const std::string text = print(*b.graph);
    const OptimizeReport report = optimize(*b.model);
    EXPECT_FALSE(report.batch_norms[0].folded);
    EXPECT_THAT(report.batch_norms[0].fix, HasSubstr("eval()"));
    EXPECT_EQ(print(*b.graph), text);
  }
}

// Up to opset 6 the default of is_test is 0, training (OpenVINO takes it for 1).
TEST(PeersBugs, IsTest) {
  for (const int64_t is_test : {0, 1}) {
    for (const int64_t opset : {1, 6}) {
      Build b(DataType::float32, opset, 3);
      Value* w = b.graph->add_input("w", Type::tensor(DataType::float32, Shape{4, 3, 1, 1}));
      b.graph->set_initializer(w, random_tensor(DataType::float32, {4, 3, 1, 1}, 5));
      Value* y = b.op("Conv", "conv", {b.input("x", {1, 3, 2, 2}), w});
      std::vector<NamedAttribute> attributes;
      if (is_test) attributes.push_back({"is_test", int64_t{1}});
      b.output(b.batch_norm("bn", y, 4, attributes));
      EXPECT_EQ(optimize(*b.model).batch_norms[0].folded, is_test == 1);
    }
  }
}

// An input that is left out by an empty name is none (onnxscript crashes).
TEST(PeersBugs, EmptyBiasInput) {
  for (const char* op : {"Conv", "ConvTranspose"}) {
    Build b;
    Value* y = b.op(op, "conv", {b.input("x", {1, 4, 3, 3}), b.random("w", {4, 4, 2, 2}), nullptr});
    b.output(b.batch_norm("bn", y, 4));
    EXPECT_TRUE(fold(b).batch_norms[0].folded);
  }
  Build b;
  b.output(b.batch_norm("bn", b.op("Gemm", "fc", {b.input("x", {3, 5}), b.random("w", {5, 7}), nullptr}), 7));
  EXPECT_TRUE(fold(b).batch_norms[0].folded);
}

// A float16 convolution must not get float32 weights (OnnxSlim, onnxscript: invalid models), before or
// behind.
TEST(PeersBugs, Float16WithFloat32Statistics) {
  for (const bool before : {false, true}) {
    Build b(DataType::float16);
    Value* x = b.input("x", {2, 4, 5, 5});
    const auto f32 = [&](const char* name, double low) {
      return b.constant(name, random_tensor(DataType::float32, {4}, b.next_seed(), low, 2));
    };
    const auto bn = [&](Value* v) {
      return b.op("BatchNormalization", "bn", {v, f32("s", 0.5), f32("t", -1), f32("m", -1), f32("v", 0.5)});
    };
    const auto conv = [&](Value* v) {
      return b.op("Conv", "conv", {v, b.random("w", {4, 4, 3, 3})}, {{"pads", Ints{1, 1, 1, 1}}});
    };
    b.output(before ? conv(bn(x)) : bn(conv(x)));
    fold(b);
    for (const Node* n : b.graph->nodes()) {
      if (n->is("BatchNormalization")) continue;
      for (int i = 0; i < n->num_inputs(); ++i) {
        if (!n->has_input(i) || !n->input(i)->constant()) continue;
        EXPECT_EQ(n->input(i)->constant()->type(), DataType::float16);
      }
    }
  }
}

// Statistics beyond float16's range, in a float16 model: the arithmetic is not float16's.
// https://github.com/pytorch/TensorRT/pull/1450 https://github.com/pytorch/pytorch/pull/106576
TEST(PeersBugs, VarianceBeyondFloat16) {
  Build b(DataType::float16);
  Value* y = b.op("Conv", "conv", {b.input("x", {1, 2, 3, 3}), b.random("w", {2, 2, 1, 1})});
  const auto f32 = [&](const char* name, float one, float two) {
    return b.constant(name, Tensor::vector<float>({one, two}));
  };
  b.output(b.op("BatchNormalization", "bn",
                {y, f32("s", 300, 1), f32("t", 1, 2), f32("m", -100, 0), f32("v", 1e6, 65504)}));
  EXPECT_TRUE(fold(b).batch_norms[0].folded);
  for (const double w : to_doubles(constant(find_node(*b.graph, "conv"), 1)))
    EXPECT_TRUE(std::isfinite(w) && w != 0);
}

// An amplified weight that float16 cannot hold is not folded to infinity.
TEST(PeersBugs, Float16Overflow) {
  Build b(DataType::float16);
  Value* y = b.op("Conv", "conv", {b.input("x", {1, 1, 2, 2}), b.numbers("w", {60000}, {1, 1, 1, 1})});
  b.output(b.op("BatchNormalization", "bn",
                {y, b.numbers("s", {2}, {1}), b.numbers("t", {0}, {1}), b.numbers("m", {0}, {1}),
                 b.numbers("v", {1}, {1})}));
  const OptimizeReport report = optimize(*b.model);
  EXPECT_FALSE(report.batch_norms[0].folded);
  EXPECT_THAT(report.batch_norms[0].reason, HasSubstr("float16"));
}

// Channels that training switched off leave subnormal constants, on which CPUs take many times as long.
// https://github.com/FasterAI-Labs/fasterai/pull/82
TEST(PeersBugs, SubnormalsOfDeadChannels) {
  for (const bool before : {false, true}) {
    Build b;
    Value* x = b.input("x", {1, 3, 3, 3});
    const auto bn = [&](Value* v) {
      return b.op("BatchNormalization", "bn",
                  {v, b.numbers("s", {1, 1e-41, 1e-42}, {3}), b.numbers("t", {1, 3e-41, 0}, {3}),
                   b.numbers("m", {0.5, 0, 3}, {3}), b.numbers("v", {1, 1, 1}, {3})});
    };
    const auto conv = [&](Value* v) {
      return b.op("Conv", "conv", {v, b.random("w", {3, 3, 1, 1}, 0.5, 1)});
    };
    b.output(before ? conv(bn(x)) : bn(conv(x)));
    const OptimizeReport report = fold(b);
    if (!report.batch_norms[0].folded) continue;
    EXPECT_GT(report.batch_norms[0].flushed, 0);
    for (const Value* v : b.graph->initializers()) {
      for (const float f : v->initializer()->values<float>())
        EXPECT_NE(std::fpclassify(f), FP_SUBNORMAL) << v->name();
    }
  }
}

// Nodes found by their names: names that contain each other, that are alike, and none at all. One of these
// deleted whole graphs. https://github.com/inisis/OnnxSlim/issues/321
TEST(PeersBugs, NamesOfNodesDoNotMatter) {
  for (const int kind : {0, 1, 2}) {
    Build b;
    Value* x = b.input("x", {1, 3, 5, 5});
    Value* y = b.batch_norm("n", b.op("Conv", "node", {x, b.random("w", {4, 3, 1, 1})}), 4);
    y = b.op("Relu", "no", {y});
    y = b.batch_norm("node_1", b.op("Conv", "node_1_1", {y, b.random("w_1", {4, 4, 1, 1})}), 4);
    b.output(b.op("Relu", "node_11", {y}));
    for (Node* n : b.graph->nodes()) {
      if (kind == 1) n->name = "same";
      if (kind == 2) n->name.clear();
    }
    const OptimizeReport report = fold(b);
    EXPECT_EQ(norms_left(b), 0);
    EXPECT_EQ(b.graph->num_nodes(), 4u);
    for (const auto& v : report.batch_norms) EXPECT_FALSE(v.node.empty());
  }
}

// Slices that look as if they did nothing. https://github.com/inisis/OnnxSlim/issues/277
TEST(PeersBugs, SlicesAreNotDroppedWrongly) {
  const struct {
    int64_t start, end, axis, step;
  } slices[] = {{0, INT64_MAX, 1, 1}, {0, 4, 1, 1},         {-1, INT64_MIN + 1, 1, -1},
                {0, -1, 2, 1},        {1, INT64_MAX, 3, 2}, {-4, 4, 1, 1}};
  for (const auto& s : slices) {
    for (const bool before : {false, true}) {
      Build b;
      Value* y = b.op("Conv", "conv", {b.input("x", {1, 4, 5, 5}), b.random("w", {4, 4, 1, 1})});
      if (before) y = b.batch_norm("bn", y, 4);
      const auto one = [&](const char* name, int64_t v) {
        return b.constant(name, Tensor::vector<int64_t>({v}));
      };
      y = b.op("Slice", "slice",
               {y, one("starts", s.start), one("ends", s.end), one("axes", s.axis), one("steps", s.step)});
      b.output(before ? y : b.batch_norm("bn", y, 4));
      fold(b);
      EXPECT_EQ(norms_left(b), 0);
    }
  }
}

// A Slice takes some of the channels: the batch norm's are then others than the convolution's.
TEST(PeersBugs, SliceOfChannels) {
  Build b;
  Value* y = b.op("Conv", "conv", {b.input("x", {1, 4, 5, 5}), b.random("w", {6, 4, 1, 1})});
  const auto one = [&](const char* name, int64_t v) {
    return b.constant(name, Tensor::vector<int64_t>({v}));
  };
  y = b.op("Slice", "slice", {y, one("starts", 4), one("ends", 0), one("axes", 1), one("steps", -2)});
  b.output(b.batch_norm("bn", y, 2));
  fold(b);
}

// Since IR version 4 an initializer that is also an input can be overridden (onnxsim drops the inputs,
// OpenVINO folds).
TEST(PeersBugs, OverridableInitializersStay) {
  for (const int which : {0, 1, 2, 3, 4}) {
    Build b;
    std::vector<Value*> p;
    for (int i = 0; i < 5; ++i) {
      const Tensor t = i == 0 ? random_tensor(DataType::float32, {4, 3, 1, 1}, 5)
                              : random_tensor(DataType::float32, {4}, 6, 0.5, 2);
      const std::string name = "p" + std::to_string(i);
      if (i == which) {
        p.push_back(b.graph->add_input(name, Type::tensor(t.type(), Shape(t.dims()))));
        b.graph->set_initializer(p.back(), t);
      } else {
        p.push_back(b.constant(name, t));
      }
    }
    Value* y = b.op("Conv", "conv", {b.input("x", {1, 3, 2, 2}), p[0]});
    b.output(b.op("BatchNormalization", "bn", {y, p[1], p[2], p[3], p[4]}));
    const OptimizeReport report = optimize(*b.model);
    EXPECT_FALSE(report.batch_norms[0].folded);
    EXPECT_EQ(b.graph->inputs().size(), 2u);
    EXPECT_TRUE(b.graph->find("p" + std::to_string(which))->initializer());
  }
}

// https://github.com/onnx/tensorflow-onnx/issues/2186 (and the batch norm at the end is a graph output)
TEST(PeersBugs, ChainsOfConvAndBatchNorm) {
  Build b;
  Value* y = b.input("x", {1, 3, 9, 9});
  for (int i = 0; i < 6; ++i) {
    y = b.op("Conv", fmt::format("conv{}", i), {y, b.random("w", {3, 3, 2, 2}, -0.4, 0.4)});
    y = b.batch_norm(fmt::format("bn{}", i), y, 3);
  }
  b.output(y);
  fold(b);
  EXPECT_EQ(b.graph->num_nodes(), 6u);
  EXPECT_EQ(norms_left(b), 0);
}

// Weights of an If body may be the outer graph's (onnxoptimizer leaves such a batch norm alone, and adds
// nodes).
TEST(PeersBugs, BodiesWithOuterWeights) {
  Build b;
  Value *x = b.input("x", {1, 3, 5, 5}), *w = b.random("w", {3, 3, 1, 1});
  const auto s = b.statistics("bn", 3);
  Value* condition = b.graph->add_input("condition", Type::tensor(DataType::boolean, Shape(Dims{})));
  Value* out = b.graph->add_value("out", Type::tensor(DataType::float32));
  Node* branch = b.graph->add_node("If", "", {condition}, {out});
  for (const std::string side : {"then_", "else_"}) {
    Build inner = b.in(*b.graph->add_subgraph(branch, side + "branch"));
    Value* y = inner.op("Conv", side + "conv", {x, w});
    inner.output(inner.op("BatchNormalization", side + "bn", {y, s.scale, s.bias, s.mean, s.variance}));
  }
  b.output(out);
  // The outer weight is also what another convolution reads.
  b.output(b.op("Conv", "outer", {x, w}));
  const OptimizeReport report = fold(b);
  EXPECT_EQ(norms_left(b), 0);
  EXPECT_EQ(report.nodes_after, 4);
}

// In model functions (OpenVINO rejects, onnxoptimizer copies them untouched).
TEST(PeersBugs, ModelFunctions) {
  const Row* row = nullptr;
  for (const Row& r : fold_rows()) {
    if (std::string_view(r.name) == "local_function") row = &r;
  }
  RowBuilder g({DataType::float32, 17, 2, 2, 3, 3, false}, false);
  row->build(g);
  EXPECT_TRUE(fold(g.b, g.inputs).batch_norms[0].folded);
}

// spatial = 0 (ArcFace and its like) makes four tools throw.
// https://github.com/apache/mxnet/issues/16439 https://github.com/microsoft/onnxruntime/issues/831
TEST(PeersBugs, SpatialZero) {
  for (const bool behind : {true, false}) {
    Build b(DataType::float32, 7, 4);
    Value* x = b.input("x", {1, 3, 4, 4});
    const auto map = [&](const char* name, double low) { return b.random(name, {3, 4, 4}, low, 2); };
    const auto bn = [&](Value* v) {
      return b.op("BatchNormalization", "bn", {v, map("s", -1), map("t", -1), map("m", -1), map("v", 0.5)},
                  {{"spatial", int64_t{0}}});
    };
    const auto conv = [&](Value* v) { return b.op("Conv", "conv", {v, b.random("w", {3, 3, 1, 1})}); };
    b.output(behind ? bn(conv(x)) : conv(bn(x)));
    const OptimizeReport report = fold(b);
    EXPECT_FALSE(report.batch_norms[0].folded);
    EXPECT_THAT(report.batch_norms[0].reason, HasSubstr("spatial"));
  }
}

// A root that does not exist becomes no NaN in a weight (every peer but OpenVINO).
TEST(PeersBugs, NegativeVariance) {
  for (const double variance : {-0.5, -1e-5}) {
    for (const bool before : {false, true}) {
      Build b;
      Value* x = b.input("x", {1, 2, 2, 2});
      const auto bn = [&](Value* v) {
        return b.op("BatchNormalization", "bn",
                    {v, b.random("s", {2}), b.random("t", {2}), b.random("m", {2}),
                     b.numbers("v", {1, variance}, {2})});
      };
      const auto conv = [&](Value* v) { return b.op("Conv", "conv", {v, b.random("w", {2, 2, 1, 1})}); };
      b.output(before ? conv(bn(x)) : bn(conv(x)));
      const std::string text = print(*b.graph);
      const OptimizeReport report = optimize(*b.model);
      EXPECT_FALSE(report.batch_norms[0].folded);
      EXPECT_THAT(report.batch_norms[0].reason, HasSubstr("channel 1"));
      EXPECT_EQ(print(*b.graph), text);
    }
  }
  // What epsilon makes positive is a variance.
  Build b;
  Value* y = b.op("Conv", "conv", {b.input("x", {1, 1, 2, 2}), b.random("w", {1, 1, 1, 1})});
  b.output(b.op("BatchNormalization", "bn",
                {y, b.random("s", {1}), b.random("t", {1}), b.random("m", {1}), b.numbers("v", {-1e-6}, {1})},
                {{"epsilon", 1e-3f}}));
  EXPECT_TRUE(fold(b).batch_norms[0].folded);
}

// A batch norm whose output is a graph output folds (tf2onnx leaves it), and the output keeps its name; one
// whose input is, does not.
TEST(PeersBugs, GraphOutputs) {
  for (const bool conv_too : {false, true}) {
    Build b;
    Value* y = b.op("Conv", "conv", {b.input("x", {1, 3, 5, 5}), b.random("w", {4, 3, 1, 1})});
    b.output(b.batch_norm("bn", y, 4));
    if (conv_too) b.output(y, 4);
    EXPECT_EQ(fold(b).batch_norms[0].folded, !conv_too);
    EXPECT_EQ(b.graph->outputs()[0]->name(), "bn");
    EXPECT_EQ(b.graph->outputs().back()->name(), conv_too ? "conv" : "bn");
  }
}

// The output of the batch norm is listed twice, and read besides.
TEST(PeersBugs, OutputListedTwice) {
  Build b;
  Value* y = b.op("Conv", "conv", {b.input("x", {1, 3, 5, 5}), b.random("w", {4, 3, 1, 1})});
  Value* z = b.batch_norm("bn", y, 4);
  b.output(z);
  b.output(z);
  b.output(b.op("Relu", "relu", {z}));
  EXPECT_TRUE(fold(b).batch_norms[0].folded);
}

// Not every Reshape can be looked through (ONNX Runtime does for MatMul): the channels must be the same ones.
TEST(PeersBugs, ReshapeBetween) {
  const struct {
    Ints shape;
    int64_t channels;
  } shapes[] = {{{2, 6, 9}, 6}, {{2, 3, 18}, 3},     {{2, 9, 6}, 9},
                {{2, 54}, 54},  {{1, 12, 3, 3}, 12}, {{4, 3, 3, 3}, 3}};
  for (const auto& [shape, channels] : shapes) {
    Build b;
    Value* y = b.op("Conv", "conv", {b.input("x", {2, 4, 3, 3}), b.random("w", {6, 4, 1, 1})});
    y = b.op("Reshape", "reshape", {y, b.constant("shape", Tensor::of(shape, {std::ssize(shape)}))});
    b.output(b.batch_norm("bn", y, channels));
    fold(b);
  }
}

// The same model gives the same bytes (hash maps and addresses do not show), however often.
TEST(PeersBugs, BytesAreDeterministic) {
  std::string first;
  for (int run = 0; run < 5; ++run) {
    std::vector<std::unique_ptr<int[]>> holes;  // move the heap
    for (int i = 0; i < 37 * run; ++i)
      holes.push_back(std::make_unique<int[]>(static_cast<size_t>(1 + i % 300)));
    Build b;
    Value* x = b.input("x", {1, 4, 6, 6});
    Value* w = b.random("w", {4, 4, 3, 3});
    std::vector<Value*> ends;
    for (int i = 0; i < 8; ++i) {
      Value* y =
          b.op("Conv", fmt::format("conv{}", i), {i % 3 ? ends.back() : x, w}, {{"pads", Ints{1, 1, 1, 1}}});
      ends.push_back(b.batch_norm(fmt::format("bn{}", i), y, 4));
    }
    b.output(b.op("Concat", "concat", ends, {{"axis", int64_t{1}}}));
    optimize(*b.model);
    const std::string bytes = serialize_model(*b.model);
    if (run == 0) first = bytes;
    EXPECT_EQ(bytes == first, true) << "run " << run;
  }
}

// What others read, by a node, twice by one node, or in a subgraph, is not changed under them.
TEST(PeersBugs, OtherReaders) {
  for (const int kind : {0, 1, 2}) {
    Build b;
    Value* y = b.op("Conv", "conv", {b.input("x", {1, 3, 5, 5}), b.random("w", {4, 3, 1, 1})});
    Value* z = b.batch_norm("bn", y, 4);
    NamedTensors inputs = {{"x", random_tensor(DataType::float32, {1, 3, 5, 5}, 4)}};
    if (kind == 0) b.output(b.op("Sigmoid", "gate", {y}));
    if (kind == 1) b.output(b.op("Mul", "product", {y, z}));
    if (kind == 2) {
      Value* condition = b.graph->add_input("condition", Type::tensor(DataType::boolean, Shape(Dims{})));
      inputs["condition"] = Tensor::scalar(true);
      Value* out = b.graph->add_value("out", Type::tensor(DataType::float32));
      Node* branch = b.graph->add_node("If", "", {condition}, {out});
      for (const char* side : {"then_branch", "else_branch"}) {
        Build inner = b.in(*b.graph->add_subgraph(branch, side));
        inner.output(inner.op("Tanh", std::string(side) + "_t", {y}));
      }
      b.output(out);
    }
    b.output(z);
    const auto before = b.model->clone();
    const OptimizeReport report = optimize(*b.model);
    b.model->graph.verify();
    EXPECT_FALSE(report.batch_norms[0].folded) << kind;
    EXPECT_FALSE(report.batch_norms[0].blocking.empty());
    EXPECT_EQ(print(before->graph), print(*b.graph));
  }
}

// Numbers, not nodes that compute them: nothing is left of what went in.
// https://github.com/onnx/optimizer/issues/178 https://github.com/onnx/optimizer/issues/133
TEST(PeersBugs, NothingIsLeftBehind) {
  Build b;
  Value* y = b.op("Conv", "conv", {b.input("x", {1, 3, 5, 5}), b.random("w", {4, 3, 1, 1})});
  b.output(b.batch_norm("bn", y, 4));
  fold(b);
  EXPECT_EQ(b.graph->num_nodes(), 1u);
  EXPECT_EQ(b.graph->initializers().size(), 2u);
}

// Lists of versions rot: a fusion was silently off from opset 15 on.
// https://github.com/microsoft/onnxruntime/pull/11960
TEST(PeersBugs, EveryOpset) {
  for (int64_t opset = 7; opset <= 24; ++opset) {
    Build b(DataType::float32, opset);
    Value* y = b.op("Conv", "conv", {b.input("x", {1, 3, 5, 5}), b.random("w", {4, 3, 1, 1})});
    y = b.op("Gemm", "fc",
             {b.op("Flatten", "flatten", {b.batch_norm("bn", y, 4)}), b.random("v", {100, 2}),
              b.random("c", {2})});
    b.output(b.batch_norm("bn2", y, 2));
    fold(b);
    EXPECT_EQ(norms_left(b), 0) << opset;
  }
}

// A fold that cannot be finished has changed nothing (MNN scales the weights before it looks who reads the
// result).
TEST(PeersBugs, RefusedMeansUntouched) {
  Build b;
  Value* y =
      b.op("Conv", "conv", {b.input("x", {1, 3, 5, 5}), b.random("w", {4, 3, 1, 1}), b.random("b", {4})});
  b.output(b.batch_norm("bn", y, 4));
  b.output(b.op("Tanh", "tanh", {y}));
  const std::string before = serialize_model(*b.model);
  optimize(*b.model);
  EXPECT_EQ(serialize_model(*b.model) == before, true);
}

// A factor of exactly zero is zero, not 1e-10 (ONE divides by it), wherever the batch norm goes.
TEST(PeersBugs, ZeroFactor) {
  for (const int kind : {0, 1, 2, 3}) {
    Build b;
    Value* x = b.input("x", {1, 3, 4, 4});
    const auto bn = [&](Value* v) {
      return b.op("BatchNormalization", "bn",
                  {v, b.numbers("s", {1, 0, 2}, {3}), b.numbers("t", {0.5, -0.25, 0.75}, {3}),
                   b.random("m", {3}), b.random("v", {3}, 0.5, 2)});
    };
    const auto conv = [&](Value* v, int64_t pad) {
      return b.op("Conv", "conv", {v, b.random("w", {3, 3, 3, 3})}, {{"pads", Ints(4, pad)}});
    };
    Value* y = kind == 0   ? conv(bn(x), 0)
               : kind == 1 ? conv(bn(x), 1)
               : kind == 2 ? conv(b.op("Relu", "relu", {bn(x)}), 1)
                           : bn(b.op("Relu", "relu", {conv(x, 1)}));
    b.output(y);
    fold(b);
  }
}

// A negative factor does not commute with ReLU or MaxPool; the shift not with ReLU; none with one channel of
// each sign.
TEST(PeersBugs, NegativeFactorsDoNotPass) {
  for (const char* op : {"Relu", "LeakyRelu", "MaxPool", "GlobalMaxPool"}) {
    for (const bool before : {false, true}) {
      for (const double sign : {-1.0, 1.0}) {
        Build b;
        Value* x = b.input("x", {1, 2, 4, 4});
        const auto bn = [&](Value* v) {
          return b.op("BatchNormalization", "bn",
                      {v, b.numbers("s", {1, sign}, {2}), b.random("t", {2}), b.random("m", {2}),
                       b.random("v", {2}, 0.5, 2)});
        };
        const auto conv = [&](Value* v) { return b.op("Conv", "conv", {v, b.random("w", {2, 2, 1, 1})}); };
        std::vector<NamedAttribute> attributes;
        if (std::string_view(op) == "MaxPool") attributes.push_back({"kernel_shape", Ints{2, 2}});
        const auto between = [&](Value* v) { return b.op(op, "between", {v}, attributes); };
        b.output(before ? conv(between(bn(x))) : bn(between(conv(x))));
        fold(b);
      }
    }
  }
}

// Padded zeros are counted into the mean or not.
TEST(PeersBugs, AveragePoolWithPadding) {
  for (const int64_t counted : {0, 1}) {
    for (const bool before : {false, true}) {
      Build b;
      Value* x = b.input("x", {1, 3, 5, 5});
      const auto conv = [&](Value* v) { return b.op("Conv", "conv", {v, b.random("w", {3, 3, 1, 1})}); };
      const auto pool = [&](Value* v) {
        return b.op(
            "AveragePool", "pool", {v},
            {{"kernel_shape", Ints{3, 3}}, {"pads", Ints{1, 1, 1, 1}}, {"count_include_pad", counted}});
      };
      b.output(before ? conv(pool(b.batch_norm("bn", x, 3))) : b.batch_norm("bn", pool(conv(x)), 3));
      fold(b);
    }
  }
}

// A batch norm before a padded convolution is not folded as if its padding were normalized too: whatever the
// padding, strides, dilations, groups; with sizes known or not.
TEST(PeersBugs, PaddingIsNotNormalized) {
  const struct {
    Ints pads, strides, dilations;
    int64_t group;
    const char* auto_pad;
  } cases[] = {{{1, 1, 1, 1}, {1, 1}, {1, 1}, 1, ""}, {{0, 2, 1, 0}, {1, 1}, {1, 1}, 1, ""},
               {{2, 2, 2, 2}, {2, 3}, {1, 1}, 1, ""}, {{2, 2, 2, 2}, {1, 1}, {2, 2}, 2, ""},
               {{4, 4, 4, 4}, {1, 1}, {1, 1}, 4, ""}, {{}, {2, 2}, {1, 1}, 1, "SAME_UPPER"},
               {{}, {2, 2}, {1, 1}, 4, "SAME_LOWER"}, {{}, {1, 1}, {1, 1}, 1, "VALID"}};
  for (const auto& c : cases) {
    for (const bool dynamic : {false, true}) {
      Build b;
      const Dim h = dynamic ? Dim::symbol("h") : Dim(7), w = dynamic ? Dim::symbol("w") : Dim(6);
      Value* y = b.batch_norm("bn", b.input("x", {2, 4, h, w}), 4);
      std::vector<NamedAttribute> attributes = {
          {"strides", c.strides}, {"dilations", c.dilations}, {"group", c.group}};
      if (!c.pads.empty()) attributes.push_back({"pads", c.pads});
      if (*c.auto_pad) attributes.push_back({"auto_pad", std::string(c.auto_pad)});
      b.output(b.op("Conv", "conv", {y, b.random("w", {8, 4 / c.group, 3, 3})}, attributes));
      for (const int64_t size : {7, 3}) {
        if (!dynamic && size == 3) continue;
        const auto copy = b.model->clone();
        const auto report = optimize(*copy);
        const NamedTensors inputs = {{"x", random_tensor(DataType::float32, {2, 4, size, 6}, 9)}};
        const Seen seen = compare(*b.model, *copy, report, inputs, DataType::float32, true);
        EXPECT_EQ(seen.failure, "") << print(copy->graph);
      }
    }
  }
}

// Rounded once, from double: not after each step (ONNX Runtime), not in the type of the tensor (onnxsim).
TEST(PeersBugs, RoundedOnce) {
  for (const DataType type : {DataType::float16, DataType::float32}) {
    Build b(type);
    Value* y = b.op("Conv", "conv",
                    {b.input("x", {1, 16, 1, 1}), b.random("w", {16, 16, 1, 1}), b.random("b", {16})});
    b.output(b.batch_norm("bn", y, 16));
    std::vector<std::vector<double>> p;
    for (const char* name : {"w", "b", "bn.scale", "bn.bias", "bn.mean", "bn.var"})
      p.push_back(to_doubles(*b.graph->find(name)->initializer()));
    fold(b);
    const Node* conv = find_node(*b.graph, "conv");
    const std::vector<double> w = to_doubles(constant(conv, 1)), bias = to_doubles(constant(conv, 2));
    for (size_t c = 0; c < 16; ++c) {
      const double factor = p[2][c] / std::sqrt(p[5][c] + static_cast<double>(1e-5f));
      const auto rounded = [&](double v) { return to_doubles(tensor_of(type, {v}, {1}))[0]; };
      // A double that is no tie of the type rounds the same way if it is off in its last bits.
      for (size_t i = 0; i < 16; ++i) EXPECT_EQ(w[c * 16 + i], rounded(factor * p[0][c * 16 + i]));
      EXPECT_EQ(bias[c], rounded(factor * (p[1][c] - p[4][c]) + p[3][c]));
    }
  }
}

// Statistics of the input itself are nothing to fold.
TEST(PeersBugs, InstanceNormalizationStays) {
  Build b;
  Value* y = b.op("Conv", "conv", {b.input("x", {2, 3, 5, 5}), b.random("w", {4, 3, 1, 1})});
  b.output(b.op("InstanceNormalization", "in", {y, b.random("s", {4}), b.random("t", {4})}));
  const std::string text = print(*b.graph);
  optimize(*b.model);
  EXPECT_EQ(print(*b.graph), text);
}

// The user keeps one of several. https://github.com/pytorch/pytorch/issues/49226
TEST(PeersBugs, OneNodeIsKept) {
  Build b;
  Value* y = b.input("x", {1, 3, 5, 5});
  for (const char* i : {"1", "2", "3"}) {
    y = b.op("Conv", std::string("conv") + i, {y, b.random("w", {3, 3, 1, 1})});
    y = b.op("Relu", std::string("relu") + i, {b.batch_norm(std::string("bn") + i, y, 3)});
  }
  b.output(y);
  OptimizeOptions options;
  options.keep = {"bn2"};
  const OptimizeReport report = fold(b, {}, options);
  EXPECT_TRUE(report.batch_norms[0].folded && report.batch_norms[2].folded);
  EXPECT_FALSE(report.batch_norms[1].folded);
  EXPECT_TRUE(find_node(*b.graph, "bn2"));
}

// A weight that is itself a graph output keeps its contents.
TEST(PeersBugs, WeightIsAGraphOutput) {
  Build b;
  Value* w = b.random("w", {4, 3, 1, 1});
  const Tensor original = w->initializer()->clone();
  b.output(b.batch_norm("bn", b.op("Conv", "conv", {b.input("x", {1, 3, 5, 5}), w}), 4));
  b.output(w);
  fold(b);
  ASSERT_EQ(b.graph->outputs()[1]->name(), "w");
  EXPECT_TRUE(b.graph->outputs()[1]->initializer()->identical_to(original));
}

// 3.8e-6 was filed as a bug: every fold says how far off it may be, and is not.
// https://github.com/onnx/optimizer/issues/255
TEST(PeersBugs, TheBoundIsStatedAndKept) {
  for (const DataType type : {DataType::float32, DataType::float16, DataType::float64}) {
    Build b(type);
    Value* y =
        b.op("Conv", "conv", {b.input("x", {1, 8, 6, 6}), b.random("w", {9, 8, 3, 3}), b.random("b", {9})});
    b.output(b.batch_norm("bn", y, 9));
    const auto before = b.model->clone();
    const OptimizeReport report = optimize(*b.model);
    ASSERT_TRUE(report.batch_norms[0].error_bound);
    // Weight and bias are rounded once each; in float64 the arithmetic itself counts, a dozen roundings.
    EXPECT_LE(*report.batch_norms[0].error_bound,
              (type == DataType::float64 ? 16 : 2.1) * unit_roundoff(type));
    const Seen seen = compare(*before, *b.model, report, random_inputs(before->graph), type, true);
    EXPECT_TRUE(seen.reported);
    EXPECT_EQ(seen.failure, "");
  }
}

}  // namespace
}  // namespace plica::testing
