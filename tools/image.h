// Pictures as input: decoded, resized, and made into the tensor that a model takes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "plica/model.h"
#include "plica/tensor.h"

namespace plica::tools {

// 8 bits a channel, row by row, channels together; 1 (grey) or 3 (RGB) channels.
struct Image {
  int width = 0, height = 0, channels = 0;
  std::vector<uint8_t> pixels;
};

// By the first bytes of PNG, JPEG or BMP.
bool looks_like_image(std::span<const std::byte> bytes);
// What decode_picture (engine/core/picture.h) reads. Transparency is dropped, 16 bits become 8, and EXIF orientation is
// not applied. Throws Error(invalid_argument) for what is no readable picture, and what decode_picture throws.
Image decode_image(std::span<const std::byte> bytes);

// RGB to grey: 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601); grey to RGB: three equal channels.
Image with_channels(const Image& image, int channels);

// Bilinear, with a filter as wide as the reduction when it gets smaller (what Pillow's resize with BILINEAR
// does), rounded to bytes.
Image resize(const Image& image, int width, int height);

enum class Layout { nchw, nhwc };

struct Preprocessing {
  std::vector<double> mean = {0};   // one, or one a channel, in units of bytes
  std::vector<double> scale = {1};  // value = (byte - mean) * scale
};

// Where a picture goes in a shape of rank 3 (no batch) or 4.
struct ImageShape {
  Layout layout = Layout::nchw;
  int64_t channels = 0;
  std::optional<int64_t> height, width;
};
// By the sizes of 1 or 3 on either side, NCHW when both fit; nullopt when the shape is none of a picture.
std::optional<ImageShape> image_shape(const Shape& shape, std::optional<Layout> layout);

// The tensor, of rank `rank`, element type float32, float16, float64, uint8 or int8. Throws
// Error(invalid_argument).
Tensor image_tensor(const Image& image, DataType type, int rank, Layout layout,
                    const Preprocessing& preprocessing);

}  // namespace plica::tools
