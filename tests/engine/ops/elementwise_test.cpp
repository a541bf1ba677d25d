#include <gmock/gmock.h>

#include "engine/ops/broadcast.h"
#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

// ---- broadcasting

// The element of `t` at the position of `index` in the broadcast dims.
double at(const std::vector<double>& values, const Dims& dims, const Dims& out, int64_t index) {
  int64_t offset = 0, stride = 1;
  for (size_t d = out.size(), own = dims.size(); d-- > 0 && own-- > 0; index /= out[d]) {
    if (dims[own] != 1) offset += index % out[d] * stride;
    stride *= dims[own];
  }
  return values[static_cast<size_t>(offset)];
}

struct Operands {
  Dims a, b, out;
};

class Broadcasting : public ::testing::TestWithParam<Operands> {};

TEST_P(Broadcasting, AddsByPosition) {
  const auto& [a, b, out] = GetParam();
  const Tensor x = random(DataType::float32, a, -5, 5, 1), y = random(DataType::float32, b, -5, 5, 2);
  Tensor expected(DataType::float32, out);
  const auto xs = doubles(x), ys = doubles(y);
  for (int64_t i = 0; i < expected.size(); ++i) {
    expected.mutable_data<float>()[i] = static_cast<float>(at(xs, a, out, i) + at(ys, b, out, i));
  }
  EXPECT_TENSOR(run("Add", 14, {x, y}), expected, 0, 0);
  const Tensor condition = run("Greater", 13, {x, y});
  for (int64_t i = 0; i < expected.size(); ++i) {
    ASSERT_EQ(condition.data<bool>()[i], at(xs, a, out, i) > at(ys, b, out, i)) << i;
    expected.mutable_data<float>()[i] =
        static_cast<float>(at(xs, a, out, i) > at(ys, b, out, i) ? at(xs, a, out, i) : at(ys, b, out, i));
  }
  EXPECT_TENSOR(run("Where", 16, {condition, x, y}), expected, 0, 0);
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, Broadcasting,
    ::testing::Values(
        Operands{{}, {}, {}}, Operands{{3}, {}, {3}}, Operands{{}, {2, 3}, {2, 3}}, Operands{{1}, {1}, {1}},
        Operands{{2, 3, 4}, {2, 3, 4}, {2, 3, 4}}, Operands{{2, 3, 4}, {3, 1}, {2, 3, 4}},
        Operands{{5, 1}, {1, 7}, {5, 7}}, Operands{{2, 1, 4, 1}, {3, 1, 5}, {2, 3, 4, 5}},
        Operands{{0, 3}, {3}, {0, 3}}, Operands{{0}, {1}, {0}}, Operands{{1, 3}, {0, 1}, {0, 3}},
        Operands{{2, 1, 2, 1, 2, 1, 2, 1, 2}, {3, 1, 3, 1, 3, 1, 3, 1}, {2, 3, 2, 3, 2, 3, 2, 3, 2}},
        Operands{{64, 1, 40, 50}, {1, 2, 1, 1}, {64, 2, 40, 50}}, Operands{{1}, {200003}, {200003}}));

TEST(Broadcast, CoversAnyRangeByRuns) {
  const Dims out = {3, 4, 5};
  const Dims operands[] = {{3, 1, 5}, {4, 1}};
  const Broadcast plan(out, operands);
  for (int64_t begin = 0; begin <= 60; ++begin) {
    for (int64_t end = begin; end <= 60; ++end) {
      int64_t next = begin;
      plan.for_each_run(begin, end, [&](int64_t position, const auto& offsets, int64_t count) {
        ASSERT_EQ(position, next);
        next += count;
        EXPECT_EQ(offsets[0], position / 20 * 5 + position % 5);
        EXPECT_EQ(offsets[1], position / 5 % 4);
        EXPECT_EQ(position / 5, (position + count - 1) / 5) << "a run stays in its row";
      });
      EXPECT_EQ(next, end);
    }
  }
}

TEST(Elementwise, BroadcastErrors) {
  expect_error(
      [] {
        run("Add", 7, {floats({2, 3}, {0, 0, 0, 0, 0, 0}), floats({2}, {1, 2})});
      },
      ErrorCode::invalid_model, "broadcast");
  expect_error(
      [] {
        run("Add", 7, {floats({1}, {0}), ints({1}, {1})});
      },
      ErrorCode::invalid_model, "must be the same");
  expect_error(
      [] {
        run("Add", 7, {Tensor::vector({std::string("a")}), Tensor::vector({std::string("b")})});
      },
      ErrorCode::invalid_model, "string");
  expect_error([] { run("Add", 7, {floats({1}, {0})}); }, ErrorCode::invalid_model, "input 1 is missing");
}

// Opset 1 to 6: the second operand's dims begin at `axis` of the first's.
TEST(Elementwise, LegacyBroadcast) {
  const Tensor a = iota(DataType::float32, {2, 3, 2});
  const Tensor b = floats({3}, {10, 20, 30});
  EXPECT_TENSOR(run("Add", 6, {a, b}, {{"broadcast", int64_t{1}}, {"axis", int64_t{1}}}),
                floats({2, 3, 2}, {10, 11, 22, 23, 34, 35, 16, 17, 28, 29, 40, 41}));
  EXPECT_TENSOR(run("Sub", 1, {a, floats({2}, {1, 2})},
                    {{"broadcast", int64_t{1}}, {"consumed_inputs", std::vector<int64_t>{0, 0}}}),
                floats({2, 3, 2}, {-1, -1, 1, 1, 3, 3, 5, 5, 7, 7, 9, 9}));
  EXPECT_TENSOR(run("Mul", 6, {a, Tensor::scalar(2.0f)}, {{"broadcast", int64_t{1}}}),
                iota(DataType::float32, {2, 3, 2}, 0, 2));
  EXPECT_TENSOR(run("Less", 6, {a, b}, {{"broadcast", int64_t{1}}, {"axis", int64_t{-2}}}),
                tensor(DataType::boolean, {2, 3, 2}, std::vector<double>(12, 1)));
  EXPECT_EQ(
      inferred_type("Add", 6,
                    {typed(DataType::float32, Shape{symbol("N"), 3, 2}), typed(DataType::float32, Shape{3})},
                    {{"broadcast", int64_t{1}}, {"axis", int64_t{1}}}),
      "float32[N, 3, 2]");
  expect_error([&] { run("Add", 6, {a, b}); }, ErrorCode::invalid_model, "broadcast is 0");
  expect_error(
      [&] {
        run("Add", 6, {a, b}, {{"broadcast", int64_t{1}}, {"axis", int64_t{3}}});
      },
      ErrorCode::invalid_model, "out of range");
  expect_error([&] { run("Add", 6, {b, a}, {{"broadcast", int64_t{1}}}); }, ErrorCode::invalid_model, "rank");
  expect_error(
      [&] {
        run("Add", 7, {a, b}, {{"broadcast", int64_t{1}}});
      },
      ErrorCode::invalid_model, "'broadcast'");
}

// ---- arithmetic

class ArithmeticTypes : public ::testing::TestWithParam<DataType> {};

TEST_P(ArithmeticTypes, SmallNumbersAreExact) {
  const DataType type = GetParam();
  const Tensor a = tensor(type, {4}, {7, 9, 12, 100}), b = tensor(type, {4}, {2, 3, 4, 10});
  EXPECT_TENSOR(run("Add", 14, {a, b}), tensor(type, {4}, {9, 12, 16, 110}));
  EXPECT_TENSOR(run("Sub", 14, {a, b}), tensor(type, {4}, {5, 6, 8, 90}));
  EXPECT_TENSOR(run("Mul", 14, {tensor(type, {3}, {2, 3, 4}), tensor(type, {3}, {5, 6, 7})}),
                tensor(type, {3}, {10, 18, 28}));
  EXPECT_TENSOR(run("Div", 14, {tensor(type, {3}, {8, 9, 100}), tensor(type, {3}, {2, 3, 4})}),
                tensor(type, {3}, {4, 3, 25}));
  EXPECT_TENSOR(run("Max", 13, {a, b, tensor(type, {1}, {8})}), tensor(type, {4}, {8, 9, 12, 100}));
  EXPECT_TENSOR(run("Min", 13, {a, b, tensor(type, {1}, {8})}), tensor(type, {4}, {2, 3, 4, 8}));
  EXPECT_TENSOR(run("Mod", 13, {a, b}, {{"fmod", int64_t{1}}}), tensor(type, {4}, {1, 0, 0, 0}));
  EXPECT_TENSOR(run("Mod", 13, {a, b}), tensor(type, {4}, {1, 0, 0, 0}));
  EXPECT_TENSOR(run("Equal", 13, {a, tensor(type, {4}, {7, 1, 12, 1})}),
                tensor(DataType::boolean, {4}, {1, 0, 1, 0}));
  EXPECT_TENSOR(run("LessOrEqual", 16, {a, tensor(type, {4}, {7, 1, 13, 1})}),
                tensor(DataType::boolean, {4}, {1, 0, 1, 0}));
  EXPECT_TENSOR(run("GreaterOrEqual", 12, {a, tensor(type, {4}, {7, 1, 13, 1})}),
                tensor(DataType::boolean, {4}, {1, 1, 0, 1}));
  EXPECT_TENSOR(run("Abs", 13, {a}), a);
  EXPECT_TENSOR(run("Sign", 13, {tensor(type, {2}, {0, 5})}), tensor(type, {2}, {0, 1}));
  EXPECT_TENSOR(run("Clip", 13, {a, tensor(type, {}, {8}), tensor(type, {}, {12})}),
                tensor(type, {4}, {8, 9, 12, 12}));
}

INSTANTIATE_TEST_SUITE_P(Types, ArithmeticTypes,
                         ::testing::Values(DataType::float32, DataType::float64, DataType::float16,
                                           DataType::bfloat16, DataType::int8, DataType::int16,
                                           DataType::int32, DataType::int64, DataType::uint8,
                                           DataType::uint16, DataType::uint32, DataType::uint64),
                         [](const auto& info) { return std::string(to_string(info.param)); });

TEST(Arithmetic, IntegersWrapAround) {
  EXPECT_TENSOR(run("Add", 14, {Tensor::vector<int8_t>({127, -128}), Tensor::vector<int8_t>({1, -1})}),
                Tensor::vector<int8_t>({-128, 127}));
  EXPECT_TENSOR(run("Mul", 14, {Tensor::vector<uint16_t>({65535}), Tensor::vector<uint16_t>({65535})}),
                Tensor::vector<uint16_t>({1}));
  EXPECT_TENSOR(run("Sub", 14, {Tensor::vector<uint32_t>({0}), Tensor::vector<uint32_t>({1})}),
                Tensor::vector<uint32_t>({0xffffffffu}));
  const int64_t low = std::numeric_limits<int64_t>::min();
  EXPECT_TENSOR(run("Neg", 13, {Tensor::vector<int64_t>({low, 5})}), Tensor::vector<int64_t>({low, -5}));
  EXPECT_TENSOR(run("Abs", 13, {Tensor::vector<int64_t>({low, -5})}), Tensor::vector<int64_t>({low, 5}));
}

TEST(Arithmetic, DivisionOfIntegers) {
  EXPECT_TENSOR(
      run("Div", 14, {Tensor::vector<int32_t>({7, -7, 7, -7}), Tensor::vector<int32_t>({2, 2, -2, -2})}),
      Tensor::vector<int32_t>({3, -3, -3, 3}));
  const int32_t low = std::numeric_limits<int32_t>::min();
  expect_error(
      [] {
        run("Div", 14, {ints({2}, {1, 2}), ints({2}, {1, 0})});
      },
      ErrorCode::invalid_argument, "division by zero");
  expect_error(
      [&] {
        run("Div", 14, {Tensor::vector({low}), Tensor::vector<int32_t>({-1})});
      },
      ErrorCode::invalid_argument, "does not fit");
  expect_error(
      [] {
        run("Mod", 10, {ints({1}, {1}), ints({1}, {0})});
      },
      ErrorCode::invalid_argument, "by zero");
  expect_error(
      [] {
        run("Mod", 10, {ints({1}, {1}), ints({1}, {0})}, {{"fmod", int64_t{1}}});
      },
      ErrorCode::invalid_argument, "by zero");
  EXPECT_TENSOR(run("Mod", 10, {Tensor::vector({low}), Tensor::vector<int32_t>({-1})}),
                Tensor::vector<int32_t>({0}));
  EXPECT_TENSOR(run("Div", 14, {floats({3}, {1, -1, 0}), floats({3}, {0, 0, 0})}),
                floats({3}, {kInfinity, -kInfinity, kNan}));
}

TEST(Arithmetic, ModFollowsTheDivisorOrTheDividend) {
  const Tensor a = ints({6}, {-4, 7, 5, 4, -7, 8}), b = ints({6}, {2, -3, 8, -2, 3, 5});
  EXPECT_TENSOR(run("Mod", 13, {a, b}), ints({6}, {0, -2, 5, 0, 2, 3}));
  EXPECT_TENSOR(run("Mod", 13, {a, b}, {{"fmod", int64_t{1}}}), ints({6}, {0, 1, 5, 0, -1, 3}));
  const Tensor x = floats({4}, {-4.5, 7.5, -1, 1}), y = floats({4}, {2, -2, kInfinity, kInfinity});
  EXPECT_TENSOR(run("Mod", 28, {x, y}), floats({4}, {1.5, -0.5, kInfinity, 1}));
  EXPECT_TENSOR(run("Mod", 13, {x, y}, {{"fmod", int64_t{1}}}), floats({4}, {-0.5, 1.5, -1, 1}));
  expect_error([&] { run("Mod", 13, {x, y}, {{"fmod", int64_t{2}}}); }, ErrorCode::invalid_model, "fmod");
}

TEST(Arithmetic, MaxAndMinPropagateNan) {
  const Tensor a = floats({4}, {kNan, 1, kNan, 3}), b = floats({4}, {1, kNan, kNan, 4});
  EXPECT_TENSOR(run("Max", 13, {a, b}), floats({4}, {kNan, kNan, kNan, 4}));
  EXPECT_TENSOR(run("Min", 13, {a, b}), floats({4}, {kNan, kNan, kNan, 3}));
  EXPECT_TENSOR(run("Max", 6, {a}), a);
}

TEST(Arithmetic, VariadicBroadcast) {
  const Tensor a = floats({1}, {1}), b = floats({1, 1}, {2}), c = floats({2, 1}, {10, 20}),
               d = floats({3}, {1, 2, 3});
  EXPECT_TENSOR(run("Sum", 13, {a, b, c, d}), floats({2, 3}, {14, 15, 16, 24, 25, 26}));
  EXPECT_TENSOR(run("Mean", 8, {a, b, c, d}), floats({2, 3}, {3.5, 3.75, 4, 6, 6.25, 6.5}));
  EXPECT_TENSOR(run("Mean", 1, {d}, {{"consumed_inputs", std::vector<int64_t>{0}}}), d);
  EXPECT_TENSOR(run("Sum", 13, {floats({0, 3}, {}), d}), floats({0, 3}, {}));
}

TEST(Arithmetic, Pow) {
  EXPECT_TENSOR(run("Pow", 13, {floats({3}, {2, 3, -2}), floats({}, {2})}), floats({3}, {4, 9, 4}), 0, 0);
  EXPECT_TENSOR(run("Pow", 7, {floats({2, 1}, {2, 9}), floats({2}, {0.5, -1})}),
                floats({2, 2}, {std::sqrt(2.0), 0.5, 3, 1.0 / 9}));
  EXPECT_TENSOR(run("Pow", 12, {floats({3}, {2, 3, 4}), ints({3}, {1, 2, 3})}), floats({3}, {2, 9, 64}));
  EXPECT_TENSOR(run("Pow", 15, {tensor(DataType::float16, {2}, {2, 3}), tensor(DataType::uint8, {}, {3})}),
                tensor(DataType::float16, {2}, {8, 27}));
  EXPECT_TENSOR(run("Pow", 12, {ints({4}, {2, 3, -1, 1}), ints({4}, {62, 2, -3, -9})}),
                ints({4}, {int64_t{1} << 62, 9, -1, 1}));
  EXPECT_TENSOR(run("Pow", 12, {ints({3}, {2, 9, 10}), floats({3}, {-1, 0.5, 30})}),
                ints({3}, {0, 3, std::numeric_limits<int64_t>::max()}));
  expect_error(
      [] {
        run("Pow", 12, {ints({1}, {0}), ints({1}, {-1})});
      },
      ErrorCode::invalid_argument, "zero to the power -1");
}

// ---- functions of one element

struct Function {
  const char* op;
  int since;
  double low, high;
  double (*reference)(double);
};

class UnaryFunction : public ::testing::TestWithParam<Function> {};

TEST_P(UnaryFunction, AgreesWithDouble) {
  const Function& f = GetParam();
  for (const auto& [type, rtol] : {std::pair(DataType::float32, 2e-6),
                                   {DataType::float64, 1e-14},
                                   {DataType::float16, 2e-3},
                                   {DataType::bfloat16, 2e-2}}) {
    const Tensor x = random(type, {3, 11}, f.low, f.high, 7);
    auto expected = doubles(x);
    for (double& v : expected) v = f.reference(v);
    EXPECT_TENSOR(run(f.op, 22, {x}), tensor(type, {3, 11}, expected), rtol, rtol * 0.1)
        << f.op << ' ' << to_string(type);
  }
  const Tensor x = random(DataType::float32, {5}, f.low, f.high, 8);
  EXPECT_TENSOR(run(f.op, f.since, {x}), run(f.op, 22, {x}), 0, 0);
  if (f.since > 1) {
    expect_error([&] { run(f.op, f.since - 1, {x}); }, ErrorCode::unsupported, f.op);
  } else {
    EXPECT_TENSOR(run(f.op, 1, {x}, {{"consumed_inputs", std::vector<int64_t>{1}}}), run(f.op, 22, {x}), 0,
                  0);
    expect_error(
        [&] {
          run(f.op, 6, {x}, {{"consumed_inputs", std::vector<int64_t>{1}}});
        },
        ErrorCode::invalid_model, "consumed_inputs");
  }
  EXPECT_TRUE(std::isnan(doubles(run(f.op, 22, {floats({1}, {kNan})}))[0]));
  EXPECT_TENSOR(run(f.op, 22, {floats({2, 0}, {})}), floats({2, 0}, {}));
  EXPECT_EQ(run(f.op, 22, {Tensor::scalar(0.5f)}).rank(), 0);
  expect_error([&] { run(f.op, 22, {Tensor::vector({true})}); }, ErrorCode::invalid_model, "bool");
}

INSTANTIATE_TEST_SUITE_P(
    All, UnaryFunction,
    ::testing::Values(Function{"Neg", 1, -9, 9, [](double x) { return -x; }},
                      Function{"Abs", 1, -9, 9, [](double x) { return std::fabs(x); }},
                      Function{"Sign", 9, -9, 9, [](double x) { return x > 0 ? 1.0 : -1.0; }},
                      Function{"Sqrt", 1, 0, 9, [](double x) { return std::sqrt(x); }},
                      Function{"Exp", 1, -5, 5, [](double x) { return std::exp(x); }},
                      Function{"Log", 1, 0.01, 9, [](double x) { return std::log(x); }},
                      Function{"Reciprocal", 1, 0.1, 9, [](double x) { return 1 / x; }},
                      Function{"Floor", 1, -9, 9, [](double x) { return std::floor(x); }},
                      Function{"Ceil", 1, -9, 9, [](double x) { return std::ceil(x); }},
                      Function{"Round", 11, -9, 9, [](double x) { return std::nearbyint(x); }},
                      Function{"Erf", 9, -3, 3, [](double x) { return std::erf(x); }},
                      Function{"Sin", 7, -3, 3, [](double x) { return std::sin(x); }},
                      Function{"Cos", 7, -3, 3, [](double x) { return std::cos(x); }},
                      Function{"Tan", 7, -1, 1, [](double x) { return std::tan(x); }},
                      Function{"Asin", 7, -1, 1, [](double x) { return std::asin(x); }},
                      Function{"Acos", 7, -1, 1, [](double x) { return std::acos(x); }},
                      Function{"Atan", 7, -9, 9, [](double x) { return std::atan(x); }},
                      Function{"Sinh", 9, -3, 3, [](double x) { return std::sinh(x); }},
                      Function{"Cosh", 9, -3, 3, [](double x) { return std::cosh(x); }},
                      Function{"Tanh", 1, -3, 3, [](double x) { return std::tanh(x); }},
                      Function{"Asinh", 9, -9, 9, [](double x) { return std::asinh(x); }},
                      Function{"Acosh", 9, 1, 9, [](double x) { return std::acosh(x); }},
                      Function{"Atanh", 9, -0.9, 0.9, [](double x) { return std::atanh(x); }}),
    [](const auto& info) { return std::string(info.param.op); });

TEST(Unary, RoundsHalvesToEven) {
  EXPECT_TENSOR(run("Round", 11, {floats({6}, {0.5, 1.5, 2.5, -0.5, -1.5, -2.5})}),
                floats({6}, {0, 2, 2, 0, -2, -2}));
}

// ---- logic and bits

TEST(Logic, TruthTables) {
  const Tensor a = tensor(DataType::boolean, {4}, {0, 0, 1, 1}),
               b = tensor(DataType::boolean, {4}, {0, 1, 0, 1});
  const auto table = [](std::vector<double> v) { return tensor(DataType::boolean, {4}, v); };
  EXPECT_TENSOR(run("And", 7, {a, b}), table({0, 0, 0, 1}));
  EXPECT_TENSOR(run("Or", 7, {a, b}), table({0, 1, 1, 1}));
  EXPECT_TENSOR(run("Xor", 7, {a, b}), table({0, 1, 1, 0}));
  EXPECT_TENSOR(run("Equal", 7, {a, b}), table({1, 0, 0, 1}));
  EXPECT_TENSOR(run("Not", 1, {a}), table({1, 1, 0, 0}));
  EXPECT_TENSOR(
      run("And", 1, {tensor(DataType::boolean, {2, 2}, {0, 1, 1, 1}), tensor(DataType::boolean, {2}, {1, 0})},
          {{"broadcast", int64_t{1}}, {"axis", int64_t{0}}}),
      tensor(DataType::boolean, {2, 2}, {0, 1, 0, 0}));
}

// A file may hold any byte for true.
TEST(Logic, AnyByteButZeroIsTrue) {
  const uint8_t bytes[] = {0, 1, 2, 255};
  const Tensor odd = Tensor::view(DataType::boolean, {4}, static_cast<const void*>(bytes));
  const Tensor yes = tensor(DataType::boolean, {1}, {1});
  EXPECT_TENSOR(run("And", 7, {odd, yes}), tensor(DataType::boolean, {4}, {0, 1, 1, 1}));
  EXPECT_TENSOR(run("Equal", 7, {odd, yes}), tensor(DataType::boolean, {4}, {0, 1, 1, 1}));
  EXPECT_TENSOR(run("Not", 1, {odd}), tensor(DataType::boolean, {4}, {1, 0, 0, 0}));
  EXPECT_TENSOR(run("Where", 9, {odd, ints({1}, {1}), ints({1}, {0})}), ints({4}, {0, 1, 1, 1}));
  EXPECT_TENSOR(run("Cast", 13, {odd}, {{"to", int64_t{7}}}), ints({4}, {0, 1, 1, 1}));
  EXPECT_TENSOR(run("ReduceMax", 20, {odd}, {{"keepdims", int64_t{0}}}), tensor(DataType::boolean, {}, {1}));
}

TEST(Comparison, NanAndStrings) {
  const Tensor nan = floats({2}, {kNan, 1});
  EXPECT_TENSOR(run("Equal", 11, {nan, nan}), tensor(DataType::boolean, {2}, {0, 1}));
  EXPECT_TENSOR(run("Less", 9, {nan, floats({}, {2})}), tensor(DataType::boolean, {2}, {0, 1}));
  const Tensor words = Tensor::vector({std::string("a"), std::string("b")});
  EXPECT_TENSOR(run("Equal", 19, {words, Tensor::scalar(std::string("b"))}),
                tensor(DataType::boolean, {2}, {0, 1}));
  // Beyond what a double holds.
  const int64_t big = (int64_t{1} << 62) + 1;
  EXPECT_TENSOR(run("Equal", 7, {ints({1}, {big}), ints({1}, {big - 1})}),
                tensor(DataType::boolean, {1}, {0}));
}

TEST(Bits, Shifts) {
  const auto shift = [](const Tensor& x, const Tensor& y, const char* direction) {
    return run("BitShift", 28, {x, y}, {{"direction", std::string(direction)}});
  };
  EXPECT_TENSOR(
      shift(Tensor::vector<uint8_t>({16, 4, 1, 255}), Tensor::vector<uint8_t>({1, 2, 3, 8}), "RIGHT"),
      Tensor::vector<uint8_t>({8, 1, 0, 0}));
  EXPECT_TENSOR(
      shift(Tensor::vector<uint8_t>({16, 4, 1, 255}), Tensor::vector<uint8_t>({1, 2, 3, 8}), "LEFT"),
      Tensor::vector<uint8_t>({32, 16, 8, 0}));
  EXPECT_TENSOR(
      shift(Tensor::vector<int32_t>({-8, -8, 8, -1}), Tensor::vector<int32_t>({1, 32, -1, -5}), "RIGHT"),
      Tensor::vector<int32_t>({-4, -1, 0, -1}));
  EXPECT_TENSOR(shift(ints({3}, {1, -1, 3}), ints({3}, {63, 64, -1}), "LEFT"),
                ints({3}, {std::numeric_limits<int64_t>::min(), 0, 0}));
  expect_error([&] { shift(ints({1}, {1}), ints({1}, {1}), "UP"); }, ErrorCode::invalid_model, "direction");
  expect_error(
      [] {
        run("BitShift", 11, {ints({1}, {1}), ints({1}, {1})});
      },
      ErrorCode::invalid_model, "'direction' is missing");
}

TEST(Bits, Bitwise) {
  const Tensor a = Tensor::vector<int16_t>({0b1100, -1}), b = Tensor::vector<int16_t>({0b1010, 7});
  EXPECT_TENSOR(run("BitwiseAnd", 18, {a, b}), Tensor::vector<int16_t>({0b1000, 7}));
  EXPECT_TENSOR(run("BitwiseOr", 18, {a, b}), Tensor::vector<int16_t>({0b1110, -1}));
  EXPECT_TENSOR(run("BitwiseXor", 18, {a, b}), Tensor::vector<int16_t>({0b0110, -8}));
  EXPECT_TENSOR(run("BitwiseNot", 18, {a}), Tensor::vector<int16_t>({-13, 0}));
}

// ---- Where, Clip, PRelu

TEST(Where, MovesEveryType) {
  const Tensor c = tensor(DataType::boolean, {2, 1}, {1, 0});
  EXPECT_TENSOR(
      run("Where", 9,
          {c, Tensor::vector({std::string("x"), std::string("y")}), Tensor::scalar(std::string("z"))}),
      Tensor::of({std::string("x"), std::string("y"), std::string("z"), std::string("z")}, {2, 2}));
  const std::complex<double> i(0, 1);
  EXPECT_TRUE(run("Where", 9, {c, Tensor::vector({i}), Tensor::vector({-i})})
                  .identical_to(Tensor::of({i, -i}, {2, 1})));
  EXPECT_TENSOR(run("Where", 16, {c, Tensor::vector({true}), Tensor::vector({false})}),
                tensor(DataType::boolean, {2, 1}, {1, 0}));
  expect_error([&] { run("Where", 9, {floats({1}, {1}), c, c}); }, ErrorCode::invalid_model, "input 0");
  EXPECT_EQ(inferred_type("Where", 16,
                          {typed(DataType::boolean, Shape{symbol("N"), 1}),
                           typed(DataType::float32, Shape{symbol("M")}), typed(DataType::float32, Shape{})}),
            "float32[N, M]");
}

TEST(Clip, BoundsByVersion) {
  const Tensor x = floats({5}, {-kInfinity, -2, kNan, 2, kInfinity});
  EXPECT_TENSOR(run("Clip", 6, {x}, {{"min", -1.0f}, {"max", 1.0f}}), floats({5}, {-1, -1, kNan, 1, 1}));
  EXPECT_TENSOR(run("Clip", 1, {x}, {{"min", -1.0f}}), floats({5}, {-1, -1, kNan, 2, kInfinity}));
  EXPECT_TENSOR(run("Clip", 11, {x, floats({}, {-1}), floats({}, {1})}), floats({5}, {-1, -1, kNan, 1, 1}));
  EXPECT_TENSOR(run("Clip", 13, {x, Tensor(), floats({}, {1})}), floats({5}, {-kInfinity, -2, kNan, 1, 1}));
  EXPECT_TENSOR(run("Clip", 13, {x, floats({1}, {0})}), floats({5}, {0, 0, kNan, 2, kInfinity}));
  EXPECT_TENSOR(run("Clip", 13, {x}), x);
  EXPECT_TENSOR(run("Clip", 13, {floats({2}, {0, 9}), floats({}, {5}), floats({}, {3})}),
                floats({2}, {3, 3}));  // crossed
  EXPECT_TENSOR(run("Clip", 12, {ints({3}, {-5, 0, 5}), ints({}, {-1}), ints({}, {1})}),
                ints({3}, {-1, 0, 1}));
  const auto clipped = doubles(run("Clip", 6, {x}));  // the defaults of opset 6 are finite
  EXPECT_EQ(clipped[0], std::numeric_limits<float>::lowest());
  expect_error(
      [&] {
        run("Clip", 11, {x, floats({2}, {0, 1})});
      },
      ErrorCode::invalid_model, "must be a scalar");
  expect_error([&] { run("Clip", 11, {x}, {{"min", 0.0f}}); }, ErrorCode::invalid_model, "'min'");
  expect_error([&] { run("Clip", 13, {x, ints({}, {0})}); }, ErrorCode::invalid_model, "must be the same");
}

TEST(PRelu, SlopesByVersion) {
  const Tensor x = floats({1, 2, 2}, {-1, 2, -3, -4});
  EXPECT_TENSOR(run("PRelu", 16, {x, floats({2, 1}, {0.5, 2})}), floats({1, 2, 2}, {-0.5, 2, -6, -8}));
  EXPECT_TENSOR(run("PRelu", 9, {x, floats({2}, {0.5, 2})}), floats({1, 2, 2}, {-0.5, 2, -1.5, -8}));
  EXPECT_TENSOR(run("PRelu", 6, {x, floats({2}, {0.5, 2})}),
                floats({1, 2, 2}, {-0.5, 2, -6, -8}));  // by channel
  EXPECT_TENSOR(run("PRelu", 1, {x, floats({1}, {3})}), floats({1, 2, 2}, {-3, 2, -9, -12}));
  EXPECT_TENSOR(run("PRelu", 9, {ints({2}, {-3, 3}), ints({}, {2})}), ints({2}, {-6, 3}));
  expect_error(
      [&] {
        run("PRelu", 9, {floats({2}, {1, 2}), floats({2, 2}, {1, 2, 3, 4})});
      },
      ErrorCode::invalid_model, "slope");
}

// ---- inference

Facts elements(std::vector<Dim> dims) {
  Facts f = typed(DataType::int64, Shape{static_cast<int64_t>(dims.size())});
  f.elements = std::move(dims);
  return f;
}

TEST(ElementwiseInference, KeepsSymbols) {
  const Facts a = typed(DataType::float32, Shape{symbol("N"), 3, 1, Dim()}),
              b = typed(DataType::float32, Shape{3, 4, 5});
  EXPECT_EQ(inferred_type("Add", 14, {a, b}), "float32[N, 3, 4, 5]");
  EXPECT_EQ(inferred_type("Less", 13, {a, b}), "bool[N, 3, 4, 5]");
  EXPECT_EQ(inferred_type("Relu", 14, {a}), "float32[N, 3, 1, ?]");
  EXPECT_EQ(inferred_type("Add", 14, {a, typed(DataType::float32)}), "float32[...]");
  EXPECT_EQ(inferred_type("Max", 13, {a, b, typed(DataType::float32, Shape{2, 1, 1, 1})}),
            "float32[2, 3, 4, 5]");
}

TEST(ElementwiseInference, FollowsShapes) {
  using ::testing::ElementsAre;
  const Facts shape = elements({symbol("N"), 6, Dim()});
  EXPECT_THAT(*infer("Mul", 14, {shape, elements({1, 2, 0})}).elements,
              ElementsAre(symbol("N"), Dim(12), Dim(0)));
  EXPECT_THAT(*infer("Div", 14, {shape, elements({2})}).elements, ElementsAre(Dim(), Dim(3), Dim()));
  EXPECT_THAT(*infer("Sub", 14, {shape, shape}).elements, ElementsAre(Dim(0), Dim(0), Dim()));
  EXPECT_THAT(*infer("Add", 14, {elements({0}), shape}).elements, ElementsAre(symbol("N"), Dim(6), Dim()));
  // No guess where the element wraps around or the kernel refuses.
  EXPECT_THAT(*infer("Mul", 14, {elements({int64_t{1} << 62}), elements({4})}).elements, ElementsAre(Dim()));
  EXPECT_THAT(*infer("Div", 14, {elements({1}), elements({0})}).elements, ElementsAre(Dim()));
}

}  // namespace
}  // namespace plica::test
