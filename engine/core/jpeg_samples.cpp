#include "engine/core/jpeg_samples.h"

#include <algorithm>
#include <array>

namespace plica {
namespace {

uint8_t to_byte(int64_t x) { return static_cast<uint8_t>(std::clamp<int64_t>(x, 0, 255)); }

// The 8-point inverse transform of C. Loeffler, A. Ligtenberg and G. Moschytz, "Practical fast 1-D DCT
// algorithms with 11 multiplications" (1989), times sqrt(8) and 2^13: constants in 13-bit fixed point.
std::array<int64_t, 8> transform_8(const std::array<int64_t, 8>& x) {
  // Even coefficients: a rotation by 3 pi / 8 of the second and sixth, and the sum and difference of the
  // others.
  const int64_t turned = (x[2] + x[6]) * 4433;                             // 0.541196100
  const int64_t low = turned - x[6] * 15137, high = turned + x[2] * 6270;  // 1.847759065, 0.765366865
  const int64_t sum = (x[0] + x[4]) * 8192, difference = (x[0] - x[4]) * 8192;
  const std::array<int64_t, 4> even{sum + high, difference + low, difference - low, sum - high};
  // Odd ones.
  const int64_t all = (x[7] + x[3] + x[5] + x[1]) * 9633;                       // 1.175875602
  const int64_t outer = (x[7] + x[1]) * -7373, inner = (x[5] + x[3]) * -20995;  // 0.899976223, 2.562915447
  const int64_t first = (x[7] + x[3]) * -16069 + all,
                second = (x[5] + x[1]) * -3196 + all;              // 1.961570560, 0.390180644
  const std::array<int64_t, 4> odd{x[1] * 12299 + outer + second,  // 1.501321110
                                   x[3] * 25172 + inner + first,   // 3.072711026
                                   x[5] * 16819 + inner + second,  // 2.053119869
                                   x[7] * 2446 + outer + first};   // 0.298631336
  std::array<int64_t, 8> y;
  for (size_t i = 0; i < 4; ++i) {
    y[i] = even[i] + odd[i];
    y[7 - i] = even[i] - odd[i];
  }
  return y;
}

}  // namespace

void inverse_cosine_transform(uint8_t* out, int stride, const short* coefficients) {
  // Columns keep 2 bits of their fraction; rows drop these, the 13 of the constants and the scale 8.
  std::array<std::array<int64_t, 8>, 8> rows, columns;
  for (size_t i = 0; i < 8; ++i) {
    for (size_t k = 0; k < 8; ++k) columns[i][k] = coefficients[8 * k + i];
    const auto column = transform_8(columns[i]);
    for (size_t k = 0; k < 8; ++k) rows[k][i] = (column[k] + (1 << 10)) >> 11;
  }
  for (size_t k = 0; k < 8; ++k) {
    const auto row = transform_8(rows[k]);
    uint8_t* to = out + static_cast<std::ptrdiff_t>(k) * stride;
    for (size_t i = 0; i < 8; ++i) to[i] = to_byte(((row[i] + (1 << 17)) >> 18) + 128);
  }
}

// Between two samples, pixels lie a quarter and three quarters of the way, and take a quarter of the farther
// sample; beyond the outermost is the outermost. Halves are rounded down and up in turn.
std::vector<uint8_t> upsample(const SamplePlane& plane, int64_t width, int64_t height) {
  std::vector<uint8_t> pixels(static_cast<size_t>(width * height));
  const bool smooth_rows = plane.across == 2 && plane.down <= 2 && plane.width > 2;
  const bool smooth_columns = plane.down == 2 && (smooth_rows || plane.across == 1);
  const auto clamped = [](int64_t i, int64_t size) { return std::clamp<int64_t>(i, 0, size - 1); };
  for (int64_t y = 0; y < height; ++y) {
    const int64_t row = clamped(y / plane.down, plane.height);
    const int64_t far_row = smooth_columns ? clamped(y % 2 ? row + 1 : row - 1, plane.height) : row;
    const uint8_t *near = plane.samples + row * plane.stride, *far = plane.samples + far_row * plane.stride;
    uint8_t* to = pixels.data() + y * width;
    // In quarters.
    const auto blended = [&](int64_t x) { return 3 * near[x] + far[x]; };
    for (int64_t x = 0; x < width; ++x) {
      const int64_t column = clamped(x / plane.across, plane.width);
      if (smooth_rows) {
        const int64_t other = clamped(x % 2 ? column + 1 : column - 1, plane.width);
        if (smooth_columns) {
          to[x] = static_cast<uint8_t>((3 * blended(column) + blended(other) + (x % 2 ? 7 : 8)) >> 4);
        } else {
          to[x] = static_cast<uint8_t>((3 * near[column] + near[other] + (x % 2 ? 2 : 1)) >> 2);
        }
      } else if (smooth_columns) {
        to[x] = static_cast<uint8_t>((blended(column) + (y % 2 ? 2 : 1)) >> 2);
      } else {
        to[x] = near[column];
      }
    }
  }
  return pixels;
}

// ITU-T T.871 (JFIF), section 7, in 16-bit fixed point: 1.402, 0.344136, 0.714136, 1.772.
void to_rgb(uint8_t luma, uint8_t blue, uint8_t red, uint8_t* rgb) {
  const int cb = blue - 128, cr = red - 128;
  constexpr int kHalf = 1 << 15;
  rgb[0] = to_byte(luma + ((91881 * cr + kHalf) >> 16));
  rgb[1] = to_byte(luma + ((-22554 * cb - 46802 * cr + kHalf) >> 16));
  rgb[2] = to_byte(luma + ((116130 * cb + kHalf) >> 16));
}

}  // namespace plica
