// The inner product of our kernels for 1x1 convolutions and matrix products: some pixels (or rows) by a unit
// of output channels (or columns), summed in registers.
#pragma once

#include "engine/core/tensor.h"

namespace plica {

// Output channels are divided into units that are summed together. The packed weights are
// [unit][term][channel of the unit]; the last unit is as wide as it needs.
struct Units {
  int64_t width;     // channels of a unit
  int64_t channels;  // of all
  int64_t lanes;     // of a vector

  // For inputs in blocks of 8 or 16.
  Units(int64_t channels, int64_t block);
  int64_t count() const { return (channels + width - 1) / width; }
  // Floats that the packed weights have for each term of the unit that begins at `channel`.
  int64_t packed_width(int64_t channel) const;
};

// Of weights [channels, terms], or with `terms_first` [terms, channels].
size_t packed_units_bytes(int64_t terms, const Units& units);
Tensor pack_units(const Tensor& weights, int64_t terms, bool terms_first, const Units& units);

// y = min(max(bias + sums + add, low), high) of `pixels` by the channels of a unit.
struct UnitProduct {
  const float* x;  // [terms / block][plane / block][block], of the first pixel
  int64_t terms, block, plane;
  const float* weights;  // of the unit
  int64_t width;         // its packed width
  const float* next;     // the weights that are used next
  const float* bias;     // of the unit, or null
  const float* add;      // as y, or null
  float* y;              // of the first pixel, the unit's first channel
  int64_t pixels;
  int64_t row;       // floats from pixel to pixel of y in rows; 0: y lies in blocks as x does
  int64_t channels;  // of the unit; in rows no more are written
  float low, high;
};
void multiply_unit(const UnitProduct& product);

}  // namespace plica
