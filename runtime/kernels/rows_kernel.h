// Reductions along rows, and normalization by them, on row-major float32.
#pragma once

#include "runtime/kernels/kernel.h"

namespace plica {

// y = (x - mean) / sqrt(variance + epsilon) * scale + shift by row (ONNX operator LayerNormalization).
class LayerNormKernel : public Kernel {  // operands: x, [scale], [shift], y; y may be x
 public:
  LayerNormKernel(int64_t rows, int64_t row, float epsilon, bool has_scale, bool has_shift)
      : rows_(rows), row_(row), epsilon_(epsilon), has_scale_(has_scale), has_shift_(has_shift) {}
  void run(const Arguments& arguments) const override;

 private:
  int64_t rows_, row_;
  float epsilon_;
  bool has_scale_, has_shift_;
};

class RowMeanKernel : public Kernel {  // operands: x, y
 public:
  RowMeanKernel(int64_t rows, int64_t row) : rows_(rows), row_(row) {}
  void run(const Arguments& arguments) const override;

 private:
  int64_t rows_, row_;
};

}  // namespace plica
