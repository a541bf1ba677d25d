// com.microsoft: RotaryEmbedding and the attention operators, on heads small enough to compute by hand.
#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

const std::string kDomain = "com.microsoft";

Tensor ms(const std::string& op, const std::vector<Tensor>& inputs, const NamedAttributes& attributes = {}) {
  return run(op, 1, inputs, attributes, kDomain);
}
std::vector<Tensor> ms_all(const std::string& op, const std::vector<Tensor>& inputs,
                           const NamedAttributes& attributes, int outputs) {
  return run_all(op, 1, inputs, attributes, outputs, kDomain);
}
Tensor i32(Dims dims, const std::vector<double>& v) { return tensor(DataType::int32, std::move(dims), v); }
Facts f32(Shape shape) { return typed(DataType::float32, std::move(shape)); }

const double kLn3 = std::log(3.0);

// ---- RotaryEmbedding: the caches turn position 1 by 90 degrees, position 2 by 180.

const Tensor kCosines = floats({3, 1}, {1, 0, -1}), kSines = floats({3, 1}, {0, 1, 0});

TEST(MicrosoftRotaryEmbedding, TurnsHalvesOrNeighbours) {
  const Tensor x = floats({1, 2, 2}, {1, 2, 3, 4});
  EXPECT_TENSOR(ms("RotaryEmbedding", {x, ints({1}, {1}), kCosines, kSines}),
                floats({1, 2, 2}, {-2, 1, -3, -4}));
  EXPECT_TENSOR(ms("RotaryEmbedding", {x, ints({1, 2}, {2, 0}), kCosines, kSines}),
                floats({1, 2, 2}, {-1, -2, 3, 4}));
  // Heads of four, of which two are turned.
  const NamedAttributes partial = {{"num_heads", int64_t{2}}, {"rotary_embedding_dim", int64_t{2}}};
  EXPECT_TENSOR(ms("RotaryEmbedding",
                   {floats({1, 1, 8}, {1, 2, 3, 4, 5, 6, 7, 8}), ints({1}, {1}), kCosines, kSines}, partial),
                floats({1, 1, 8}, {-2, 1, 3, 4, -6, 5, 7, 8}));
  const Tensor cosines = floats({1, 2}, {0, -1}), sines = floats({1, 2}, {1, 0}),
               head = floats({1, 1, 1, 4}, {1, 2, 3, 4});
  EXPECT_TENSOR(ms("RotaryEmbedding", {head, ints({1}, {0}), cosines, sines}),
                floats({1, 1, 1, 4}, {-3, -2, 1, -4}));
  EXPECT_TENSOR(ms("RotaryEmbedding", {head, ints({1}, {0}), cosines, sines}, {{"interleaved", int64_t{1}}}),
                floats({1, 1, 1, 4}, {-2, 1, -3, -4}));
}

TEST(MicrosoftRotaryEmbedding, Refuses) {
  const Tensor x = floats({1, 2, 2}, {1, 2, 3, 4});
  const auto at = [&](const Tensor& positions) {
    return ms("RotaryEmbedding", {x, positions, kCosines, kSines});
  };
  expect_error([&] { at(ints({1}, {2})); }, ErrorCode::invalid_argument, "position 3");
  expect_error([&] { at(ints({1}, {INT64_MAX})); }, ErrorCode::invalid_argument,
               "position 9223372036854775807");
  expect_error([&] { at(ints({1, 2}, {0, -1})); }, ErrorCode::invalid_argument, "position -1");
  expect_error([&] { at(ints({2}, {0, 1})); }, ErrorCode::invalid_model, "position_ids");
  expect_error(
      [&] {
        ms("RotaryEmbedding", {floats({1, 1, 3}, {1, 2, 3}), ints({1}, {0}), kCosines, kSines});
      },
      ErrorCode::invalid_model, "3 columns");
}

// ---- MultiHeadAttention: one head of one element. Scores 0 and ln 3 weigh values 1 : 3.

const Tensor kQuery = floats({1, 1, 1}, {1}), kKey = floats({1, 2, 1}, {0, kLn3}),
             kValue = floats({1, 2, 1}, {4, 8});
const NamedAttributes kOneHead = {{"num_heads", int64_t{1}}};

TEST(MultiHeadAttention, WeighsValues) {
  EXPECT_TENSOR(ms("MultiHeadAttention", {kQuery, kKey, kValue}, kOneHead), floats({1, 1, 1}, {7}));
  NamedAttributes scaled = kOneHead;
  scaled.emplace_back("scale", 2.0f);  // 1 : 9
  EXPECT_TENSOR(ms("MultiHeadAttention", {kQuery, kKey, kValue}, scaled), floats({1, 1, 1}, {7.6}));
  // Bias: query 1 + 1, keys + 0, values + 1.
  EXPECT_TENSOR(ms("MultiHeadAttention", {kQuery, kKey, kValue, floats({3}, {1, 0, 1})}, kOneHead),
                floats({1, 1, 1}, {8.6}));
  // A bias on the scores.
  EXPECT_TENSOR(
      ms("MultiHeadAttention", {kQuery, kKey, kValue, {}, {}, floats({1, 1, 1, 2}, {kLn3, 0})}, kOneHead),
      floats({1, 1, 1}, {6}));
}

TEST(MultiHeadAttention, PackedAndHeadsFirst) {
  const double kv[] = {0, 4, kLn3, 8};
  EXPECT_TENSOR(
      ms("MultiHeadAttention", {kQuery, floats({1, 2, 1, 2, 1}, {kv[0], kv[1], kv[2], kv[3]})}, kOneHead),
      floats({1, 1, 1}, {7}));
  EXPECT_TENSOR(
      ms("MultiHeadAttention", {floats({1, 2, 1, 3, 1}, {1, kv[0], kv[1], 0, kv[2], kv[3]})}, kOneHead),
      floats({1, 2, 1}, {7, 6}));
  EXPECT_TENSOR(
      ms("MultiHeadAttention",
         {kQuery, floats({1, 1, 2, 1}, {0, kLn3}), floats({1, 1, 2, 1}, {4, 8}), floats({3}, {1, 9, 9})},
         kOneHead),
      floats({1, 1, 1}, {7.6}));
}

TEST(MultiHeadAttention, Masks) {
  const auto masked = [](const Tensor& mask) {
    return ms("MultiHeadAttention", {kQuery, kKey, kValue, {}, mask}, kOneHead);
  };
  EXPECT_TENSOR(masked(i32({1}, {1})), floats({1, 1, 1}, {4}));
  EXPECT_TENSOR(masked(i32({2}, {2, 1})), floats({1, 1, 1}, {8}));  // ends at 2, begins at 1
  EXPECT_TENSOR(masked(i32({1, 2}, {0, 1})), floats({1, 1, 1}, {8}));
  EXPECT_TENSOR(masked(i32({1, 1, 2}, {1, 1})), floats({1, 1, 1}, {7}));
  // All padding: the same is added to all.
  EXPECT_TENSOR(masked(i32({1, 2}, {0, 0})), floats({1, 1, 1}, {7}), 1e-3);
  expect_error([&] { masked(i32({1, 3}, {1, 1, 1})); }, ErrorCode::invalid_model, "mask has shape [1, 3]");
}

TEST(MultiHeadAttention, PastAndCausality) {
  NamedAttributes causal = kOneHead;
  causal.emplace_back("unidirectional", int64_t{1});
  // The first query sees the past only with its own key, the second all three.
  const auto y = ms_all("MultiHeadAttention",
                        {floats({1, 2, 1}, {1, 1}),
                         kKey,
                         kValue,
                         {},
                         {},
                         {},
                         floats({1, 1, 1, 1}, {kLn3}),
                         floats({1, 1, 1, 1}, {0})},
                        causal, 4);
  EXPECT_TENSOR(y[0], floats({1, 2, 1}, {1, 28.0 / 7}));
  EXPECT_TENSOR(y[1], floats({1, 1, 3, 1}, {kLn3, 0, kLn3}));
  EXPECT_TENSOR(y[2], floats({1, 1, 3, 1}, {0, 4, 8}));
  EXPECT_TENSOR(y[3], floats({1, 1, 2, 3}, {0.75, 0.25, 0, 3.0 / 7, 1.0 / 7, 3.0 / 7}));
}

TEST(MultiHeadAttention, Infers) {
  const auto type = inferred_type("MultiHeadAttention", 1,
                                  {f32({symbol("N"), symbol("S"), 8}), f32({symbol("N"), symbol("L"), 8}),
                                   f32({symbol("N"), symbol("L"), 12})},
                                  {{"num_heads", int64_t{2}}}, kDomain);
  EXPECT_EQ(type, "float32[N, S, 12]");
  EXPECT_TENSOR(ms("MultiHeadAttention",
                   {floats({0, 2, 2}, {}), floats({0, 3, 2}, {}), floats({0, 3, 2}, {})}, kOneHead),
                floats({0, 2, 2}, {}));
  EXPECT_TENSOR(ms("MultiHeadAttention",
                   {floats({1, 1, 1}, {1}), floats({1, 0, 1}, {}), floats({1, 0, 1}, {})}, kOneHead),
                floats({1, 1, 1}, {0}));
  for (int64_t heads : {int64_t{0}, int64_t{-1}, int64_t{3}, INT64_MAX, INT64_MIN}) {
    expect_error(
        [&] {
          ms("MultiHeadAttention", {kQuery, kKey, kValue}, {{"num_heads", heads}});
        },
        ErrorCode::invalid_model, "");
  }
}

// ---- Attention: x projects to query x, key x * ln 3, value 4 * x + 4.

TEST(MicrosoftAttention, Projects) {
  const Tensor x = floats({1, 2, 1}, {0, 1}), weights = floats({1, 3}, {1, kLn3, 4}),
               bias = floats({3}, {0, 0, 4});
  const auto y = ms_all("Attention", {x, weights, bias}, kOneHead, 2);
  EXPECT_TENSOR(y[0], floats({1, 2, 1}, {6, 7}));
  EXPECT_TENSOR(y[1], floats({2, 1, 1, 2, 1}, {0, kLn3, 4, 8}));
  NamedAttributes causal = kOneHead;
  causal.emplace_back("unidirectional", int64_t{1});
  const Tensor past = floats({2, 1, 1, 1, 1}, {0, 0});
  EXPECT_TENSOR(ms("Attention", {x, weights, bias, {}, past}, causal), floats({1, 2, 1}, {2, 28.0 / 5}));
  NamedAttributes sizes = kOneHead;
  sizes.emplace_back("qkv_hidden_sizes", std::vector<int64_t>{1, 1, 2});
  EXPECT_TENSOR(ms("Attention", {x, floats({1, 4}, {1, kLn3, 4, 8})}, sizes),
                floats({1, 2, 2}, {2, 4, 3, 6}));
  expect_error(
      [&] {
        ms("Attention", {x, floats({1, 4}, {1, 1, 1, 1})}, kOneHead);
      },
      ErrorCode::invalid_model, "4 columns");
  expect_error(
      [&] {
        ms("Attention", {x, weights, bias, i32({3}, {1, 1, 1})}, kOneHead);
      },
      ErrorCode::invalid_model, "mask");
  NamedAttributes rotary = kOneHead;
  rotary.emplace_back("do_rotary", int64_t{1});
  expect_error([&] { ms("Attention", {x, weights, bias}, rotary); }, ErrorCode::unsupported, "rotary");
}

TEST(MicrosoftAttention, ProjectsQuantized) {
  // x = 0, 1 and weights 1, 0, 4 in steps of 1.
  const Tensor x = tensor(DataType::uint8, {1, 2, 1}, {10, 12}),
               weights = tensor(DataType::int8, {1, 3}, {3, 2, 6});
  EXPECT_TENSOR(ms("QAttention",
                   {x,
                    weights,
                    floats({3}, {0, 0, 4}),
                    Tensor::scalar(0.5f),
                    floats({3}, {1, 1, 2}),
                    {},
                    Tensor::scalar<uint8_t>(10),
                    Tensor::scalar<int8_t>(2)},
                   kOneHead),
                floats({1, 2, 1}, {8, 8}));
}

// ---- GroupQueryAttention: two query heads, one of keys and values.

const NamedAttributes kGroup = {{"num_heads", int64_t{2}}, {"kv_num_heads", int64_t{1}}};

TEST(GroupQueryAttention, SharesKeysAndAppends) {
  const Tensor query = floats({1, 2, 2}, {1, 1, 1, 2}), last = i32({1}, {1}), total = i32({}, {2});
  const auto prompt = ms_all("GroupQueryAttention", {query, kKey, kValue, {}, {}, last, total}, kGroup, 3);
  EXPECT_TENSOR(prompt[0], floats({1, 2, 2}, {4, 4, 7, 7.6}));
  EXPECT_TENSOR(prompt[1], floats({1, 1, 2, 1}, {0, kLn3}));
  // One more, after the two: weights 1 : 3 : 1.
  const auto step = ms_all("GroupQueryAttention",
                           {floats({1, 1, 2}, {1, 1}), floats({1, 1, 1}, {0}), floats({1, 1, 1}, {2}),
                            prompt[1], prompt[2], i32({1}, {2}), i32({}, {3})},
                           kGroup, 3);
  EXPECT_TENSOR(step[0], floats({1, 1, 2}, {6, 6}));
  EXPECT_TENSOR(step[2], floats({1, 1, 3, 1}, {4, 8, 2}));
  // Packed: query heads, key, value in a row.
  EXPECT_TENSOR(ms("GroupQueryAttention",
                   {floats({1, 2, 4}, {1, 1, 0, 4, 1, 2, kLn3, 8}), {}, {}, {}, {}, last, total}, kGroup),
                floats({1, 2, 2}, {4, 4, 7, 7.6}));
}

TEST(GroupQueryAttention, WindowsSinksAndScores) {
  const Tensor query = floats({1, 2, 2}, {1, 1, 1, 2}), last = i32({1}, {1}), total = i32({}, {2});
  const auto with = [&](const char* name, AttributeValue value, int outputs = 1) {
    NamedAttributes attributes = kGroup;
    attributes.emplace_back(name, std::move(value));
    return ms_all("GroupQueryAttention", {query, kKey, kValue, {}, {}, last, total}, attributes, outputs);
  };
  EXPECT_TENSOR(with("local_window_size", int64_t{1})[0], floats({1, 2, 2}, {4, 4, 8, 8}));
  EXPECT_TENSOR(with("causal", int64_t{0})[0], floats({1, 2, 2}, {7, 7, 7, 7.6}));
  // A score of 0 in the sum alone: 4 / 2, (4 + 24) / 5, (4 + 72) / 11.
  EXPECT_TENSOR(with("smooth_softmax", int64_t{1})[0], floats({1, 2, 2}, {2, 2, 5.6, 76.0 / 11}));
  EXPECT_TENSOR(with("qk_output", int64_t{1}, 4)[3],
                floats({1, 2, 2, 2}, {0, 0, 0, kLn3, 0, 0, 0, 2 * kLn3}));
  EXPECT_TENSOR(with("qk_output", int64_t{2}, 4)[3],
                floats({1, 2, 2, 2}, {1, 0, 0.25, 0.75, 1, 0, 0.1, 0.9}));
  expect_error([&] { with("sliding_window_cache", int64_t{1}); }, ErrorCode::unsupported, "window");
}

TEST(GroupQueryAttention, RefusesLengths) {
  const Tensor query = floats({1, 1, 2}, {1, 1}), one = floats({1, 1, 1}, {1}),
               past = floats({1, 1, 2, 1}, {1, 1});
  const auto of = [&](double last, double total) {
    return ms("GroupQueryAttention", {query, one, one, past, past, i32({1}, {last}), i32({}, {total})},
              kGroup);
  };
  of(2, 3);
  for (double total : {0.0, -5.0, 4.0, 2147483647.0})
    expect_error([&] { of(2, total); }, ErrorCode::invalid_model, "total_sequence_length");
  for (double last : {-1.0, 3.0, 2147483647.0, -2147483648.0})
    expect_error([&] { of(last, 3); }, ErrorCode::invalid_argument, "seqlens_k");
}

}  // namespace
}  // namespace plica::test
