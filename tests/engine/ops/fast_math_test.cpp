// exp, tanh and sigmoid of double against the C library in long double, over bit patterns of all magnitudes.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <functional>
#include <limits>

#include "engine/ops/activation_functions.h"

namespace plica {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

// NaN and infinities are the same; other results differ by at most `units` in the last place.
void expect_within(double x, double y, long double exact, double units) {
  const auto rounded = static_cast<double>(exact);
  if (std::isnan(rounded) || std::isinf(rounded)) {
    ASSERT_TRUE(std::isnan(rounded) ? std::isnan(y) : y == rounded) << "f(" << x << ") is " << y;
    return;
  }
  const double unit = std::nextafter(std::abs(rounded), kInf) - std::abs(rounded);
  ASSERT_LE(std::abs(static_cast<double>(y - exact)), units * unit) << "f(" << x << ") is " << y;
  ASSERT_EQ(std::signbit(y), std::signbit(rounded)) << x;
}

void compare(const std::function<double(double)>& f, const std::function<long double(long double)>& exact,
             double units) {
  constexpr uint64_t kStep = 0x0000'3ff1'2345'6789;  // some 270,000 of all numbers, both signs
  uint64_t bits = 0;
  do {
    const auto x = std::bit_cast<double>(bits);
    expect_within(x, f(x), exact(x), units);
    bits += kStep;
  } while (bits >= kStep);
  for (double x = -760; x < 720; x += 0.0117) expect_within(x, f(x), exact(x), units);
  for (const double x : {0., -0., kInf, -kInf, 5e-324, -5e-324}) expect_within(x, f(x), exact(x), units);
}

TEST(FastMath, FunctionsOfDouble) {
  compare(
      kExp, [](long double x) { return std::exp(x); }, 2);
  compare(
      kTanh, [](long double x) { return std::tanh(x); }, 4);
  compare(
      kSigmoid, [](long double x) { return 1 / (1 + std::exp(-x)); }, 4);
}

}  // namespace
}  // namespace plica
