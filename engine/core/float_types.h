// 16-bit floating-point numbers: storage types that convert to and from float. Conversion from float rounds to
// nearest, ties to even; NaN stays NaN. All arithmetic happens in float or double.
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

#include "engine/core/data_type.h"

namespace plica {

// IEEE 754 binary16.
struct Float16 {
  uint16_t bits = 0;

  Float16() = default;
  explicit Float16(float value) : bits(encode(value)) {}
  static Float16 from_bits(uint16_t bits) {
    Float16 h;
    h.bits = bits;
    return h;
  }
  operator float() const { return decode(bits); }

  static float decode(uint16_t half) {
    const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
    const uint32_t magnitude = half & 0x7fffu;
    if (magnitude >= 0x7c00u) return std::bit_cast<float>(sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13));
    // Scaling by 2^112 rebiases the exponent, and normalizes subnormals exactly.
    const float scaled = std::bit_cast<float>(magnitude << 13) * std::bit_cast<float>(0x77800000u);
    return std::bit_cast<float>(std::bit_cast<uint32_t>(scaled) | sign);
  }

  static uint16_t encode(float value) {
    const uint32_t in = std::bit_cast<uint32_t>(value);
    const uint32_t sign = (in >> 16) & 0x8000u;
    const uint32_t magnitude = in & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
    if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // rounds beyond 65504
    if (magnitude < 0x38800000u) {
      // Subnormal result: adding 0.5 aligns the last kept bit with the last bit of the sum, which rounds to even.
      const float sum = std::bit_cast<float>(magnitude) + 0.5f;
      return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(sum) - 0x3f000000u));
    }
    const uint32_t odd = (magnitude >> 13) & 1u;
    return static_cast<uint16_t>(sign | ((magnitude - 0x38000000u + 0xfffu + odd) >> 13));
  }
};

// The upper half of a binary32.
struct BFloat16 {
  uint16_t bits = 0;

  BFloat16() = default;
  explicit BFloat16(float value) : bits(encode(value)) {}
  static BFloat16 from_bits(uint16_t bits) {
    BFloat16 b;
    b.bits = bits;
    return b;
  }
  operator float() const { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

  static uint16_t encode(float value) {
    const uint32_t in = std::bit_cast<uint32_t>(value);
    if ((in & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((in >> 16) | 0x40u);
    return static_cast<uint16_t>((in + 0x7fffu + ((in >> 16) & 1u)) >> 16);
  }
};

static_assert(sizeof(Float16) == 2 && sizeof(BFloat16) == 2);

// The type in which a kernel computes on elements of type T.
template <class T>
using ComputeType = std::conditional_t<std::is_same_v<T, Float16> || std::is_same_v<T, BFloat16>, float, T>;

}  // namespace plica
