// How QuantizeLinear and DequantizeLinear apply their scales:
// https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html
#pragma once

#include <cstdint>

#include "engine/core/shape.h"
#include "engine/ops/attribute_reader.h"

namespace plica {

// Which scale holds for an element, with x seen as [outer, length, inner] around `axis`: one for all
// (granularity tensor), one for each position of the axis, or one for each block of positions (and each outer
// and inner one).
struct QuantizationLayout {
  enum class Granularity { tensor, axis, block };

  Granularity granularity = Granularity::tensor;
  int axis = 0;
  int64_t outer = 1, length = 1, inner = 1;
  int64_t block = 1;

  int64_t scale_index(int64_t o, int64_t position, int64_t i) const {
    switch (granularity) {
      case Granularity::tensor:
        return 0;
      case Granularity::axis:
        return position;
      case Granularity::block:
        return (o * ((length + block - 1) / block) + position / block) * inner + i;
    }
    return 0;
  }
};

// Throws invalid_model when the scale's shape is none of the three.
QuantizationLayout quantization_layout(const AttributeReader& attributes, const Dims& x, const Dims& scale);

}  // namespace plica
