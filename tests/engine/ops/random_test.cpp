#include "engine/core/parallel.h"
#include "engine/ops/philox.h"
#include "engine/ops/table.h"
#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

// Known answers of the generator's authors (Random123, kat_vectors: philox4x32, 10 rounds).
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(Philox::rounds({0, 0, 0, 0}, 0, 0),
            (Philox::Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(Philox::rounds({kOnes, kOnes, kOnes, kOnes}, kOnes, kOnes),
            (Philox::Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox::rounds({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0xa4093822, 0x299f31d0),
            (Philox::Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

NamedAttributes shaped(std::vector<int64_t> shape, NamedAttributes more = {}) {
  more.emplace_back("shape", std::move(shape));
  return more;
}

struct Moments {
  double mean = 0, variance = 0, least = 1e300, most = -1e300;
};

Moments moments(const Tensor& t) {
  Moments m;
  const auto values = doubles(t);
  for (const double v : values) {
    m.mean += v / static_cast<double>(values.size());
    m.least = std::min(m.least, v);
    m.most = std::max(m.most, v);
  }
  for (const double v : values)
    m.variance += (v - m.mean) * (v - m.mean) / static_cast<double>(values.size());
  return m;
}

// Of 10^5 numbers, a mean is within 5 standard deviations / sqrt(10^5) of the expected one.
TEST(RandomUniform, Distribution) {
  const Moments m = moments(
      run("RandomUniform", 22, {}, shaped({100, 1000}, {{"low", -2.0f}, {"high", 4.0f}, {"seed", 3.0f}})));
  EXPECT_NEAR(m.mean, 1, 5 * std::sqrt(3.0 / 1e5));  // variance (high - low)^2 / 12
  EXPECT_NEAR(m.variance, 3, 0.06);
  EXPECT_GE(m.least, -2);
  EXPECT_LE(m.most, 4);
}

TEST(RandomNormal, Distribution) {
  const Moments m = moments(
      run("RandomNormal", 1, {},
          shaped({100000}, {{"mean", 10.0f}, {"scale", 2.0f}, {"seed", 0.5f}, {"dtype", int64_t{11}}})));
  EXPECT_NEAR(m.mean, 10, 5 * 2 / std::sqrt(1e5));
  EXPECT_NEAR(m.variance, 4, 0.1);  // standard error sqrt(2 / n) * 4
  EXPECT_LT(m.most, 10 + 2 * 6);
}

TEST(Random, SeedsReproduce) {
  for (const char* op : {"RandomNormal", "RandomUniform"}) {
    const NamedAttributes seeded = shaped({20000}, {{"seed", 7.0f}});
    Tensor one;
    {
      const ThreadScope threads(1);
      one = run(op, 22, {}, seeded);
    }
    const ThreadScope threads(3);
    EXPECT_TRUE(run(op, 22, {}, seeded).identical_to(one)) << op;
    EXPECT_FALSE(run(op, 22, {}, shaped({20000}, {{"seed", 8.0f}})).identical_to(one)) << op;
    EXPECT_FALSE(run(op, 22, {}, shaped({20000})).identical_to(run(op, 22, {}, shaped({20000})))) << op;
    // As the input's shape and type, or of the type that is asked for; the same stream.
    const std::string like = std::string(op) + "Like";
    EXPECT_TENSOR(run(like, 1, {Tensor(DataType::float32, {20000})}, {{"seed", 7.0f}}), one, 0, 0);
    EXPECT_EQ(run(like, 22, {Tensor(DataType::float16, {2, 0})}).type(), DataType::float16);
    EXPECT_EQ(run(like, 22, {ints({2}, {1, 2})}, {{"dtype", int64_t{16}}}).type(), DataType::bfloat16);
    EXPECT_FALSE(find_op("", op, 22)->deterministic);
  }
}

TEST(Random, InferenceAndErrors) {
  EXPECT_EQ(inferred_type("RandomNormal", 22, {}, shaped({2, 3}, {{"dtype", int64_t{10}}})), "float16[2, 3]");
  EXPECT_EQ(inferred_type("RandomUniformLike", 22, {typed(DataType::float64, Shape{symbol("N"), 3})}),
            "float64[N, 3]");
  expect_error(
      [&] {
        run("RandomNormal", 22, {}, shaped({2}, {{"dtype", int64_t{6}}}));
      },
      ErrorCode::invalid_model, "dtype is 6");
  expect_error([&] { run("RandomNormal", 22, {}, shaped({-2})); }, ErrorCode::invalid_model,
               "negative dimension");
  expect_error([&] { run("RandomNormalLike", 22, {ints({1}, {1})}); }, ErrorCode::invalid_model,
               "of type int64");
}

TEST(Bernoulli, Probabilities) {
  const Tensor certain = floats({4}, {0, 1, 1, 0});
  EXPECT_TENSOR(run("Bernoulli", 15, {certain}), certain);
  EXPECT_TENSOR(run("Bernoulli", 22, {certain}, {{"dtype", int64_t{9}}}),
                tensor(DataType::boolean, {4}, {0, 1, 1, 0}));
  const Tensor quarter = tensor(DataType::float64, {100000}, std::vector<double>(100000, 0.25));
  EXPECT_NEAR(moments(run("Bernoulli", 15, {quarter}, {{"seed", 1.0f}, {"dtype", int64_t{6}}})).mean, 0.25,
              5 * std::sqrt(0.1875 / 1e5));
  expect_error([&] { run("Bernoulli", 15, {floats({1}, {1.5})}); }, ErrorCode::invalid_argument,
               "probability is 1.5");
  expect_error([&] { run("Bernoulli", 15, {floats({1}, {kNan})}); }, ErrorCode::invalid_argument,
               "probability");
}

TEST(Multinomial, Classes) {
  // Log-probabilities up to a constant: 1/4, 0, 3/4.
  const Tensor x = floats({1, 3}, {std::log(1.0) + 700, -kInfinity, std::log(3.0) + 700});
  const Tensor y = run("Multinomial", 7, {x}, {{"seed", 2.0f}, {"sample_size", int64_t{100000}}});
  EXPECT_EQ(y.type(), DataType::int32);
  std::array<double, 3> counts{};
  for (const int32_t c : y.values<int32_t>()) ++counts.at(static_cast<size_t>(c));
  EXPECT_EQ(counts[1], 0);
  EXPECT_NEAR(counts[2] / 1e5, 0.75, 5 * std::sqrt(0.1875 / 1e5));
  const Tensor rows = floats({2, 2}, {0, -kInfinity, -kInfinity, 0});
  EXPECT_TENSOR(run("Multinomial", 22, {rows}, {{"dtype", int64_t{7}}, {"sample_size", int64_t{2}}}),
                ints({2, 2}, {0, 0, 1, 1}));
  EXPECT_EQ(inferred_type("Multinomial", 7, {typed(DataType::float32, Shape{symbol("N"), 5})}),
            "int32[N, 1]");
  expect_error([&] { run("Multinomial", 7, {floats({1, 1}, {kNan})}); }, ErrorCode::invalid_argument, "NaN");
  expect_error(
      [&] {
        run("Multinomial", 7, {floats({1, 1}, {-kInfinity})});
      },
      ErrorCode::invalid_argument, "largest");
  expect_error(
      [&] {
        run("Multinomial", 7, {Tensor(DataType::float32, {1, 0})});
      },
      ErrorCode::invalid_argument, "no class");
}

}  // namespace
}  // namespace plica::test
