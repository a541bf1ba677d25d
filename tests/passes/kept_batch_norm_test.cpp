// Batch norms that must not fold: each says why, and what the user can do.
#include "tests/passes/build.h"

namespace plica::testing {
namespace {

using ::testing::HasSubstr;
using Ints = std::vector<int64_t>;

// conv -> bn with parameters of the caller's.
struct Parts {
  Value *x, *w, *scale, *bias, *mean, *variance;
};
Parts parts(Build& b) {
  Parts p;
  p.x = b.input("x", {2, 3, 5, 5});
  p.w = b.random("w", {4, 3, 3, 3});
  const auto s = b.statistics("bn", 4);
  p.scale = s.scale, p.bias = s.bias, p.mean = s.mean, p.variance = s.variance;
  return p;
}
Value* conv_bn(Build& b, const Parts& p, std::vector<NamedAttribute> attributes = {}) {
  Value* y = b.op("Conv", "conv", {p.x, p.w});
  return b.op("BatchNormalization", "bn", {y, p.scale, p.bias, p.mean, p.variance}, std::move(attributes));
}

// Optimizes; the only batch norm must be there still, untouched.
BatchNormVerdict kept(Build& b, const OptimizeOptions& options = {}) {
  const OptimizeReport report = optimize(*b.model, options);
  EXPECT_EQ(report.batch_norms.size(), 1u);
  const BatchNormVerdict& v = report.batch_norms.at(0);
  EXPECT_FALSE(v.folded);
  EXPECT_EQ(count_ops(*b.graph, "BatchNormalization"), 1);
  EXPECT_TRUE(v.into.empty() && v.rule.empty() && !v.error_bound);
  return v;
}

TEST(KeptBatchNorm, TrainingMode) {
  Build b;
  b.output(conv_bn(b, parts(b), {{"training_mode", int64_t{1}}}));
  const auto v = kept(b);
  EXPECT_THAT(v.reason, HasSubstr("training mode"));
  EXPECT_EQ(v.fix, "exported in training mode: call eval() before export");
  EXPECT_EQ(v.blocking, "bn");
}

TEST(KeptBatchNorm, Opset6WithoutIsTest) {
  Build b(DataType::float32, 6);
  b.output(conv_bn(b, parts(b)));
  const auto v = kept(b);
  EXPECT_THAT(v.reason, HasSubstr("is_test is 0"));
  EXPECT_THAT(v.fix, HasSubstr("eval()"));
}

TEST(KeptBatchNorm, StatisticsAsOutputs) {
  for (const int64_t opset : {7, 9, 17}) {
    Build b(DataType::float32, opset);
    const Parts p = parts(b);
    Value *c = b.op("Conv", "conv", {p.x, p.w}), *y = b.graph->add_value("y"), *m = b.graph->add_value("m");
    b.graph->add_node("BatchNormalization", "", {c, p.scale, p.bias, p.mean, p.variance}, {y, m})->name =
        "bn";
    b.output(y);
    b.output(m);
    EXPECT_THAT(kept(b).reason, HasSubstr("output 'm'")) << opset;
  }
}

TEST(KeptBatchNorm, OneValueForEachActivation) {
  Build b(DataType::float32, 8);
  Parts p = parts(b);
  for (Value** v : {&p.scale, &p.bias, &p.mean, &p.variance}) *v = b.random("each", {4, 3, 3}, 0.5, 1);
  b.output(conv_bn(b, p, {{"spatial", int64_t{0}}}));
  const auto v = kept(b);
  EXPECT_THAT(v.reason, HasSubstr("spatial = 0"));
  EXPECT_THAT(v.fix, HasSubstr("opset 9"));
}

TEST(KeptBatchNorm, SpatialZeroOnAMatrixFolds) {
  // Without further axes an activation is a channel.
  Build b(DataType::float32, 8);
  Value* y = b.op("Gemm", "fc", {b.input("x", {3, 5}), b.random("w", {5, 7}), b.random("b", {7})});
  b.output(b.batch_norm("bn", y, 7, {{"spatial", int64_t{0}}}));
  optimize(*b.model);
  EXPECT_EQ(count_ops(*b.graph, "BatchNormalization"), 0);
}

TEST(KeptBatchNorm, VarianceThatHasNoRoot) {
  for (const double variance : {-0.5, -1e-5, std::nan(""), double{INFINITY}}) {
    Build b;
    Parts p = parts(b);
    p.variance = b.numbers("v", {1, 1, variance, 1}, {4});
    b.output(conv_bn(b, p));
    const auto v = kept(b);
    EXPECT_THAT(v.reason, HasSubstr("channel 2")) << variance;
    EXPECT_THAT(v.fix, HasSubstr("recalibrate"));
  }
}

TEST(KeptBatchNorm, ParametersThatAreNotFinite) {
  for (const int which : {0, 1, 2}) {
    Build b;
    Parts p = parts(b);
    Value* bad = b.numbers("bad", {1, INFINITY, 1, 1}, {4});
    (which == 0 ? p.scale : which == 1 ? p.bias : p.mean) = bad;
    b.output(conv_bn(b, p));
    EXPECT_THAT(kept(b).reason, HasSubstr("not finite in channel 1"));
  }
}

TEST(KeptBatchNorm, WeightThatIsNotFinite) {
  Build b;
  Parts p = parts(b);
  p.w = b.constant("bad", Tensor::of(std::vector<float>(4, NAN), {4, 1, 1, 1}));
  p.x = b.input("x1", {1, 1, 2, 2});
  b.output(conv_bn(b, p));
  EXPECT_THAT(kept(b).reason, HasSubstr("would not be a finite float32"));
}

TEST(KeptBatchNorm, Float16Overflow) {
  Build b(DataType::float16);
  Parts p = parts(b);
  p.w = b.random("w2", {4, 3, 3, 3}, 100, 200);
  p.scale = b.numbers("s2", {1, 1, 1, 1000}, {4});
  p.variance = b.numbers("v2", {1, 1, 1, 1}, {4});
  b.output(conv_bn(b, p));
  const auto v = kept(b);
  EXPECT_THAT(v.reason, HasSubstr("in channel 3 the weight of node 'conv'"));
  EXPECT_THAT(v.reason, HasSubstr("float16"));
}

TEST(KeptBatchNorm, Float16OverflowOfTheBias) {
  Build b(DataType::float16);
  Parts p = parts(b);
  p.scale = b.numbers("s2", {1, 4, 1, 1}, {4});
  p.mean = b.numbers("m2", {1, 60000, 1, 1}, {4});
  p.variance = b.numbers("v2", {1, 1, 1, 1}, {4});
  b.output(conv_bn(b, p));
  EXPECT_THAT(kept(b).reason, HasSubstr("in channel 1 the bias of node 'conv'"));
}

TEST(KeptBatchNorm, ParameterFromTheCaller) {
  Build b;
  Parts p = parts(b);
  p.mean = b.graph->add_input("running_mean", Type::tensor(DataType::float32, Shape{4}));
  b.output(conv_bn(b, p));
  EXPECT_THAT(kept(b).reason, HasSubstr("its mean 'running_mean' is an input of the model"));
}

TEST(KeptBatchNorm, OverridableInitializer) {
  Build b;
  Parts p = parts(b);
  p.variance = b.graph->add_input("running_var", Type::tensor(DataType::float32, Shape{4}));
  b.graph->set_initializer(p.variance, Tensor::vector<float>({1, 1, 1, 1}));
  b.output(conv_bn(b, p));
  const auto v = kept(b);
  EXPECT_THAT(v.reason, HasSubstr("'running_var' is an initializer that callers may override"));
  EXPECT_THAT(v.fix, HasSubstr("IR version >= 4 makes initializers that are graph inputs overridable"));
}

TEST(KeptBatchNorm, OverridableWeight) {
  Build b;
  Parts p = parts(b);
  p.w = b.graph->add_input("weight", Type::tensor(DataType::float32, Shape{4, 3, 3, 3}));
  b.graph->set_initializer(p.w, random_tensor(DataType::float32, {4, 3, 3, 3}, 1));
  b.output(conv_bn(b, p));
  const auto v = kept(b);
  EXPECT_THAT(v.reason, HasSubstr("its weight 'weight' is an initializer that callers may override"));
  EXPECT_EQ(v.blocking, "conv");
}

TEST(KeptBatchNorm, WeightComputedAtRunTime) {
  Build b;
  Parts p = parts(b);
  Value* raw = b.graph->add_input("raw", Type::tensor(DataType::float32, Shape{4, 3, 3, 3}));
  p.w = b.op("Tanh", "squash", {raw});
  b.output(conv_bn(b, p));
  const auto v = kept(b);
  EXPECT_THAT(v.reason, HasSubstr("weight 'squash' is computed at run time by node 'squash' (Tanh"));
  EXPECT_EQ(v.blocking, "squash");
}

TEST(KeptBatchNorm, InputOfAQuantizedWeight) {
  Build b;
  Value* w =
      b.op("DequantizeLinear", "dq",
           {b.constant("q", Tensor::zeros(DataType::int8, {4, 3, 1, 1})), b.numbers("step", {0.1}, {})});
  b.output(b.op("Conv", "conv", {b.batch_norm("bn", b.input("x", {1, 3, 4, 4}), 3), w}));
  const auto v = kept(b);
  EXPECT_THAT(v.reason, HasSubstr("the weight of node 'conv' (Conv, opset 17) is quantized"));
  EXPECT_EQ(v.fix, "fold before the model is quantized");
}

TEST(KeptBatchNorm, WeightQuantizedInBlocks) {
  Build b(DataType::float32, 21);
  Parts p = parts(b);
  p.w = b.op("DequantizeLinear", "dq",
             {b.constant("q", Tensor::zeros(DataType::int8, {4, 4, 3, 3})),
              b.random("step", {4, 2, 3, 3}, 0.1, 0.2)},
             {{"block_size", int64_t{2}}});
  p.x = b.input("x4", {2, 4, 5, 5});
  b.output(conv_bn(b, p));
  const auto v = kept(b);
  EXPECT_THAT(v.reason,
              HasSubstr("its weight is quantized by node 'dq' (DequantizeLinear, opset 21), in blocks"));
  EXPECT_EQ(v.blocking, "dq");
  EXPECT_EQ(v.fix, "fold before the model is quantized");
}

TEST(KeptBatchNorm, InputFromOutsideOfTheSubgraph) {
  Build b;
  const Parts p = parts(b);
  Value* y = b.op("Conv", "conv", {p.x, p.w});
  Value* condition = b.graph->add_input("condition", Type::tensor(DataType::boolean, Shape(Dims{})));
  Value* out = b.graph->add_value("out", Type::tensor(DataType::float32));
  Node* branch = b.graph->add_node("If", "", {condition}, {out});
  Build then = b.in(*b.graph->add_subgraph(branch, "then_branch"));
  then.output(then.op("BatchNormalization", "bn", {y, p.scale, p.bias, p.mean, p.variance}));
  Build other = b.in(*b.graph->add_subgraph(branch, "else_branch"));
  other.output(other.op("Neg", "neg", {p.x}));
  b.output(out);
  EXPECT_THAT(kept(b).reason, HasSubstr("is computed outside of this subgraph"));
}

TEST(KeptBatchNorm, OtherReader) {
  Build b;
  const Parts p = parts(b);
  Value* y = conv_bn(b, p);
  b.output(y);
  b.output(b.op("Sigmoid", "gate", {b.graph->find("conv")}));
  const auto v = kept(b);
  EXPECT_THAT(v.reason, HasSubstr("is also read by node 'gate' (Sigmoid"));
  EXPECT_EQ(v.blocking, "gate");
}

TEST(KeptBatchNorm, OtherReaderBeforeTheBias) {
  Build b;
  const Parts p = parts(b);
  Value* c = b.op("Conv", "conv", {p.x, p.w});
  Value* y = b.op("Add", "add", {c, b.random("k", {4, 1, 1})});
  b.output(b.op("BatchNormalization", "bn", {y, p.scale, p.bias, p.mean, p.variance}));
  b.output(b.op("Sigmoid", "gate", {c}));
  EXPECT_EQ(kept(b).blocking, "gate");
  // The Add goes into the batch norm behind it.
  EXPECT_EQ(b.graph->num_nodes(), 3u);
}

TEST(KeptBatchNorm, ReaderInASubgraph) {
  Build b;
  const Parts p = parts(b);
  Value* y = conv_bn(b, p);
  Value* condition = b.graph->add_input("condition", Type::tensor(DataType::boolean, Shape(Dims{})));
  Value* out = b.graph->add_value("out", Type::tensor(DataType::float32));
  Node* branch = b.graph->add_node("If", "", {condition}, {out});
  branch->name = "if";
  for (const char* side : {"then_branch", "else_branch"}) {
    Build inner = b.in(*b.graph->add_subgraph(branch, side));
    inner.output(inner.op("Neg", std::string(side) + "_neg", {b.graph->find("conv")}));
  }
  b.output(y);
  b.output(out);
  EXPECT_THAT(kept(b).reason, HasSubstr("is also read by node 'then_branch_neg'"));
}

TEST(KeptBatchNorm, ProducerIsAGraphOutput) {
  Build b;
  Value* y = conv_bn(b, parts(b));
  b.output(y);
  b.output(b.graph->find("conv"));
  EXPECT_THAT(kept(b).reason, HasSubstr("is also an output of the graph"));
}

TEST(KeptBatchNorm, ProducerIsNotLinear) {
  Build b;
  const Parts p = parts(b);
  Value* y = b.op("Sigmoid", "gate", {b.op("Conv", "conv", {p.x, p.w})});
  b.output(b.op("BatchNormalization", "bn", {y, p.scale, p.bias, p.mean, p.variance}));
  const auto v = kept(b);
  EXPECT_THAT(v.reason, HasSubstr("node 'gate' (Sigmoid, opset 17), which is not a linear operator"));
  EXPECT_THAT(v.reason, HasSubstr("'bn' is also an output of the graph"));
  EXPECT_EQ(v.blocking, "gate");
}

TEST(KeptBatchNorm, NegativeFactorBehindRelu) {
  Build b;
  const Parts p = parts(b);
  Value* y = b.op("Relu", "relu", {b.op("Conv", "conv", {p.x, p.w})});
  b.output(
      b.op("BatchNormalization", "bn", {y, b.numbers("s", {1, 2, -3, 4}, {4}), p.bias, p.mean, p.variance}));
  const auto v = kept(b);
  EXPECT_THAT(v.reason, HasSubstr("node 'relu' (Relu, opset 17) lets no offset pass"));
  EXPECT_EQ(v.blocking, "relu");
}

TEST(KeptBatchNorm, NothingComesBefore) {
  Build b;
  b.output(b.batch_norm("bn", b.input("x", {1, 3, 2, 2}), 3));
  const auto v = kept(b);
  EXPECT_THAT(v.reason, HasSubstr("its input 'x' is an input of the graph"));
  EXPECT_EQ(v.blocking, "");
}

TEST(KeptBatchNorm, ChannelsOfAMatMulAreItsLastAxis) {
  Build b;
  b.output(b.batch_norm("bn", b.op("MatMul", "fc", {b.input("x", {2, 7, 5}), b.random("w", {5, 7})}), 7));
  EXPECT_THAT(kept(b).reason, HasSubstr("differ along other axes than the channels of node 'fc'"));
}

TEST(KeptBatchNorm, MatMulOfUnknownRank) {
  Build b;
  Value* x = b.graph->add_input("x", Type::tensor(DataType::float32));
  b.output(b.batch_norm("bn", b.op("MatMul", "fc", {x, b.random("w", {5, 7})}), 7));
  const auto v = kept(b);
  EXPECT_THAT(v.reason, HasSubstr("the rank of its input"));
  EXPECT_THAT(v.fix, HasSubstr("shape"));
}

TEST(KeptBatchNorm, BiasOfGemmIsNotConstant) {
  Build b;
  Value* c = b.graph->add_input("c", Type::tensor(DataType::float32, Shape{7}));
  b.output(b.batch_norm("bn", b.op("Gemm", "fc", {b.input("x", {3, 5}), b.random("w", {5, 7}), c}), 7));
  EXPECT_THAT(kept(b).reason, HasSubstr("its bias 'c' is an input of the model"));
}

TEST(KeptBatchNorm, AddOfATensorThatIsNotLinear) {
  Build b;
  const Parts p = parts(b);
  Value* y = b.op("Add", "add", {b.op("Conv", "conv", {p.x, p.w}), b.input("z", {2, 4, 3, 3})});
  b.output(b.op("BatchNormalization", "bn", {y, p.scale, p.bias, p.mean, p.variance}));
  EXPECT_THAT(kept(b).reason, HasSubstr("its input 'z' is an input of the graph"));
}

TEST(KeptBatchNorm, CountsOfChannelsDiffer) {
  Build b;
  Parts p = parts(b);
  p.scale = b.random("s5", {5});
  b.output(conv_bn(b, p));
  EXPECT_FALSE(kept(b).reason.empty());
}

TEST(KeptBatchNorm, BecauseTheUserSaysSo) {
  for (const char* name : {"bn", "conv"}) {
    Build b;
    b.output(conv_bn(b, parts(b)));
    OptimizeOptions options;
    options.keep = {name};
    const std::string before = print(*b.graph);
    EXPECT_THAT(kept(b, options).reason, HasSubstr("is to be kept as it is"));
    EXPECT_EQ(before, print(*b.graph));
  }
}

TEST(KeptBatchNorm, BecauseTheRuleIsOff) {
  Build b;
  b.output(conv_bn(b, parts(b)));
  OptimizeOptions options;
  options.disable = {"fold_affines"};
  EXPECT_THAT(kept(b, options).reason, HasSubstr("switched off"));
}

TEST(KeptBatchNorm, AttributesOfAFunction) {
  Build b;
  b.output(b.input("x", {1, 3, 4, 4}));
  auto f = std::make_unique<Function>(b.model.get());
  f->name = "block", f->domain = "local", f->opset_imports = {{"", 17}};
  f->attribute_names = {"eps"};
  Build in = b.in(f->graph);
  const auto node = [&](const char* name, Dims dims) {
    return in.op("Constant", name, {},
                 {{"value", random_tensor(b.type, std::move(dims), b.next_seed(), 0.5, 2)}});
  };
  Value* y = in.op("Conv", "conv", {f->graph.add_input("fx", {}), node("w", {3, 3, 1, 1})});
  y = in.op("BatchNormalization", "bn", {y, node("s", {3}), node("b", {3}), node("m", {3}), node("v", {3})});
  Attribute reference;
  reference.name = "epsilon", reference.ref_name = "eps", reference.declared_type = AttributeType::float_;
  f->graph.set_attribute(y->producer(), reference);
  f->graph.add_output(y);
  b.model->functions.push_back(std::move(f));
  const OptimizeReport report = optimize(*b.model);
  ASSERT_EQ(report.batch_norms.size(), 1u);
  EXPECT_FALSE(report.batch_norms[0].folded);
  EXPECT_THAT(report.batch_norms[0].fix, HasSubstr("inline the function"));
}

}  // namespace
}  // namespace plica::testing
