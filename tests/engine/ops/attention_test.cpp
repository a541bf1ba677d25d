#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

const Tensor kNone;

NamedAttributes heads(int64_t q, int64_t kv) { return {{"q_num_heads", q}, {"kv_num_heads", kv}}; }

// One head of size 1 where Q is 0, so that every visible key weighs alike: the mean of the visible values.
struct Means {
  int64_t queries;
  std::vector<double> values;
  NamedAttributes attributes = {};
  Tensor mask = {}, past_value = {}, valid = {};

  std::vector<double> run(int64_t opset = 25) const {
    const auto count = static_cast<int64_t>(values.size());
    const auto zeros = [](int64_t n) { return Tensor::zeros(DataType::float32, {1, 1, n, 1}); };
    std::vector<Tensor> inputs = {zeros(queries),
                                  zeros(count),
                                  floats({1, 1, count, 1}, values),
                                  mask,
                                  past_value.defined() ? zeros(past_value.dim(2)) : kNone,
                                  past_value};
    if (opset > 23) inputs.push_back(valid);
    return doubles(test::run("Attention", opset, inputs, attributes));
  }
};

void expect_near(const std::vector<double>& actual, const std::vector<double>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) EXPECT_NEAR(actual[i], expected[i], 1e-5) << i;
}

TEST(AttentionTest, SoftmaxOfScaledProducts) {
  // Scores are 2 * [1, 3] * scale = 0.5: weights e^1 : e^3.
  const double a = 1 / (1 + std::exp(2.0)), b = 1 - a;
  for (const DataType type : {DataType::float32, DataType::float64, DataType::float16, DataType::bfloat16}) {
    const Tensor y = run("Attention", 23,
                         {tensor(type, {1, 1, 1, 1}, {2}), tensor(type, {1, 1, 2, 1}, {1, 3}),
                          tensor(type, {1, 1, 2, 3}, {1, 2, 4, 0, 8, 16})},
                         {{"scale", 0.5f}});
    const double tolerance = type == DataType::float32 || type == DataType::float64 ? 1e-6 : 1e-2;
    EXPECT_TENSOR(y, tensor(type, {1, 1, 1, 3}, {a, 2 * a + 8 * b, 4 * a + 16 * b}), tolerance, tolerance);
  }
}

TEST(AttentionTest, MasksByPosition) {
  const std::vector<double> v = {1, 3, 8};
  expect_near(Means{3, v}.run(), {4, 4, 4});
  expect_near(Means{3, v, {{"is_causal", int64_t{1}}}}.run(), {1, 2, 4});
  expect_near(Means{3, v, {{"left_window_size", int64_t{1}}, {"right_window_size", int64_t{0}}}}.run(),
              {1, 2, 5.5});
  expect_near(Means{3, v, {{"right_window_size", INT64_MAX}, {"left_window_size", INT64_MAX}}}.run(),
              {4, 4, 4});
  // Two keys more before the first query.
  const Tensor past = floats({1, 1, 2, 1}, {10, 20});
  expect_near(Means{2, {30, 60}, {{"is_causal", int64_t{1}}}, kNone, past}.run(), {20, 30});
  // Only the first two keys are valid, of which the last is the last query's own; the first query sees none.
  expect_near(Means{3, v, {{"is_causal", int64_t{1}}}, kNone, kNone, ints({1}, {2})}.run(24), {0, 1, 2});
}

TEST(AttentionTest, MaskInputs) {
  const std::vector<double> v = {1, 3, 8};
  const Tensor some = Tensor::of<bool>({true, false, true, false, false, false}, {2, 3});
  expect_near(Means{2, v, {}, some}.run(), {4.5, 0});
  expect_near(Means{2, v, {}, floats({1, 3}, {0, -kInfinity, 0})}.run(), {4.5, 4.5});
  expect_near(Means{1, v, {}, floats({1, 3}, {std::log(2.0), 0, std::log(3.0)})}.run(), {29.0 / 6});
  // A mask that is too short hides the rest.
  expect_near(Means{2, v, {}, Tensor::of<bool>({true, true}, {2})}.run(), {2, 2});
}

TEST(AttentionTest, GroupedHeadsOfPackedRows) {
  // Rows are [head 0 | head 1 | ...]; two query heads share one head of keys. Uniform weights, one key.
  const Tensor q = Tensor::zeros(DataType::float32, {1, 2, 4}),
               k = Tensor::zeros(DataType::float32, {1, 1, 2});
  const auto out = run_all("Attention", 23, {q, k, floats({1, 1, 2}, {5, 7})}, heads(4, 2), 3);
  EXPECT_TENSOR(out[0], floats({1, 2, 4}, {5, 5, 7, 7, 5, 5, 7, 7}));
  EXPECT_TENSOR(out[1], floats({1, 2, 1, 1}, {0, 0}));
  EXPECT_TENSOR(out[2], floats({1, 2, 1, 1}, {5, 7}));
}

TEST(AttentionTest, ShowsTheScores) {
  const Tensor one = floats({1, 1, 1, 1}, {1}), k = floats({1, 1, 2, 1}, {2, -4}),
               mask = floats({1, 2}, {1, 0});
  const auto scores = [&](int64_t mode) {
    return run_all("Attention", 23, {one, k, k, mask},
                   {{"softcap", 2.0f}, {"scale", 1.0f}, {"qk_matmul_output_mode", mode}}, 4)[3];
  };
  const double a = 2 * std::tanh(1.0), b = -2 * std::tanh(2.0), p = 1 / (1 + std::exp(b - a - 1));
  EXPECT_TENSOR(scores(0), floats({1, 1, 1, 2}, {2, -4}));
  EXPECT_TENSOR(scores(1), floats({1, 1, 1, 2}, {a, b}));
  EXPECT_TENSOR(scores(2), floats({1, 1, 1, 2}, {a + 1, b}));
  EXPECT_TENSOR(scores(3), floats({1, 1, 1, 2}, {p, 1 - p}));
}

TEST(AttentionTest, ManyQueriesAgainstMatMulAndSoftmax) {
  const Tensor q = random(DataType::float32, {2, 4, 70, 9}, -2, 2, 1),
               k = random(DataType::float32, {2, 4, 83, 9}, -2, 2, 2),
               v = random(DataType::float32, {2, 4, 83, 5}, -1, 1, 3);
  const Tensor transposed = run("Transpose", 13, {k}, {{"perm", std::vector<int64_t>{0, 1, 3, 2}}});
  const Tensor third = floats({}, {1.0 / 3});
  const Tensor p = run("Softmax", 13, {run("Mul", 14, {run("MatMul", 13, {q, transposed}), third})});
  for (const int64_t precision : {1, 11}) {
    EXPECT_TENSOR(run("Attention", 23, {q, k, v}, {{"softmax_precision", precision}}),
                  run("MatMul", 13, {p, v}), 1e-4, 1e-5);
  }
  EXPECT_TENSOR(run("FlexAttention", 1, {q, k, v}, {}, "ai.onnx.preview"), run("MatMul", 13, {p, v}), 1e-4,
                1e-5);
}

TEST(AttentionTest, EmptySizes) {
  const Tensor none = Tensor::zeros(DataType::float32, {1, 1, 0, 2}),
               some = random(DataType::float32, {1, 1, 3, 2});
  EXPECT_EQ(run("Attention", 23, {none, some, some}).dims(), (Dims{1, 1, 0, 2}));
  EXPECT_TENSOR(run("Attention", 23, {some, none, none}), Tensor::zeros(DataType::float32, {1, 1, 3, 2}));
  const Tensor no_heads = Tensor::zeros(DataType::float32, {1, 0, 3, 2});
  EXPECT_EQ(run("Attention", 23, {no_heads, no_heads, no_heads}).size(), 0);
}

TEST(AttentionTest, InfersSymbols) {
  const auto f32 = [](Shape shape) { return typed(DataType::float32, std::move(shape)); };
  const Facts q = f32({symbol("N"), symbol("L"), 12}), kv = f32({symbol("N"), symbol("S"), 6}),
              past = f32({symbol("N"), 2, 4, 3});
  EXPECT_EQ(inferred_type("Attention", 24, {q, kv, kv}, heads(4, 2)), "float32[N, L, 12]");
  const auto all =
      infer_all("Attention", 24, {q, f32({symbol("N"), 3, 6}), f32({symbol("N"), 3, 6}), {}, past, past},
                heads(4, 2), 4);
  EXPECT_EQ(to_string(all[1].type), "float32[N, 2, 7, 3]");
  EXPECT_EQ(to_string(all[3].type), "float32[N, 4, L, 7]");
  EXPECT_EQ(inferred_type("Attention", 24, {typed(DataType::float32), kv, kv}, heads(4, 2)),
            "float32[N, ?, 12]");
}

TEST(AttentionTest, Refuses) {
  const Tensor x = Tensor::zeros(DataType::float32, {1, 2, 3, 4}),
               row = Tensor::zeros(DataType::float32, {1, 3, 4});
  const auto refuse = [](std::vector<Tensor> inputs, const NamedAttributes& attributes, const char* part,
                         ErrorCode code = ErrorCode::invalid_model) {
    expect_error([&] { run("Attention", 25, inputs, attributes); }, code, part);
  };
  refuse({row, row, row}, {}, "q_num_heads");
  refuse({row, row, row}, heads(3, 1), "3 heads");
  const Tensor wide = Tensor::zeros(DataType::float32, {1, 3, 8});
  refuse({row, wide, wide}, heads(1, 2), "share");
  refuse({row, row, row}, heads(0, 1), "q_num_heads is 0");
  refuse({x, x, x}, heads(2, 2), "rank 3");
  refuse({x, x, row}, {}, "same rank");
  refuse({x, Tensor::zeros(DataType::float32, {1, 2, 3, 5}), x}, {}, "head_size");
  refuse({x, x, x, kNone, x}, {}, "together");
  refuse({x, x, x, kNone, x, x, ints({1}, {1})}, {}, "nonpad_kv_seqlen");
  refuse({x, x, x, kNone, kNone, kNone, ints({1}, {4})}, {}, "there are 3 keys", ErrorCode::invalid_argument);
  refuse({x, x, x, floats({4}, {0, 0, 0, 0})}, {}, "attn_mask");
  refuse({x, x, x}, {{"qk_matmul_output_mode", int64_t{4}}}, "qk_matmul_output_mode");
  refuse({x, x, x}, {{"softmax_precision", int64_t{7}}}, "softmax_precision");
  refuse({x, x, x}, {{"left_window_size", int64_t{-2}}}, "left_window_size");
}

TEST(RotaryEmbeddingTest, RotatesPairs) {
  // 90 degrees at position 1: (a, b) -> (-b, a); position 0 stays.
  const Tensor x = floats({1, 1, 2, 4}, {1, 2, 3, 4, 1, 2, 3, 4}), cos = floats({2, 2}, {1, 1, 0, 0}),
               sin = floats({2, 2}, {0, 0, 1, 1}), positions = ints({1, 2}, {0, 1});
  EXPECT_TENSOR(run("RotaryEmbedding", 23, {x, cos, sin, positions}),
                floats({1, 1, 2, 4}, {1, 2, 3, 4, -3, -4, 1, 2}));
  EXPECT_TENSOR(run("RotaryEmbedding", 23, {x, cos, sin, positions}, {{"interleaved", int64_t{1}}}),
                floats({1, 1, 2, 4}, {1, 2, 3, 4, -2, 1, -4, 3}));
  // Two heads of two in a packed row, the caches by batch and step; then only part of the head turns.
  EXPECT_TENSOR(run("RotaryEmbedding", 23,
                    {floats({1, 1, 4}, {1, 2, 3, 4}), floats({1, 1, 1}, {0}), floats({1, 1, 1}, {1})},
                    {{"num_heads", int64_t{2}}}),
                floats({1, 1, 4}, {-2, 1, -4, 3}));
  EXPECT_TENSOR(run("RotaryEmbedding", 23,
                    {floats({1, 1, 1, 4}, {1, 2, 3, 4}), floats({1, 1, 1}, {0}), floats({1, 1, 1}, {1})},
                    {{"rotary_embedding_dim", int64_t{2}}}),
                floats({1, 1, 1, 4}, {-2, 1, 3, 4}));
  expect_error(
      [&] {
        run("RotaryEmbedding", 23, {x, cos, sin, ints({1, 2}, {0, 2})});
      },
      ErrorCode::invalid_argument, "position 2");
  expect_error(
      [&] {
        run("RotaryEmbedding", 23, {floats({1, 1, 4}, {1, 2, 3, 4}), cos, sin});
      },
      ErrorCode::invalid_model, "num_heads");
  expect_error(
      [&] {
        run("RotaryEmbedding", 23, {x, cos, sin, positions}, {{"rotary_embedding_dim", int64_t{2}}});
      },
      ErrorCode::invalid_model, "half");
}

TEST(LinearAttentionTest, UpdateRules) {
  // One head, d_k = d_v = 1: the state is a number. scale 1.
  const auto f = [](const char* rule, const Tensor& decay, const Tensor& beta) {
    NamedAttributes attributes = heads(1, 1);
    attributes.emplace_back("update_rule", std::string(rule));
    attributes.emplace_back("scale", 1.0f);
    return doubles(run_all("LinearAttention", 27,
                           {floats({1, 2, 1}, {1, 1}), floats({1, 2, 1}, {2, 3}), floats({1, 2, 1}, {5, 7}),
                            floats({1, 1, 1, 1}, {1}), decay, beta},
                           attributes, 2)[0]);
  };
  const Tensor half = floats({1, 2, 1}, {std::log(0.5), std::log(0.5)}), beta = floats({1, 2, 1}, {1, 0.5});
  expect_near(f("linear", kNone, kNone), {11, 32});
  expect_near(f("gated", half, kNone), {10.5, 26.25});
  expect_near(f("delta", kNone, beta), {7, 7 + 1.5 * (7 - 21)});
  const double first = 0.5 + 2 * (5 - 1), kept = first / 2;
  expect_near(f("gated_delta", half, beta), {first, kept + 1.5 * (7 - 3 * kept)});
  expect_error([&] { f("gated", kNone, kNone); }, ErrorCode::invalid_model, "needs the input decay");
  expect_error([&] { f("linear", kNone, beta); }, ErrorCode::invalid_model, "does not take the input beta");
  expect_error([&] { f("square", kNone, kNone); }, ErrorCode::invalid_model, "update_rule");
}

TEST(LinearAttentionTest, HeadsShareStates) {
  // Two query heads of size 2 read the state k v' of one head.
  NamedAttributes attributes = heads(2, 1);
  attributes.emplace_back("update_rule", std::string("linear"));
  const auto out =
      run_all("LinearAttention", 27,
              {floats({1, 1, 4}, {1, 0, 0, 1}), floats({1, 1, 2}, {3, 5}), floats({1, 1, 3}, {1, 2, 4})},
              attributes, 2);
  const double s = 1 / std::sqrt(2.0);
  EXPECT_TENSOR(out[0], floats({1, 1, 6}, {3 * s, 6 * s, 12 * s, 5 * s, 10 * s, 20 * s}));
  EXPECT_TENSOR(out[1], floats({1, 1, 2, 3}, {3, 6, 12, 5, 10, 20}));
}

TEST(CausalConvTest, CarriesItsState) {
  const Tensor x = floats({1, 2, 3}, {1, 2, 3, 4, 5, 6}), w = floats({2, 1, 2}, {10, 1, 0, 2});
  const auto out =
      run_all("CausalConvWithState", 27, {x, w, floats({2}, {0.5, 0}), floats({1, 2, 1}, {7, 8})}, {}, 2);
  EXPECT_TENSOR(out[0], floats({1, 2, 3}, {71.5, 12.5, 23.5, 8, 10, 12}));
  EXPECT_TENSOR(out[1], floats({1, 2, 1}, {3, 6}));
  const auto silu = run_all("CausalConvWithState", 27, {floats({1, 1, 1}, {2}), floats({1, 1, 3}, {9, 9, 1})},
                            {{"activation", std::string("silu")}}, 2);
  EXPECT_TENSOR(silu[0], floats({1, 1, 1}, {2 / (1 + std::exp(-2.0))}));
  EXPECT_TENSOR(silu[1], floats({1, 1, 2}, {0, 2}));
  expect_error(
      [&] {
        run_all("CausalConvWithState", 27, {x, floats({2, 1, 0}, {})}, {}, 2);
      },
      ErrorCode::invalid_model, "kernel");
}

TEST(SwigluTest, GatesTheValues) {
  const double s = 1 / (1 + std::exp(-2.0));
  EXPECT_TENSOR(run("SwiGLU", 28, {floats({2}, {0, 2}), floats({2}, {9, 3})}), floats({2}, {0, 6 * s}));
  EXPECT_TENSOR(run("SwiGLU", 28, {floats({1}, {1}), floats({1}, {3})}, {{"alpha", 2.0f}}),
                floats({1}, {3 * s}));
  expect_error(
      [] {
        run("SwiGLU", 28, {floats({1}, {1}), floats({2}, {3, 4})});
      },
      ErrorCode::invalid_model, "same");
}

}  // namespace
}  // namespace plica::test
