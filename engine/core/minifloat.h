// The 8- and 4-bit floating-point formats: codes (in the lowest bits of a byte) to float and back.
// FP8 formats: https://arxiv.org/abs/2209.05433 and https://arxiv.org/abs/2206.02915 (FNUZ); E2M1 and E8M0:
// OCP Microscaling Formats (MX) 1.0. What out-of-range values become follows ONNX's Cast.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "engine/core/data_type.h"

namespace plica {

struct MinifloatFormat {
  int mantissa_bits;
  int bias;
  uint8_t sign;        // the bit
  uint8_t largest;     // the code of the largest finite number
  uint8_t nan;         // the code of a positive NaN; 0: there is none
  uint8_t infinity;    // 0: there is none
  bool unsigned_zero;  // FNUZ: no negative zero, its code is the only NaN
};

inline constexpr MinifloatFormat kFloat8E4M3FN{3, 7, 0x80, 0x7e, 0x7f, 0, false};
inline constexpr MinifloatFormat kFloat8E4M3FNUZ{3, 8, 0x80, 0x7f, 0x80, 0, true};
inline constexpr MinifloatFormat kFloat8E5M2{2, 15, 0x80, 0x7b, 0x7e, 0x7c, false};
inline constexpr MinifloatFormat kFloat8E5M2FNUZ{2, 16, 0x80, 0x7f, 0x80, 0, true};
inline constexpr MinifloatFormat kFloat4E2M1{1, 1, 0x08, 0x07, 0, 0, false};

// Null when the type is no such format.
inline const MinifloatFormat* minifloat_format(DataType type) {
  switch (type) {
    case DataType::float8e4m3fn:
      return &kFloat8E4M3FN;
    case DataType::float8e4m3fnuz:
      return &kFloat8E4M3FNUZ;
    case DataType::float8e5m2:
      return &kFloat8E5M2;
    case DataType::float8e5m2fnuz:
      return &kFloat8E5M2FNUZ;
    case DataType::float4e2m1:
      return &kFloat4E2M1;
    default:
      return nullptr;
  }
}

inline float decode_minifloat(uint8_t code, const MinifloatFormat& f) {
  const bool negative = (code & f.sign) != 0;
  const int magnitude = code & (f.sign - 1);
  float value;
  if (f.unsigned_zero ? code == f.nan : magnitude > f.largest && magnitude != f.infinity) {
    return std::numeric_limits<float>::quiet_NaN();
  } else if (f.infinity != 0 && magnitude == f.infinity) {
    value = std::numeric_limits<float>::infinity();
  } else {
    const int exponent = magnitude >> f.mantissa_bits;
    const int mantissa = magnitude & ((1 << f.mantissa_bits) - 1);
    value = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), 1 - f.bias - f.mantissa_bits)
                          : std::ldexp(static_cast<float>(mantissa | 1 << f.mantissa_bits),
                                       exponent - f.bias - f.mantissa_bits);
  }
  return negative ? -value : value;
}

// Rounds to nearest, ties to even. Beyond the largest: that one when `saturate` (or when the format has
// nothing else), otherwise infinity or NaN.
inline uint8_t encode_minifloat(float value, const MinifloatFormat& f, bool saturate) {
  const uint8_t sign = std::signbit(value) ? f.sign : 0;
  // A format without NaN makes it -0.
  if (std::isnan(value))
    return f.nan == 0 ? f.sign : f.unsigned_zero ? f.nan : static_cast<uint8_t>(sign | f.nan);
  int code = f.largest + 1;
  if (const float magnitude = std::abs(value); std::isfinite(magnitude)) {
    // In units of the last mantissa bit; a mantissa that rounds up to the next power carries into the
    // exponent.
    const int exponent = magnitude == 0 ? 1 - f.bias : std::max(std::ilogb(magnitude), 1 - f.bias);
    if (exponent - 1 <= f.largest >> f.mantissa_bits) {
      const int units = static_cast<int>(std::nearbyint(std::ldexp(magnitude, f.mantissa_bits - exponent)));
      code = ((exponent + f.bias - 1) << f.mantissa_bits) + units;
    }
  }
  if (code > f.largest) {
    if (saturate || (f.infinity == 0 && f.nan == 0)) return sign | f.largest;
    if (f.infinity != 0) return sign | f.infinity;
    return f.unsigned_zero ? f.nan : static_cast<uint8_t>(sign | f.nan);
  }
  if (code == 0 && f.unsigned_zero) return 0;
  return static_cast<uint8_t>(sign | code);
}

// E8M0: a power of two 2^(code - 127), 0xff is NaN. There is no sign and no zero.
enum class E8M0Rounding { up, down, nearest };

inline float decode_e8m0(uint8_t code) {
  return code == 0xff ? std::numeric_limits<float>::quiet_NaN() : std::ldexp(1.0f, code - 127);
}

// The sign is ignored (negative numbers have no meaning here); `saturate` keeps out-of-range values at the
// ends.
inline uint8_t encode_e8m0(float value, E8M0Rounding rounding, bool saturate) {
  if (std::isnan(value)) return 0xff;
  const uint32_t bits = std::bit_cast<uint32_t>(std::abs(value));
  if (std::isinf(value)) return saturate ? 0xfe : 0xff;
  if (bits == 0 && !saturate) return 0xff;
  const uint32_t exponent = bits >> 23;
  const uint32_t fraction = bits & 0x7fffffu;
  if (exponent == 0) {
    // Below the smallest normal float, 2^-126; the smallest code is 2^-127, half of it.
    const bool above = rounding == E8M0Rounding::up        ? fraction > 0x400000u
                       : rounding == E8M0Rounding::nearest ? fraction >= 0x600000u
                                                           : false;
    return above ? 1 : 0;
  }
  const bool increment = rounding == E8M0Rounding::up        ? fraction != 0
                         : rounding == E8M0Rounding::nearest ? fraction >= 0x400000u
                                                             : false;
  const uint32_t code = exponent + (increment ? 1 : 0);
  return static_cast<uint8_t>(code == 0xff && saturate ? 0xfe : code);
}

// Element `i` of packed elements of `bits` (4 or 2), the first in the lowest bits.
inline uint8_t load_packed(const uint8_t* data, int64_t i, int bits) {
  const int per_byte = 8 / bits;
  return static_cast<uint8_t>((data[i / per_byte] >> (i % per_byte * bits)) & ((1 << bits) - 1));
}
inline void store_packed(uint8_t* data, int64_t i, int bits, uint8_t value) {
  const int per_byte = 8 / bits;
  const int shift = static_cast<int>(i % per_byte) * bits;
  const int mask = (1 << bits) - 1;
  uint8_t& byte = data[i / per_byte];
  byte = static_cast<uint8_t>((byte & ~(mask << shift)) | ((value & mask) << shift));
}

}  // namespace plica
