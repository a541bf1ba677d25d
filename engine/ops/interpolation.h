// Interpolation along the axes of a tensor, as Resize and Upsample need it: where each output position falls
// in the input, which input elements it takes with which weights, and the passes that apply this. Axes are
// independent of each other. Everything here is a pure function.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/core/tensor.h"

namespace plica {

enum class Coordinates {
  half_pixel,
  half_pixel_symmetric,
  pytorch_half_pixel,
  align_corners,
  asymmetric,
  tf_half_pixel_for_nn,
  tf_crop_and_resize,
};

enum class Nearest {
  round_prefer_floor,
  round_prefer_ceil,
  floor,
  ceil,
  simple,  // of opset 10: floor, but ceil when there are fewer outputs than inputs
};

struct AxisGeometry {
  int64_t input = 0, output = 0;
  double scale = 1;           // output size to input size, as given or by the sizes
  double length = 0;          // scale * input, possibly fractional; just output when that was given
  double start = 0, end = 1;  // the region of interest, for tf_crop_and_resize
};

struct InterpolationRule {
  enum class Mode { nearest, linear, cubic } mode = Mode::nearest;
  Coordinates coordinates = Coordinates::half_pixel;
  Nearest nearest = Nearest::round_prefer_floor;
  float cubic_coefficient = -0.75f;
  bool exclude_outside = false, antialias = false;
};

// For each output position of an axis: `taps` input positions with their weights, and whether it lies outside
// the input where extrapolation is wanted.
struct AxisTable {
  int64_t taps = 1;
  std::vector<int64_t> index;  // [output, taps], within the input
  std::vector<double> weight;  // the same
  std::vector<bool> outside;   // [output]; empty when none is

  int64_t outputs() const { return static_cast<int64_t>(index.size()) / taps; }
  bool is_identity(int64_t input) const;
};

AxisTable make_axis_table(const AxisGeometry& axis, const InterpolationRule& rule);

// Takes the first tap of every axis, whatever the element type; `outside` elements become `extrapolation`
// (one element of the type). Not for packed types.
void gather_nearest(const Tensor& in, const std::vector<AxisTable>& axes, const Tensor& extrapolation,
                    Tensor& out);

// The weighted sums, one pass an axis. float32 or float64.
void interpolate(const Tensor& in, const std::vector<AxisTable>& axes, double extrapolation, Tensor& out);

}  // namespace plica
