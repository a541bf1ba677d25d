// The functions of runtime/kernels/vector_math.h against the C library in double, over bit patterns of all
// floats: the error bounds that the header states.
#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <numbers>
#include <vector>

#include "runtime/kernels/pointwise_kernel.h"

namespace plica {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();

// Every 4099th float, and the special ones.
std::vector<float> all_magnitudes() {
  std::vector<float> x = {0.f,    -0.f,    kInf,   -kInf, kNan, 1e-45f, -1e-45f,
                          8192.f, -8192.f, 8193.f, 1e30f, 0.5f, 1.5f,   2.5f};
  for (uint64_t bits = 0; bits < uint64_t{1} << 32; bits += 4099)
    x.push_back(std::bit_cast<float>(static_cast<uint32_t>(bits)));
  return x;
}

std::vector<float> run(PointOp op, const std::vector<float>& x, const std::vector<float>* other = nullptr) {
  std::vector<float> y(x.size());
  const auto count = static_cast<int64_t>(x.size());
  std::vector<void*> memory = {const_cast<float*>(x.data())};
  if (other) memory.push_back(const_cast<float*>(other->data()));
  memory.push_back(y.data());
  PointwiseKernel::Loop loop{count, std::vector<int64_t>(memory.size() - 1, 1)};
  PointwiseKernel kernel({{op, other ? 1 : -1}}, {loop}, {});
  kernel.run({.memory = memory});
  return y;
}

// The distance between floats at this magnitude; of subnormal numbers, theirs.
double unit(double magnitude) {
  const auto x = static_cast<float>(std::abs(magnitude));
  return static_cast<double>(std::nextafter(x, kInf)) - static_cast<double>(x);
}

// |y - f(x)| is at most `units` in the last place of the larger of f(x) and `floor`; NaN and infinities are
// the same.
void expect_within(PointOp op, double units, double floor, const std::function<double(double)>& f) {
  const std::vector<float> x = all_magnitudes();
  const std::vector<float> y = run(op, x);
  int wrong = 0;
  for (size_t i = 0; i < x.size() && wrong < 5; ++i) {
    const double exact = f(x[i]);
    const auto rounded = static_cast<float>(exact);
    const bool same = std::isnan(rounded) ? std::isnan(y[i]) : rounded == y[i];
    if (same && std::signbit(rounded) == std::signbit(y[i])) continue;
    if (same && (std::isnan(rounded) || rounded != 0)) continue;
    const double error = std::abs(y[i] - exact), allowed = units * unit(std::max(std::abs(exact), floor));
    if (std::isfinite(rounded) && error <= allowed) continue;
    ADD_FAILURE() << "f(" << x[i] << ") is " << y[i] << ", not " << exact;
    ++wrong;
  }
}

double soft_plus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }
double sign(double x) { return std::isnan(x) ? x : static_cast<double>(x > 0) - static_cast<double>(x < 0); }

TEST(VectorMath, ExponentialsAndLogarithms) {
  expect_within(PointOp::of(Unary::exp), 2, 0, [](double x) { return std::exp(x); });
  expect_within(PointOp::of(Unary::log), 2, 0, [](double x) { return std::log(x); });
  expect_within(PointOp::of(Unary::soft_plus), 3, 0, soft_plus);
  expect_within(PointOp::of(Unary::elu, 1.f), 3, 0, [](double x) { return x < 0 ? std::expm1(x) : x; });
  expect_within(PointOp::of(Unary::celu, 2.f), 3, 0,
                [](double x) { return x < 0 ? 2 * std::expm1(x / 2) : x; });
  expect_within(PointOp::of(Unary::sigmoid), 4, 0, [](double x) { return 1 / (1 + std::exp(-x)); });
}

TEST(VectorMath, HyperbolicAndErrorFunctions) {
  expect_within(PointOp::of(Unary::tanh), 4, 0, [](double x) { return std::tanh(x); });
  expect_within(PointOp::of(Unary::erf), 3, 0, [](double x) { return std::erf(x); });
  // Of small results by negative numbers the error is one of 1.
  const auto gelu = [](double x) {
    return std::isinf(x) && x < 0 ? NAN : x / 2 * (1 + std::erf(x / std::sqrt(2.0)));
  };
  expect_within(PointOp::of(Unary::gelu), 2, 1, gelu);
  const auto gelu_tanh = [](double x) {
    const double t = 2 * std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
    return x / (1 + std::exp(-t));
  };
  expect_within(PointOp::of(Unary::gelu_tanh), 4, 1, gelu_tanh);
  expect_within(PointOp::of(Unary::swish, 1.f), 4, 1, [](double x) { return x / (1 + std::exp(-x)); });
  expect_within(PointOp::of(Unary::mish), 8, 1e-37, [](double x) { return x * std::tanh(soft_plus(x)); });
}

// What is rounded towards 1 never leaves the range, so that 1 - y * y is no negative number.
TEST(VectorMath, BoundedFunctionsKeepTheirBounds) {
  const std::vector<float> x = all_magnitudes();
  for (const Unary f : {Unary::tanh, Unary::erf, Unary::sigmoid}) {
    const std::vector<float> y = run(PointOp::of(f), x);
    for (size_t i = 0; i < x.size(); ++i) ASSERT_FALSE(std::abs(y[i]) > 1) << "f(" << x[i] << ") is " << y[i];
    EXPECT_EQ(run(PointOp::of(f), {200.f, kInf}), (std::vector<float>{1, 1}));
  }
  EXPECT_EQ(run(PointOp::of(Unary::tanh), {-200.f, -kInf}), (std::vector<float>{-1, -1}));
  EXPECT_EQ(run(PointOp::of(Unary::erf), {-200.f, -kInf}), (std::vector<float>{-1, -1}));
  EXPECT_EQ(run(PointOp::of(Unary::gelu), {-200.f, -1e38f, 200.f}), (std::vector<float>{0, 0, 200}));
}

TEST(VectorMath, SineAndCosine) {
  const double floor = std::ldexp(1.0, -12);
  expect_within(PointOp::of(Unary::sin), 4, floor, [](double x) { return std::sin(x); });
  expect_within(PointOp::of(Unary::cos), 4, floor, [](double x) { return std::cos(x); });
}

TEST(VectorMath, ExactFunctions) {
  expect_within(PointOp::of(Unary::sqrt), 0.5, 0, [](double x) { return std::sqrt(x); });
  expect_within(PointOp::of(Unary::floor), 0, 0, [](double x) { return std::floor(x); });
  expect_within(PointOp::of(Unary::ceil), 0, 0, [](double x) { return std::ceil(x); });
  expect_within(PointOp::of(Unary::round), 0, 0, [](double x) { return std::nearbyint(x); });
  expect_within(PointOp::of(Unary::sign), 0, 0, sign);
  expect_within(PointOp::of(Unary::abs), 0, 0, [](double x) { return std::abs(x); });
  expect_within(PointOp::of(Unary::thresholded_relu, 1.f), 0, 0, [](double x) { return x <= 1 ? 0 : x; });
  expect_within(PointOp::of(Unary::soft_sign), 2, 0, [](double x) { return x / (1 + std::abs(x)); });
}

TEST(VectorMath, NanWinsInExtremes) {
  const std::vector<float> x = {1, kNan, 3, -kInf, kNan, 5}, y = {2, 0, kNan, kNan, kNan, 4};
  for (const auto& [f, first, last] :
       {std::tuple(Binary::max, 2.f, 5.f), std::tuple(Binary::min, 1.f, 4.f)}) {
    const std::vector<float> r = run(PointOp::of(f, 0), x, &y);
    EXPECT_EQ(r[0], first);
    EXPECT_EQ(r[5], last);
    for (size_t i = 1; i < 5; ++i) EXPECT_TRUE(std::isnan(r[i])) << i;
  }
}

}  // namespace
}  // namespace plica
