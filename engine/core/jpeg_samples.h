// What makes a JPEG's pixels out of its coefficients: the inverse cosine transform, the upsampling of chroma,
// and the colours, each rounded as ONNX's ImageDecoder asks for (as libjpeg-turbo does by default). Pure
// functions.
#pragma once

#include <cstdint>
#include <vector>

namespace plica {

// 64 dequantized coefficients, row by row, to 8 x 8 samples.
void inverse_cosine_transform(uint8_t* out, int stride, const short* coefficients);

// One component's samples; there are 1 / across as many of them on a row as the picture has pixels, rounded
// up, and 1 / down as many rows.
struct SamplePlane {
  const uint8_t* samples;
  int64_t stride, width, height;
  int across, down;
};

// To the picture's size. Factors of 2 are interpolated, others repeat samples.
std::vector<uint8_t> upsample(const SamplePlane& plane, int64_t width, int64_t height);

// A pixel of Y, Cb, Cr to red, green, blue.
void to_rgb(uint8_t luma, uint8_t blue, uint8_t red, uint8_t* rgb);

}  // namespace plica
