// Float16 and BFloat16 against a reference in double, over all their bit patterns and all rounding
// boundaries.
#include "engine/core/float_types.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace plica {
namespace {

// A binary format: the number of stored mantissa bits, the exponent of the smallest normal number, the
// largest finite.
struct Format {
  int mantissa_bits, least_exponent;
  double largest;
};
constexpr Format kHalf{10, -14, 65504.0};
const Format kBFloat{7, -126, std::ldexp(255.0, 120)};

double decode_reference(uint16_t bits, const Format& f) {
  const int mantissa = bits & ((1 << f.mantissa_bits) - 1);
  const int exponent = (bits & 0x7fff) >> f.mantissa_bits;
  const int all_ones = 0x7fff >> f.mantissa_bits;
  const double sign = bits & 0x8000 ? -1.0 : 1.0;
  if (exponent == all_ones) return mantissa ? std::nan("") : sign * INFINITY;
  const double significand = exponent ? mantissa + std::ldexp(1.0, f.mantissa_bits) : mantissa;
  return sign * std::ldexp(significand, std::max(exponent, 1) - 1 + f.least_exponent - f.mantissa_bits);
}

// The nearest number of the format, ties to even (the default rounding mode of nearbyint).
double round_reference(double x, const Format& f) {
  if (std::isnan(x) || std::isinf(x) || x == 0) return x;
  const int exponent = std::max(std::ilogb(x), f.least_exponent);
  const double quantum = std::ldexp(1.0, exponent - f.mantissa_bits);
  const double rounded = std::nearbyint(x / quantum) * quantum;
  return std::abs(rounded) > f.largest ? std::copysign(INFINITY, x) : rounded;
}

bool same(double a, double b) {
  return std::isnan(a) ? std::isnan(b) : a == b && std::signbit(a) == std::signbit(b);
}

template <class T>
void check_encode(float x, const Format& f) {
  const double got = decode_reference(T(x).bits, f);
  ASSERT_TRUE(same(got, round_reference(x, f)))
      << "of " << x << " (bits " << std::bit_cast<uint32_t>(x) << ")";
}

template <class T>
void check_all_patterns(const Format& f) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const T number = T::from_bits(static_cast<uint16_t>(bits));
    const float value = number;
    ASSERT_TRUE(same(value, decode_reference(number.bits, f))) << "bits " << bits;
    if (std::isnan(value)) {
      ASSERT_TRUE(std::isnan(static_cast<float>(T(value)))) << "bits " << bits;
    } else {
      ASSERT_EQ(T(value).bits, bits);
    }
  }
}

// At the midpoint of each pair of neighbours, one float below and one above.
template <class T>
void check_all_boundaries(const Format& f) {
  for (uint32_t bits = 0; bits < 0x7fffu; ++bits) {
    const double low = decode_reference(static_cast<uint16_t>(bits), f);
    double high = decode_reference(static_cast<uint16_t>(bits + 1), f);
    if (std::isnan(low) || std::isnan(high) || std::isinf(low)) continue;
    if (std::isinf(high))
      high = f.largest + (f.largest - decode_reference(static_cast<uint16_t>(bits - 1), f));
    const float middle = static_cast<float>((low + high) / 2);
    for (float x : {std::nextafter(middle, -INFINITY), middle, std::nextafter(middle, INFINITY)}) {
      check_encode<T>(x, f);
      check_encode<T>(-x, f);
    }
  }
}

TEST(Float16, AllBitPatterns) { check_all_patterns<Float16>(kHalf); }
TEST(Float16, AllRoundingBoundaries) { check_all_boundaries<Float16>(kHalf); }
TEST(BFloat16, AllBitPatterns) { check_all_patterns<BFloat16>(kBFloat); }
TEST(BFloat16, AllRoundingBoundaries) { check_all_boundaries<BFloat16>(kBFloat); }

TEST(FloatTypes, RandomBitsOfFloat) {
  std::mt19937 random(20240601);
  for (int i = 0; i < 1'000'000; ++i) {
    const float x = std::bit_cast<float>(static_cast<uint32_t>(random()));
    check_encode<Float16>(x, kHalf);
    check_encode<BFloat16>(x, kBFloat);
    if (HasFatalFailure()) return;
  }
}

TEST(FloatTypes, NaNNeverBecomesInfinity) {
  // NaNs whose payload is in the low bits only, which the 16-bit formats drop.
  for (uint32_t bits : {0x7f800001u, 0xff800001u, 0x7f801000u, 0x7fffffffu}) {
    const float nan = std::bit_cast<float>(bits);
    EXPECT_TRUE(std::isnan(static_cast<float>(Float16(nan))));
    EXPECT_TRUE(std::isnan(static_cast<float>(BFloat16(nan))));
  }
}

}  // namespace
}  // namespace plica
