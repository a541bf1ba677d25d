#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double softplus(double x) { return std::log1p(std::exp(x)); }
double clamp(double x, double low, double high) { return std::min(high, std::max(low, x)); }

struct Activation {
  const char* name;
  const char* op;
  int opset;
  NamedAttributes attributes;
  double (*reference)(double);
};

class Activations : public ::testing::TestWithParam<Activation> {};

TEST_P(Activations, AgreesWithTheFormulaInDouble) {
  const auto& [name, op, opset, attributes, reference] = GetParam();
  for (const auto& [type, rtol] : {std::pair(DataType::float32, 3e-6),
                                   {DataType::float64, 1e-7},
                                   {DataType::float16, 2e-3},
                                   {DataType::bfloat16, 2e-2}}) {
    const Tensor x = random(type, {2, 3, 17}, -6, 6, 3);
    auto expected = doubles(x);
    for (double& v : expected) v = reference(v);
    EXPECT_TENSOR(run(op, opset, {x}, attributes), tensor(type, x.dims(), expected), rtol, rtol)
        << to_string(type);
  }
  EXPECT_TRUE(std::isnan(doubles(run(op, opset, {floats({1}, {kNan})}, attributes))[0]));
  EXPECT_TENSOR(run(op, opset, {floats({0, 2}, {})}, attributes), floats({0, 2}, {}));
  EXPECT_TENSOR(run(op, opset, {floats({}, {1.25})}, attributes), floats({}, {reference(1.25)}));
}

INSTANTIATE_TEST_SUITE_P(
    All, Activations,
    ::testing::Values(
        Activation{"Relu", "Relu", 14, {}, [](double x) { return std::max(0.0, x); }},
        Activation{"Relu1",
                   "Relu",
                   1,
                   {{"consumed_inputs", std::vector<int64_t>{0}}},
                   [](double x) { return std::max(0.0, x); }},
        Activation{"LeakyRelu", "LeakyRelu", 16, {}, [](double x) { return x < 0 ? 0.01f * x : x; }},
        Activation{"LeakyReluAlpha",
                   "LeakyRelu",
                   6,
                   {{"alpha", 0.25f}},
                   [](double x) { return x < 0 ? 0.25 * x : x; }},
        Activation{
            "Elu", "Elu", 6, {{"alpha", 2.0f}}, [](double x) { return x < 0 ? 2 * std::expm1(x) : x; }},
        Activation{"Selu",
                   "Selu",
                   6,
                   {},
                   [](double x) {
                     return 1.05070102214813232421875 *
                            (x < 0 ? 1.67326319217681884765625 * std::expm1(x) : x);
                   }},
        Activation{
            "Selu1", "Selu", 1, {}, [](double x) { return 1.0507f * (x < 0 ? 1.6732f * std::expm1(x) : x); }},
        Activation{"Celu",
                   "Celu",
                   12,
                   {{"alpha", 2.0f}},
                   [](double x) { return std::max(0.0, x) + std::min(0.0, 2 * std::expm1(x / 2)); }},
        Activation{"Sigmoid", "Sigmoid", 13, {}, sigmoid},
        Activation{"HardSigmoid", "HardSigmoid", 6, {}, [](double x) { return clamp(0.2f * x + 0.5, 0, 1); }},
        Activation{"HardSigmoidSixth",
                   "HardSigmoid",
                   6,
                   {{"alpha", 0.125f}, {"beta", 0.25f}},
                   [](double x) { return clamp(0.125 * x + 0.25, 0, 1); }},
        Activation{"HardSwish", "HardSwish", 14, {}, [](double x) { return x * clamp(x / 6 + 0.5, 0, 1); }},
        Activation{"Softplus", "Softplus", 1, {}, softplus},
        Activation{"Softsign", "Softsign", 1, {}, [](double x) { return x / (1 + std::fabs(x)); }},
        Activation{"ThresholdedRelu", "ThresholdedRelu", 10, {}, [](double x) { return x > 1 ? x : 0; }},
        Activation{
            "Gelu", "Gelu", 20, {}, [](double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); }},
        Activation{"GeluTanh",
                   "Gelu",
                   20,
                   {{"approximate", std::string("tanh")}},
                   [](double x) {
                     return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
                   }},
        Activation{"Mish", "Mish", 18, {}, [](double x) { return x * std::tanh(softplus(x)); }},
        Activation{"Swish", "Swish", 24, {{"alpha", 0.5f}}, [](double x) { return x * sigmoid(0.5 * x); }},
        Activation{"Shrink",
                   "Shrink",
                   9,
                   {{"bias", 1.5f}, {"lambd", 1.5f}},
                   [](double x) { return x < -1.5  ? x + 1.5
                                         : x > 1.5 ? x - 1.5
                                                   : 0; }}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(Activation, ExtremesDoNotOverflow) {
  const Tensor x = floats({4}, {-1000, 1000, -kInfinity, kInfinity});
  EXPECT_TENSOR(run("Sigmoid", 13, {x}), floats({4}, {0, 1, 0, 1}));
  EXPECT_TENSOR(run("Softplus", 1, {x}), floats({4}, {0, 1000, 0, kInfinity}));
  EXPECT_TENSOR(run("Elu", 6, {x}), floats({4}, {-1, 1000, -1, kInfinity}));
  EXPECT_TENSOR(run("Celu", 12, {x}), floats({4}, {-1, 1000, -1, kInfinity}));
}

TEST(Activation, Integers) {
  EXPECT_TENSOR(run("Relu", 14, {ints({3}, {-5, 0, 5})}), ints({3}, {0, 0, 5}));
  EXPECT_TENSOR(
      run("Shrink", 9, {Tensor::vector<int8_t>({-3, -1, 0, 1, 3})}, {{"lambd", 1.5f}, {"bias", 1.0f}}),
      Tensor::vector<int8_t>({-2, 0, 0, 0, 2}));
  expect_error([] { run("Relu", 14, {Tensor::vector<uint8_t>({1})}); }, ErrorCode::invalid_model, "uint8");
  expect_error(
      [] {
        run("Gelu", 20, {floats({1}, {1})}, {{"approximate", std::string("sigmoid")}});
      },
      ErrorCode::invalid_model, "approximate");
  expect_error(
      [] {
        run("LeakyRelu", 6, {floats({1}, {1})}, {{"alpha", int64_t{1}}});
      },
      ErrorCode::invalid_model, "'alpha'");
}

// ---- Softmax, LogSoftmax, Hardmax

struct Normalized {
  Dims dims;
  int opset;
  std::optional<int64_t> axis;
  int64_t outer, length, inner;  // what the axis means
};

class SoftmaxAxes : public ::testing::TestWithParam<Normalized> {};

TEST_P(SoftmaxAxes, AgreesWithTheFormulaInDouble) {
  const auto& [dims, opset, axis, outer, length, inner] = GetParam();
  NamedAttributes attributes;
  if (axis) attributes.emplace_back("axis", *axis);
  for (const auto& [type, rtol] :
       {std::pair(DataType::float32, 2e-6), {DataType::float64, 1e-13}, {DataType::float16, 2e-3}}) {
    const Tensor x = random(type, dims, -20, 20, 5);
    const auto values = doubles(x);
    std::vector<double> softmax(values.size()), log_softmax(values.size()), hardmax(values.size(), 0);
    for (int64_t o = 0; o < outer; ++o) {
      for (int64_t j = 0; j < inner; ++j) {
        const auto index = [&, length = length, inner = inner](int64_t k) {
          return static_cast<size_t>((o * length + k) * inner + j);
        };
        double sum = 0, largest = -HUGE_VAL;
        for (int64_t k = 0; k < length; ++k) largest = std::max(largest, values[index(k)]);
        for (int64_t k = 0; k < length; ++k) sum += std::exp(values[index(k)] - largest);
        bool found = false;
        for (int64_t k = 0; k < length; ++k) {
          softmax[index(k)] = std::exp(values[index(k)] - largest) / sum;
          log_softmax[index(k)] = values[index(k)] - largest - std::log(sum);
          if (!found && values[index(k)] == largest) hardmax[index(k)] = 1, found = true;
        }
      }
    }
    EXPECT_TENSOR(run("Softmax", opset, {x}, attributes), tensor(type, dims, softmax), rtol, rtol);
    EXPECT_TENSOR(run("LogSoftmax", opset, {x}, attributes), tensor(type, dims, log_softmax), rtol, rtol);
    EXPECT_TENSOR(run("Hardmax", opset, {x}, attributes), tensor(type, dims, hardmax), 0, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Versions, SoftmaxAxes,
    ::testing::Values(Normalized{{2, 3, 4}, 13, {}, 6, 4, 1}, Normalized{{2, 3, 4}, 13, 1, 2, 3, 4},
                      Normalized{{2, 3, 4}, 13, 0, 1, 2, 12}, Normalized{{2, 3, 200}, 13, -2, 2, 3, 200},
                      Normalized{{2, 3, 4}, 12, {}, 2, 12, 1}, Normalized{{2, 3, 4}, 1, 2, 6, 4, 1},
                      Normalized{{2, 3, 4}, 11, 0, 1, 24, 1}, Normalized{{2, 3, 4}, 11, -1, 6, 4, 1},
                      Normalized{{7}, 1, {}, 7, 1, 1}, Normalized{{7}, 13, {}, 1, 7, 1},
                      Normalized{{40, 1000}, 13, {}, 40, 1000, 1}, Normalized{{}, 13, {}, 1, 1, 1}));

// Each step of the function body rounds to bfloat16: exp(-3) = 0.049787 to 0.0498046875, the sum 1.0498
// to 1.046875, the quotients to 0.0476074 and 0.957031. Rounded once they were 0.0473633 and 0.953125.
TEST(Softmax, SixteenBitStepsRound) {
  EXPECT_TENSOR(run("Softmax", 13, {tensor(DataType::bfloat16, {2}, {0, 3})}),
                tensor(DataType::bfloat16, {2}, {0.0498046875 / 1.046875, 1 / 1.046875}), 0, 0);
}

TEST(Softmax, EdgesAndErrors) {
  EXPECT_TENSOR(run("Softmax", 13, {floats({3}, {1000, 1000, -1000})}), floats({3}, {0.5, 0.5, 0}));
  EXPECT_TENSOR(run("Softmax", 13, {floats({2}, {kNan, 1})}), floats({2}, {kNan, kNan}));
  EXPECT_TENSOR(run("Softmax", 13, {floats({2}, {-kInfinity, 1})}), floats({2}, {0, 1}));
  EXPECT_TENSOR(run("Softmax", 13, {floats({3, 0}, {})}), floats({3, 0}, {}));
  EXPECT_TENSOR(run("Softmax", 13, {floats({0, 3}, {})}), floats({0, 3}, {}));
  for (int opset : {1, 13}) {
    expect_error(
        [&] {
          run("Softmax", opset, {floats({2, 1}, {1, 2})}, {{"axis", int64_t{3}}});
        },
        ErrorCode::invalid_model, "out of range");
  }
  expect_error(
      [] {
        infer("Softmax", 13, {typed(DataType::float32, Shape{symbol("N"), 2})}, {{"axis", int64_t{2}}});
      },
      ErrorCode::invalid_model, "out of range");
}

}  // namespace
}  // namespace plica::test
