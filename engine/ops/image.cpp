// ImageDecoder: https://onnx.ai/onnx/operators/onnx__ImageDecoder.html
#include <algorithm>

#include "engine/ops/evaluate.h"
#include "engine/core/picture.h"
#include "engine/ops/infer.h"
#include "engine/ops/table.h"

namespace plica {
namespace {

enum class PixelFormat { rgb, bgr, grayscale };

PixelFormat pixel_format(const AttributeReader& attributes) {
  const std::string name = attributes.s("pixel_format");
  if (name == "RGB") return PixelFormat::rgb;
  if (name == "BGR") return PixelFormat::bgr;
  require(name == "Grayscale", ErrorCode::invalid_model,
          "pixel_format is {}, it must be RGB, BGR or Grayscale", quoted(name));
  return PixelFormat::grayscale;
}

int64_t channels_of(PixelFormat format) { return format == PixelFormat::grayscale ? 1 : 3; }

void infer_image_decoder(InferContext& context) {
  const auto& in = context.input_shape(0);
  require(!in || in->rank() == 1, ErrorCode::invalid_model, "the encoded stream is of rank {}, it must be 1",
          in ? in->rank() : 0);
  context.set_output(0, DataType::uint8,
                     Shape{Dim(), Dim(), channels_of(pixel_format(context.attributes()))});
}

// ITU-R BT.601 luma in 16-bit fixed point, as Pillow's mode L has it.
uint8_t luma(const uint8_t* rgb) {
  return static_cast<uint8_t>((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 0x8000u) >> 16);
}

// [height, width, channels]; what cannot be decoded has no rows and no columns.
void evaluate_image_decoder(EvaluateContext& context) {
  const PixelFormat format = pixel_format(context.attributes());
  const int64_t channels = channels_of(format);
  const Picture picture = decode_picture(context.input(0).values<uint8_t>()).value_or(Picture{});
  Tensor& out = context.allocate(0, DataType::uint8, {picture.height, picture.width, channels});
  uint8_t* y = out.mutable_data<uint8_t>();
  const uint8_t* x = picture.pixels.data();
  for (int64_t i = 0; i < picture.height * picture.width; ++i, x += picture.channels, y += channels) {
    if (picture.channels == 1) {
      std::fill_n(y, channels, *x);
    } else if (format == PixelFormat::grayscale) {
      *y = luma(x);
    } else if (format == PixelFormat::rgb) {
      std::copy_n(x, 3, y);
    } else {
      std::reverse_copy(x, x + 3, y);
    }
  }
}

}  // namespace

std::span<const OpDef> image_ops() {
  static const std::vector<OpDef> ops{
      {.name = "ImageDecoder",
       .since = 20,
       .input_types = {TypeSet{DataType::uint8}},
       .attributes = {{"pixel_format", AttributeType::string, std::string_view("RGB")}},
       .infer = infer_image_decoder,
       .evaluate = evaluate_image_decoder}};
  return ops;
}

}  // namespace plica
