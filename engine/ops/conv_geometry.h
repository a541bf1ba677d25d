// The geometry of sliding windows: the one place for ONNX's rules on kernel_shape, strides, dilations, pads,
// auto_pad, ceil_mode, output_padding and output_shape of Conv, ConvTranspose and the pools.
//
// All functions validate the attributes against the spatial rank and throw Error(invalid_model); arithmetic
// on dims is checked. They are pure: safe from many threads.
#pragma once

#include <vector>

#include "engine/core/shape.h"
#include "engine/ops/attribute_reader.h"

namespace plica {

// One entry a spatial axis in each list.
struct WindowGeometry {
  Dims kernel, strides, dilations;
  // Padding of the input (of Conv and pools), or what is cut off the full result (of ConvTranspose). What
  // auto_pad says is resolved here, so consumers never look at it. Never negative. Pools with ceil_mode: a
  // last window may reach beyond pads_end. ConvTranspose: output elements may lie beyond the full result
  // minus pads_end (output_padding, output_shape); they get no contribution but the bias.
  Dims pads_begin, pads_end;
  Dims output;  // spatial dims of the result

  size_t rank() const { return kernel.size(); }
  // How much of the input a window spans on an axis: (kernel - 1) * dilation + 1.
  int64_t extent(size_t axis) const { return (kernel[axis] - 1) * dilations[axis] + 1; }
};

// For concrete dims. `spatial`: the input's dims from the third on; `kernel`: the weight's.
WindowGeometry conv_geometry(const AttributeReader& attributes, const Dims& spatial, const Dims& kernel);
WindowGeometry conv_transpose_geometry(const AttributeReader& attributes, const Dims& spatial,
                                       const Dims& kernel);
// MaxPool, AveragePool and LpPool; the kernel is their attribute kernel_shape. Attributes that a version of
// the operator does not have (ceil_mode, dilations) have no effect.
WindowGeometry pool_geometry(const AttributeReader& attributes, const Dims& spatial);

// The output's spatial dims as far as they follow from partly known ones: a dim that the window leaves as it
// is keeps its symbol. Validates what it can.
std::vector<Dim> conv_output_dims(const AttributeReader& attributes, const std::vector<Dim>& spatial,
                                  const std::vector<Dim>& kernel);
std::vector<Dim> conv_transpose_output_dims(const AttributeReader& attributes,
                                            const std::vector<Dim>& spatial, const std::vector<Dim>& kernel);
std::vector<Dim> pool_output_dims(const AttributeReader& attributes, const std::vector<Dim>& spatial);

}  // namespace plica
