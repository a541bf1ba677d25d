// strides, pads and dilations of the operators with windows that have no auto_pad: Col2Im, DeformConv,
// MaxUnpool. (Conv and the pools: conv_geometry.h.)
#pragma once

#include "engine/core/shape.h"
#include "engine/ops/attribute_reader.h"

namespace plica {

// The attribute's numbers, `fallback` where it is absent or not defined. Throws invalid_model unless they are
// `count`, each at least `least`.
Dims window_list(const AttributeReader& attributes, std::string_view name, size_t count, int64_t least,
                 int64_t fallback);

struct SpatialWindow {
  Dims strides, dilations, pads_begin, pads_end;  // one entry a spatial axis

  SpatialWindow(const AttributeReader& attributes, size_t axes);

  // How many windows of `kernel` taps an axis has: (size + pads - extent) / stride + 1. Throws invalid_model
  // when there is none.
  int64_t count(size_t axis, int64_t size, int64_t kernel) const;
};

}  // namespace plica
