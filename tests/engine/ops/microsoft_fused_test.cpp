// com.microsoft: fused convolutions and products, Gelu and its relatives, layer normalizations.
#include "engine/ops/cast.h"
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
std::string ms_type(const std::string& op, const std::vector<Facts>& inputs,
                    const NamedAttributes& attributes = {}) {
  return inferred_type(op, 1, inputs, attributes, kDomain);
}
Facts f32(Shape shape) { return typed(DataType::float32, std::move(shape)); }

TEST(FusedConv, AddsZThenActivates) {
  const Tensor x = floats({1, 1, 3}, {1, -2, 3}), w = floats({1, 1, 1}, {2}), b = floats({1}, {1}),
               z = floats({1, 1, 3}, {-4, 0, 1});
  EXPECT_TENSOR(ms("FusedConv", {x, w, b, z}), floats({1, 1, 3}, {-1, -3, 8}));
  EXPECT_TENSOR(ms("FusedConv", {x, w, {}, z}), floats({1, 1, 3}, {-2, -4, 7}));
  const auto activated = [&](const char* name, std::vector<float> parameters) {
    return ms("FusedConv", {x, w, b, z},
              {{"activation", std::string(name)}, {"activation_params", parameters}});
  };
  EXPECT_TENSOR(activated("Relu", {}), floats({1, 1, 3}, {0, 0, 8}));
  EXPECT_TENSOR(activated("LeakyRelu", {0.5f}), floats({1, 1, 3}, {-0.5, -1.5, 8}));
  EXPECT_TENSOR(activated("Clip", {-2, 3}), floats({1, 1, 3}, {-1, -2, 3}));
  EXPECT_TENSOR(activated("HardSigmoid", {0.25f, 0.5f}), floats({1, 1, 3}, {0.25, 0, 1}));
  EXPECT_EQ(ms_type("FusedConv", {f32({symbol("N"), 1, symbol("W")}), f32({4, 1, 1})}), "float32[N, 4, W]");
  expect_error([&] { activated("Erf", {}); }, ErrorCode::unsupported, "'Erf'");
  expect_error([&] { activated("Relu", {1}); }, ErrorCode::invalid_model, "1 parameters");
  expect_error(
      [&] {
        ms("FusedConv", {x, w, b, floats({1, 1, 1}, {0})});
      },
      ErrorCode::invalid_model, "differ");
}

TEST(FusedMatMul, TransposesAndScales) {
  const Tensor a = floats({2, 3}, {1, 2, 3, 4, 5, 6}), b = floats({2, 1}, {1, 10});
  EXPECT_TENSOR(ms("FusedMatMul", {a, b}, {{"transA", int64_t{1}}, {"alpha", 0.5f}}),
                floats({3, 1}, {20.5, 26, 31.5}));
  EXPECT_TENSOR(ms("TransposeMatMul", {a, floats({1, 3}, {1, 0, 2})}, {{"transB", int64_t{1}}}),
                floats({2, 1}, {7, 16}));
  // [M, batch, K]: rows of one matrix lie a batch apart.
  const Tensor stacked = floats({2, 2, 1}, {1, 2, 3, 4});
  EXPECT_TENSOR(ms("FusedMatMul", {stacked, floats({2, 1, 1}, {1, 10})}, {{"transBatchA", int64_t{1}}}),
                floats({2, 2, 1}, {1, 3, 20, 40}));
  EXPECT_TENSOR(ms("FusedMatMul", {floats({2}, {1, 2}), b}, {{"transA", int64_t{1}}}), floats({1}, {21}));
  EXPECT_EQ(
      ms_type("FusedMatMul", {f32({symbol("N"), 4, symbol("S")}), f32({4, 5})}, {{"transA", int64_t{1}}}),
      "float32[N, S, 5]");
  expect_error([&] { ms("FusedMatMul", {a, b}); }, ErrorCode::invalid_model, "columns");
}

TEST(FusedGemm, Activates) {
  const Tensor a = floats({1, 2}, {1, -1}), b = floats({2, 2}, {1, 2, 3, 0}), c = floats({2}, {1, 1});
  EXPECT_TENSOR(ms("FusedGemm", {a, b, c}, {{"activation", std::string("Relu")}, {"alpha", 2.0f}}),
                floats({1, 2}, {0, 5}));
  EXPECT_TENSOR(ms("FusedGemm", {a, b, c},
                   {{"activation", std::string("LeakyRelu")},
                    {"activation_alpha", 0.5f},
                    {"beta", 0.0f},
                    {"transB", int64_t{1}}}),
                floats({1, 2}, {-0.5, 3}));
}

TEST(Gelu, Family) {
  const Tensor x = floats({1, 2}, {1, -1}), bias = floats({2}, {1, 1});
  // 2 * Phi(2), 0
  EXPECT_TENSOR(ms("BiasGelu", {x, bias}), floats({1, 2}, {1.954499736, 0}));
  EXPECT_TENSOR(ms("Gelu", {x}), floats({1, 2}, {0.841344746, -0.158655254}));
  EXPECT_TENSOR(ms("FastGelu", {x}), floats({1, 2}, {0.841191991, -0.158808009}));
  EXPECT_TENSOR(ms("FastGelu", {x, bias}), floats({1, 2}, {1.954597694, 0}));
  EXPECT_TENSOR(ms("QuickGelu", {x}, {{"alpha", 1.0f}}), floats({1, 2}, {0.731058579, -0.268941421}));
  EXPECT_TENSOR(ms("BiasSplitGelu", {floats({1, 4}, {2, 3, 0, 1}), floats({4}, {0, 0, 1, -1})}),
                floats({1, 2}, {1.682689492, 0}));
  EXPECT_TENSOR(ms("BiasAdd", {x, bias, x}), floats({1, 2}, {3, -1}));
  EXPECT_EQ(ms_type("BiasGelu", {f32({symbol("N"), 2}), f32({2})}), "float32[N, 2]");
  expect_error(
      [&] {
        ms("BiasGelu", {x, floats({3}, {1, 1, 1})});
      },
      ErrorCode::invalid_model, "bias has shape [3]");
  expect_error(
      [&] {
        ms("BiasSplitGelu", {floats({1, 3}, {1, 2, 3}), floats({3}, {1, 2, 3})});
      },
      ErrorCode::invalid_model, "halves");
}

TEST(FusedLayerNormalization, Simplified) {
  // mean(x^2) = 4, with epsilon 0.
  const Tensor x = floats({2, 2}, {2, -2, 0, std::sqrt(8.0)}), scale = floats({2}, {1, 3});
  const NamedAttributes exact = {{"epsilon", 0.0f}};
  for (const std::string& domain : {std::string(), kDomain}) {
    const auto y = run_all("SimplifiedLayerNormalization", 1, {x, scale}, exact, 2, domain);
    EXPECT_TENSOR(y[0], floats({2, 2}, {1, -3, 0, 3 * std::sqrt(2.0)}));
    EXPECT_TENSOR(y[1], floats({2, 1}, {0.5, 0.5}));
  }
  const auto y = ms_all("SkipSimplifiedLayerNormalization", {x, floats({2}, {0, 0}), scale}, exact, 4);
  EXPECT_TENSOR(y[0], floats({2, 2}, {1, -3, 0, 3 * std::sqrt(2.0)}));
  EXPECT_TENSOR(y[3], x);
}

TEST(FusedLayerNormalization, Skip) {
  const Tensor x = floats({1, 1, 2}, {1, 2}), skip = floats({1, 2}, {2, 5}), gamma = floats({2}, {1, 2}),
               beta = floats({2}, {10, 20}), bias = floats({2}, {1, 1});
  // The sum 4, 8: mean 6, deviation 2.
  const auto y = ms_all("SkipLayerNormalization", {x, skip, gamma, beta, bias}, {{"epsilon", 0.0f}}, 4);
  EXPECT_TENSOR(y[0], floats({1, 1, 2}, {9, 22}));
  EXPECT_TENSOR(y[1], floats({1, 1, 1}, {6}));
  EXPECT_TENSOR(y[2], floats({1, 1, 1}, {0.5}));
  EXPECT_TENSOR(y[3], floats({1, 1, 2}, {4, 8}));
  EXPECT_EQ(ms_type("SkipLayerNormalization",
                    {f32({symbol("N"), symbol("S"), 2}), f32({symbol("N"), symbol("S"), 2}), f32({2})}),
            "float32[N, S, 2]");
  expect_error(
      [&] {
        ms("SkipLayerNormalization", {x, floats({2, 2}, {1, 2, 3, 4}), gamma});
      },
      ErrorCode::invalid_model, "skip has shape");
  expect_error(
      [&] {
        ms("SkipLayerNormalization", {x, skip, floats({1}, {1})});
      },
      ErrorCode::invalid_model, "gamma");
  EXPECT_TENSOR(ms("SkipLayerNormalization", {floats({0, 1, 2}, {}), floats({0, 1, 2}, {}), gamma}),
                floats({0, 1, 2}, {}));
}

TEST(FusedLayerNormalization, Embed) {
  const auto i32 = [](Dims dims, const std::vector<double>& v) {
    return tensor(DataType::int32, std::move(dims), v);
  };
  const Tensor ids = i32({1, 2}, {1, 0}), words = floats({2, 2}, {0, 1, 2, 4}),
               positions = floats({2, 2}, {0, 0, 1, 4}), segments = floats({1, 2}, {1, 1}),
               one = floats({2}, {1, 1}), zero = floats({2}, {0, 0});
  const NamedAttributes exact = {{"epsilon", 0.0f}};
  const auto y = ms_all(
      "EmbedLayerNormalization",
      {ids, i32({1, 2}, {0, 0}), words, positions, segments, one, zero, i32({1, 2}, {1, 0})}, exact, 3);
  EXPECT_TENSOR(y[0], floats({1, 2, 2}, {-1, 1, -1, 1}));
  EXPECT_TENSOR(y[1], i32({1}, {1}));
  EXPECT_TENSOR(y[2], floats({1, 2, 2}, {3, 5, 2, 6}));
  const auto plain = ms_all("EmbedLayerNormalization",
                            {ids, {}, words, positions, {}, one, zero, {}, i32({1, 2}, {1, 1})}, exact, 3);
  EXPECT_TENSOR(plain[1], i32({1}, {0}));
  EXPECT_TENSOR(plain[2], floats({1, 2, 2}, {3, 8, 1, 5}));
  expect_error(
      [&] {
        ms("EmbedLayerNormalization", {i32({1, 2}, {2, 0}), {}, words, positions, {}, one, zero});
      },
      ErrorCode::invalid_argument, "input id 2");
  expect_error(
      [&] {
        ms("EmbedLayerNormalization", {i32({1, 3}, {0, 0, 0}), {}, words, positions, {}, one, zero});
      },
      ErrorCode::invalid_argument, "position 2");
  expect_error(
      [&] {
        ms("EmbedLayerNormalization", {ids, {}, words, positions, segments, one, zero});
      },
      ErrorCode::invalid_model, "go together");
}

TEST(Microsoft, SixteenBitFloats) {
  const Tensor x = tensor(DataType::float16, {1, 2}, {1, -1});
  EXPECT_TENSOR(ms("Gelu", {x}), tensor(DataType::float16, {1, 2}, {0.841344746, -0.158655254}), 1e-3);
  EXPECT_TENSOR(ms("FusedMatMul", {x, x}, {{"transB", int64_t{1}}}), tensor(DataType::float16, {1, 1}, {2}));
}

}  // namespace
}  // namespace plica::test
