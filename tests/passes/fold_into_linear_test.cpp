// Batch norms and constant arithmetic that fold into the linear operator before them: every pattern in every
// float type, against the reference interpreter.
#include "engine/onnx/onnx.h"
#include "tests/passes/build.h"

namespace plica::testing {
namespace {

using Ints = std::vector<int64_t>;

struct Pattern {
  const char* name;
  void (*build)(Build&);
  int batch_norms;
  const char* left;  // operators of the result, in order
  int64_t opset = 17;
};

void conv_input(Build& b, Value*& x, int64_t channels = 5) {
  x = b.input("x", {Dim::symbol("n"), channels, 7, 6});
}

const Pattern kPatterns[] = {
    {"conv",
     [](Build& b) {
       Value* x;
       conv_input(b, x);
       b.output(b.batch_norm(
           "bn", b.op("Conv", "conv", {x, b.random("w", {7, 5, 3, 3})}, {{"pads", Ints{1, 1, 1, 1}}}), 7));
     },
     1, "Conv"},
    {"conv_bias",
     [](Build& b) {
       Value* x;
       conv_input(b, x);
       b.output(
           b.batch_norm("bn", b.op("Conv", "conv", {x, b.random("w", {7, 5, 3, 3}), b.random("b", {7})}), 7));
     },
     1, "Conv"},
    {"conv_empty_bias_input",
     [](Build& b) {
       Value* x;
       conv_input(b, x);
       b.output(b.batch_norm("bn", b.op("Conv", "conv", {x, b.random("w", {7, 5, 1, 1}), nullptr}), 7));
     },
     1, "Conv"},
    {"conv1d",
     [](Build& b) {
       Value* x = b.input("x", {3, 5, 11});
       b.output(b.batch_norm("bn",
                             b.op("Conv", "conv", {x, b.random("w", {9, 5, 3})}, {{"strides", Ints{2}}}), 9));
     },
     1, "Conv"},
    {"conv3d",
     [](Build& b) {
       Value* x = b.input("x", {1, 3, 4, 5, 3});
       b.output(b.batch_norm("bn", b.op("Conv", "conv", {x, b.random("w", {11, 3, 2, 3, 1})}), 11));
     },
     1, "Conv"},
    {"conv_depthwise",
     [](Build& b) {
       Value* x;
       conv_input(b, x);
       b.output(b.batch_norm(
           "bn", b.op("Conv", "conv", {x, b.random("w", {5, 1, 3, 3})}, {{"group", int64_t{5}}}), 5));
     },
     1, "Conv"},
    {"conv_depthwise_multiplier",
     [](Build& b) {
       Value* x;
       conv_input(b, x);
       b.output(b.batch_norm(
           "bn", b.op("Conv", "conv", {x, b.random("w", {15, 1, 3, 3})}, {{"group", int64_t{5}}}), 15));
     },
     1, "Conv"},
    {"conv_grouped",
     [](Build& b) {
       Value* x;
       conv_input(b, x, 6);
       b.output(b.batch_norm("bn",
                             b.op("Conv", "conv", {x, b.random("w", {9, 2, 3, 3}), b.random("b", {9})},
                                  {{"group", int64_t{3}}}),
                             9));
     },
     1, "Conv"},
    {"conv_opset9",
     [](Build& b) {
       Value* x;
       conv_input(b, x);
       b.output(b.batch_norm("bn", b.op("Conv", "conv", {x, b.random("w", {7, 5, 3, 3})}), 7,
                             {{"epsilon", 1e-3f}}));
     },
     1, "Conv", 9},
    {"conv_opset7_spatial",
     [](Build& b) {
       Value* x;
       conv_input(b, x);
       b.output(b.batch_norm("bn", b.op("Conv", "conv", {x, b.random("w", {7, 5, 3, 3})}), 7,
                             {{"spatial", int64_t{1}}}));
     },
     1, "Conv", 7},
    {"conv_opset6_is_test",
     [](Build& b) {
       Value* x;
       conv_input(b, x);
       b.output(b.batch_norm("bn", b.op("Conv", "conv", {x, b.random("w", {7, 5, 3, 3})}), 7,
                             {{"is_test", int64_t{1}}}));
     },
     1, "Conv", 6},
    {"transposed",
     [](Build& b) {
       Value* x;
       conv_input(b, x);
       b.output(b.batch_norm(
           "bn", b.op("ConvTranspose", "conv", {x, b.random("w", {5, 3, 2, 2})}, {{"strides", Ints{2, 2}}}),
           3));
     },
     1, "ConvTranspose"},
    {"transposed_output_padding",
     [](Build& b) {
       Value* x;
       conv_input(b, x);
       b.output(
           b.batch_norm("bn",
                        b.op("ConvTranspose", "conv", {x, b.random("w", {5, 3, 2, 2}), b.random("b", {3})},
                             {{"strides", Ints{3, 3}}, {"output_padding", Ints{2, 1}}}),
                        3));
     },
     1, "ConvTranspose"},
    {"transposed_grouped",
     [](Build& b) {
       Value* x;
       conv_input(b, x, 6);
       b.output(
           b.batch_norm("bn",
                        b.op("ConvTranspose", "conv", {x, b.random("w", {6, 5, 3, 2}), b.random("b", {10})},
                             {{"group", int64_t{2}}}),
                        10));
     },
     1, "ConvTranspose"},
    {"transposed_depthwise",
     [](Build& b) {
       Value* x;
       conv_input(b, x);
       b.output(b.batch_norm(
           "bn", b.op("ConvTranspose", "conv", {x, b.random("w", {5, 1, 3, 3})}, {{"group", int64_t{5}}}),
           5));
     },
     1, "ConvTranspose"},
    {"transposed_add",
     [](Build& b) {  // PP-OCR det
       Value* x;
       conv_input(b, x);
       Value* y = b.op("ConvTranspose", "conv", {x, b.random("w", {5, 3, 2, 2})}, {{"strides", Ints{2, 2}}});
       b.output(b.batch_norm("bn", b.op("Add", "add", {y, b.random("c", {1, 3, 1, 1})}), 3));
     },
     1, "ConvTranspose"},
    {"gemm",
     [](Build& b) {
       Value* x = b.input("x", {3, 5});
       b.output(b.batch_norm("bn", b.op("Gemm", "fc", {x, b.random("w", {5, 7}), b.random("b", {7})}), 7));
     },
     1, "Gemm"},
    {"gemm_trans_b",
     [](Build& b) {
       Value* x = b.input("x", {3, 5});
       b.output(b.batch_norm(
           "bn", b.op("Gemm", "fc", {x, b.random("w", {7, 5}), b.random("b", {7})}, {{"transB", int64_t{1}}}),
           7));
     },
     1, "Gemm"},
    {"gemm_trans_a",
     [](Build& b) {
       Value* x = b.input("x", {5, 3});
       b.output(b.batch_norm(
           "bn",
           b.op("Gemm", "fc", {x, b.random("w", {5, 7}), b.random("b", {1, 7})}, {{"transA", int64_t{1}}}),
           7));
     },
     1, "Gemm"},
    {"gemm_alpha_beta",
     [](Build& b) {
       Value* x = b.input("x", {3, 5});
       b.output(b.batch_norm("bn",
                             b.op("Gemm", "fc", {x, b.random("w", {5, 7}), b.random("b", {7})},
                                  {{"alpha", 0.5f}, {"beta", -3.f}}),
                             7));
     },
     1, "Gemm"},
    {"gemm_no_c_beta",
     [](Build& b) {
       Value* x = b.input("x", {3, 5});
       b.output(b.batch_norm("bn", b.op("Gemm", "fc", {x, b.random("w", {5, 7})}, {{"beta", 0.25f}}), 7));
     },
     1, "Gemm"},
    {"gemm_scalar_c",
     [](Build& b) {
       Value* x = b.input("x", {3, 5});
       b.output(b.batch_norm(
           "bn", b.op("Gemm", "fc", {x, b.random("w", {5, 7}), b.random("b", {})}, {{"beta", 2.f}}), 7));
     },
     1, "Gemm"},
    {"gemm_column_c",
     [](Build& b) {
       Value* x = b.input("x", {3, 5});
       b.output(b.batch_norm(
           "bn", b.op("Gemm", "fc", {x, b.random("w", {5, 7}), b.random("b", {3, 1})}, {{"beta", 2.f}}), 7));
     },
     1, "Gemm"},
    {"gemm_matrix_c",
     [](Build& b) {
       Value* x = b.input("x", {3, 5});
       b.output(b.batch_norm("bn", b.op("Gemm", "fc", {x, b.random("w", {5, 7}), b.random("b", {3, 7})}), 7));
     },
     1, "Gemm"},
    {"gemm_opset6_broadcast",
     [](Build& b) {
       Value* x = b.input("x", {3, 5});
       Value* y = b.op("Gemm", "fc", {x, b.random("w", {5, 7}), b.random("b", {7})},
                       {{"broadcast", int64_t{1}}, {"beta", 2.f}});
       b.output(b.batch_norm("bn", y, 7, {{"is_test", int64_t{1}}}));
     },
     1, "Gemm", 6},
    {"matmul",
     [](Build& b) {
       Value* x = b.input("x", {3, 5});
       b.output(b.batch_norm("bn", b.op("MatMul", "fc", {x, b.random("w", {5, 7})}), 7));
     },
     1, "MatMul Add"},
    {"matmul_add",
     [](Build& b) {
       Value* x = b.input("x", {3, 5});
       b.output(b.batch_norm(
           "bn", b.op("Add", "add", {b.random("b", {7}), b.op("MatMul", "fc", {x, b.random("w", {5, 7})})}),
           7));
     },
     1, "MatMul Add"},
    {"matmul_sub",
     [](Build& b) {
       Value* x = b.input("x", {3, 5});
       b.output(b.batch_norm(
           "bn",
           b.op("Sub", "sub", {b.op("MatMul", "fc", {x, b.random("w", {5, 7})}), b.random("b", {1, 7})}), 7));
     },
     1, "MatMul Add"},
    {"matmul_add_scalar",
     [](Build& b) {
       Value* x = b.input("x", {3, 5});
       b.output(b.batch_norm(
           "bn", b.op("Add", "add", {b.op("MatMul", "fc", {x, b.random("w", {5, 7})}), b.random("b", {})}),
           7));
     },
     1, "MatMul Add"},
    {"matmul_opset6",
     [](Build& b) {
       Value* x = b.input("x", {3, 5});
       b.output(b.batch_norm("bn", b.op("MatMul", "fc", {x, b.random("w", {5, 7})}), 7,
                             {{"is_test", int64_t{1}}}));
     },
     1, "MatMul Add", 6},
    {"matmul_add_opset6_axis",
     [](Build& b) {
       Value* x = b.input("x", {3, 5});
       Value* y = b.op("MatMul", "fc", {x, b.random("w", {5, 7})});
       y = b.op("Add", "add", {y, b.random("b", {7})}, {{"broadcast", int64_t{1}}, {"axis", int64_t{1}}});
       b.output(b.batch_norm("bn", y, 7, {{"is_test", int64_t{1}}}));
     },
     1, "MatMul Add", 6},
    {"matmul_batched_mul_add",
     [](Build& b) {
       Value* x = b.input("x", {2, 3, 5});
       Value* y = b.op("MatMul", "fc", {x, b.random("w", {5, 7})});
       b.output(
           b.op("Add", "add2",
                {b.op("Mul", "mul", {b.op("Add", "add", {y, b.random("b", {7})}), b.random("s", {1, 1, 7})}),
                 b.random("c", {7})}));
     },
     0, "MatMul Add"},
    {"matmul_batched_weight",
     [](Build& b) {
       Value* x = b.input("x", {2, 3, 5});
       b.output(
           b.op("Mul", "mul", {b.op("MatMul", "fc", {x, b.random("w", {2, 5, 7})}), b.random("s", {7})}));
     },
     0, "MatMul"},
    {"conv_add",
     [](Build& b) {
       Value* x;
       conv_input(b, x);
       Value* y = b.op("Conv", "conv", {x, b.random("w", {7, 5, 3, 3}), b.random("b", {7})});
       b.output(b.batch_norm("bn", b.op("Add", "add", {b.random("c", {7, 1, 1}), y}), 7));
     },
     1, "Conv"},
    {"conv_mul",
     [](Build& b) {
       Value* x;
       conv_input(b, x);
       Value* y = b.op("Conv", "conv", {x, b.random("w", {7, 5, 3, 3}), b.random("b", {7})});
       b.output(b.batch_norm("bn", b.op("Mul", "mul", {y, b.random("c", {1, 7, 1, 1}, 0.5, 2)}), 7));
     },
     1, "Conv"},
    {"conv_bn_mul_add",
     [](Build& b) {
       Value* x;
       conv_input(b, x);
       Value* y = b.batch_norm("bn", b.op("Conv", "conv", {x, b.random("w", {7, 5, 3, 3})}), 7);
       b.output(
           b.op("Add", "add", {b.op("Mul", "mul", {y, b.random("c", {})}), b.random("d", {1, 7, 1, 1})}));
     },
     1, "Conv"},
    {"conv_sub_div_mul_add",
     [](Build& b) {  // a batch norm as some exporters decompose it
       Value* x;
       conv_input(b, x);
       Value* y = b.op("Conv", "conv", {x, b.random("w", {7, 5, 3, 3})});
       y = b.op("Div", "div",
                {b.op("Sub", "sub", {y, b.random("m", {1, 7, 1, 1})}), b.random("d", {1, 7, 1, 1}, 0.5, 2)});
       b.output(b.op("Add", "add",
                     {b.op("Mul", "mul", {y, b.random("g", {1, 7, 1, 1})}), b.random("a", {1, 7, 1, 1})}));
     },
     0, "Conv"},
    {"conv_sub_sqrt_div_raw",
     [](Build& b) {
       Value* x;
       conv_input(b, x);
       Value* y = b.op("Conv", "conv", {x, b.random("w", {7, 5, 3, 3})});
       Value* deviation =
           b.op("Sqrt", "sqrt",
                {b.op("Add", "eps", {b.random("v", {1, 7, 1, 1}, 0.1, 2), b.numbers("e", {1e-3}, {})})});
       b.output(b.op("Div", "div", {b.op("Sub", "sub", {y, b.random("m", {1, 7, 1, 1})}), deviation}));
     },
     0, "Conv"},
    {"constant_minus_conv",
     [](Build& b) {
       Value* x;
       conv_input(b, x);
       b.output(b.op("Sub", "sub",
                     {b.random("c", {7, 1, 1}),
                      b.op("Conv", "conv", {x, b.random("w", {7, 5, 3, 3}), b.random("b", {7})})}));
     },
     0, "Conv"},
    {"bn_twice",
     [](Build& b) {
       Value* x;
       conv_input(b, x);
       b.output(b.batch_norm(
           "bn2", b.batch_norm("bn1", b.op("Conv", "conv", {x, b.random("w", {7, 5, 3, 3})}), 7), 7));
     },
     2, "Conv"},
    {"shared_weight",
     [](Build& b) {
       Value* x;
       conv_input(b, x);
       Value* w = b.random("w", {7, 5, 3, 3});
       Value *one = b.batch_norm("bn1", b.op("Conv", "conv1", {x, w}), 7),
             *two = b.batch_norm("bn2", b.op("Conv", "conv2", {x, w}), 7);
       b.output(one);
       b.output(two);
     },
     2, "Conv Conv"},
    {"shared_weight_third_reader",
     [](Build& b) {
       Value* x;
       conv_input(b, x);
       Value* w = b.random("w", {7, 5, 3, 3});
       b.output(b.batch_norm("bn1", b.op("Conv", "conv1", {x, w}), 7));
       b.output(b.op("Conv", "conv2", {x, w}));
     },
     1, "Conv Conv"},
    {"shared_parameters",
     [](Build& b) {
       Value* x;
       conv_input(b, x, 7);
       const auto s = b.statistics("bn", 7);
       Value* y = x;
       for (const char* i : {"1", "2"}) {
         y = b.op("Conv", std::string("conv") + i, {y, b.random("w", {7, 7, 1, 1})});
         y = b.op("BatchNormalization", std::string("bn") + i, {y, s.scale, s.bias, s.mean, s.variance});
         y = b.op("Relu", std::string("relu") + i, {y});
       }
       b.output(y);
     },
     2, "Conv Relu Conv Relu"},
    {"identity_and_dropout_between",
     [](Build& b) {
       Value* x;
       conv_input(b, x);
       Value* y = b.op("Identity", "id", {b.op("Conv", "conv", {x, b.random("w", {7, 5, 3, 3})})});
       b.output(b.batch_norm("bn", b.op("Dropout", "drop", {y}), 7));
     },
     1, "Conv"},
    {"parameters_behind_identity_and_cast",
     [](Build& b) {
       Value* x;
       conv_input(b, x);
       const auto id = [&](const char* name, Value* v) { return b.op("Identity", name, {v}); };
       const auto s = b.statistics("bn", 7);
       Value* w = b.op("Cast", "cast", {id("id_w", b.random("w", {7, 5, 3, 3}))},
                       {{"to", static_cast<int64_t>(b.type)}});
       Value* y = b.op("Conv", "conv", {x, w});
       b.output(
           b.op("BatchNormalization", "bn",
                {y, id("id_s", s.scale), id("id_b", s.bias), id("id_m", s.mean), id("id_v", s.variance)}));
     },
     1, "Conv"},
    {"constant_nodes",
     [](Build& b) {
       Value* x;
       conv_input(b, x);
       const auto node = [&](const char* name, Dims dims, double low) {
         return b.op("Constant", name, {},
                     {{"value", random_tensor(b.type, std::move(dims), b.next_seed(), low, 2)}});
       };
       Value* y = b.op("Conv", "conv", {x, node("w", {7, 5, 3, 3}, -1), node("b", {7}, -1)});
       b.output(b.op("BatchNormalization", "bn",
                     {y, node("s", {7}, -1), node("t", {7}, -1), node("m", {7}, -1), node("v", {7}, 0.1)}));
     },
     1, "Conv"},
    {"bn_of_bn_of_gemm_then_relu",
     [](Build& b) {
       Value* x = b.input("x", {3, 5});
       Value* y = b.batch_norm("bn1", b.op("Gemm", "fc", {x, b.random("w", {5, 7})}), 7);
       b.output(b.op("Relu", "relu", {b.batch_norm("bn2", y, 7)}));
     },
     2, "Gemm Relu"},
};

std::string operators(const Graph& graph) {
  std::string out;
  for (const Node* n : graph.nodes()) out += (out.empty() ? "" : " ") + n->op_type();
  return out;
}

class FoldIntoLinear : public ::testing::TestWithParam<std::tuple<Pattern, DataType>> {};

TEST_P(FoldIntoLinear, ComputesTheSame) {
  const auto& [pattern, type] = GetParam();
  Build b(type, pattern.opset);
  pattern.build(b);
  OptimizeOptions options;
  options.disable = {"fuse_gemm"};
  const OptimizeReport report = optimize_and_check(b, options);
  EXPECT_EQ(operators(*b.graph), pattern.left) << print(*b.graph);
  ASSERT_EQ(static_cast<int>(report.batch_norms.size()), pattern.batch_norms);
  for (const BatchNormVerdict& v : report.batch_norms) {
    EXPECT_TRUE(v.folded) << v.node << ": " << v.reason;
    // A MatMul has no bias: the offset stays.
    EXPECT_EQ(v.rule,
              std::string_view(pattern.left).starts_with("MatMul") ? "split_affine" : "fold_affine_backward");
    ASSERT_EQ(v.into.size(), 1u);
    const Node* absorber = find_node(*b.graph, v.into[0]);
    ASSERT_TRUE(absorber);
    ASSERT_FALSE(absorber->metadata.empty());
    EXPECT_EQ(absorber->metadata[0].first, "plica.folded");
    EXPECT_THAT(absorber->metadata[0].second, ::testing::HasSubstr(v.node));
    EXPECT_TRUE(v.error_bound && *v.error_bound > 0 && *v.error_bound < tolerance_of(type));
  }
  // The weights that went in are gone, unless somebody else reads them.
  for (const Value* v : b.graph->initializers()) EXPECT_TRUE(v->has_uses()) << v->name();
}

TEST_P(FoldIntoLinear, GivesTheSameBytesEveryTime) {
  const auto& [pattern, type] = GetParam();
  std::string first;
  for (int run = 0; run < 2; ++run) {
    Build b(type, pattern.opset);
    pattern.build(b);
    optimize(*b.model);
    const std::string bytes = serialize_model(*b.model);
    if (run == 0) first = bytes;
    EXPECT_EQ(first, bytes);
  }
}

std::string name_of(const ::testing::TestParamInfo<std::tuple<Pattern, DataType>>& info) {
  return std::string(std::get<0>(info.param).name) + "_" + std::string(to_string(std::get<1>(info.param)));
}

INSTANTIATE_TEST_SUITE_P(Patterns, FoldIntoLinear,
                         ::testing::Combine(::testing::ValuesIn(kPatterns),
                                            ::testing::Values(DataType::float32, DataType::float64,
                                                              DataType::float16)),
                         name_of);

const std::string text_of(const Build& b) { return print(*b.graph); }

TEST(FoldText, ConvKeepsItsNameAndTakesTheBatchNormsOutput) {
  Build b;
  Value* x = b.input("x", {1, 2, 4, 4});
  Value* y = b.op("Conv", "conv", {x, b.random("conv.weight", {3, 2, 1, 1})});
  find_node(*b.graph, "conv")->doc_string = "first layer";
  find_node(*b.graph, "conv")->metadata = {{"author", "somebody"}};
  b.output(b.batch_norm("bn", y, 3));
  EXPECT_EQ(text_of(b),
            "graph test(x: float32[1, 2, 4, 4]) -> (bn: float32[...]) {\n"
            "  conv.weight = float32[3, 2, 1, 1]\n"
            "  bn.scale = float32[3]\n"
            "  bn.bias = float32[3]\n"
            "  bn.mean = float32[3]\n"
            "  bn.var = float32[3]\n"
            "  conv = Conv(x, conv.weight)\n"
            "  bn = BatchNormalization(conv, bn.scale, bn.bias, bn.mean, bn.var)\n"
            "}\n");
  optimize(*b.model);
  EXPECT_EQ(text_of(b),
            "graph test(x: float32[1, 2, 4, 4]) -> (bn: float32[...]) {\n"
            "  conv.weight_folded = float32[3, 2, 1, 1]\n"
            "  conv_bias_folded = float32[3]\n"
            "  bn = Conv(x, conv.weight_folded, conv_bias_folded)\n"
            "}\n");
  const Node* conv = find_node(*b.graph, "conv");
  EXPECT_EQ(conv->doc_string, "first layer");
  EXPECT_EQ(conv->metadata, (Metadata{{"author", "somebody"}, {"plica.folded", "bn"}}));
}

TEST(FoldText, MatMulGetsAnAddInThePlaceOfTheBatchNorm) {
  Build b;
  Value* x = b.input("x", {4, 2});
  b.output(b.op("Relu", "relu", {b.batch_norm("bn", b.op("MatMul", "fc", {x, b.random("w", {2, 3})}), 3)}));
  OptimizeOptions options;
  options.disable = {"fuse_gemm"};
  optimize(*b.model, options);
  EXPECT_EQ(text_of(b),
            "graph test(x: float32[4, 2]) -> (relu: float32[...]) {\n"
            "  w_folded = float32[2, 3]\n"
            "  bn_shift = float32[3]\n"
            "  fc_folded = MatMul(x, w_folded)\n"
            "  bn = Add(fc_folded, bn_shift)\n"
            "  relu = Relu(bn)\n"
            "}\n");
}

TEST(FoldText, SeveralBatchNormsAreListedInOrder) {
  Build b;
  Value* x = b.input("x", {1, 2, 4, 4});
  b.output(
      b.batch_norm("bn2", b.batch_norm("bn1", b.op("Conv", "conv", {x, b.random("w", {3, 2, 1, 1})}), 3), 3));
  const OptimizeReport report = optimize_and_check(b);
  EXPECT_EQ(find_node(*b.graph, "conv")->metadata, (Metadata{{"plica.folded", "bn1, bn2"}}));
  EXPECT_EQ(report.batch_norms[0].node, "bn1");
  EXPECT_EQ(report.batch_norms[1].node, "bn2");
}

TEST(FoldText, UnnamedNodesGoByTheirOutputs) {
  Build b;
  Value* x = b.input("x", {1, 2, 4, 4});
  Value* y = b.batch_norm("bn", b.op("Conv", "conv", {x, b.random("w", {3, 2, 1, 1})}), 3);
  for (Node* n : b.graph->nodes()) n->name.clear();
  b.output(b.op("Relu", "relu", {y}));
  const OptimizeReport report = optimize_and_check(b);
  EXPECT_EQ(report.batch_norms[0].node, "bn");
  EXPECT_EQ(report.batch_norms[0].into, std::vector<std::string>{"bn"});
}

}  // namespace
}  // namespace plica::testing
