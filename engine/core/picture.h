// Encoded pictures to pixels: JPEG, PNG, BMP and binary PGM and PPM, by stb_image.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace plica {

struct Picture {
  int64_t width = 0, height = 0;
  int channels = 0;             // 1: grey, 3: red, green, blue
  std::vector<uint8_t> pixels;  // [height, width, channels]
};

// Nothing when the bytes are no picture, or a broken one. Throws unsupported for the formats of ImageDecoder
// that are not decoded here (JPEG 2000, TIFF, WebP, PBM and the PNM formats in text), limit for a picture
// of more than 128 megapixels. Safe from many threads.
std::optional<Picture> decode_picture(std::span<const uint8_t> bytes);

}  // namespace plica
