// Reductions along rows, and normalization by them, on row-major float32.
#pragma once

#include "runtime/kernels/kernel.h"

namespace plica {

// y = (x - mean) / sqrt(variance + epsilon) * scale + shift by row (ONNX operator LayerNormalization), or
// x / sqrt(mean of squares + epsilon) * scale + shift (RMSNormalization).
class LayerNormKernel : public Kernel {  // operands: x, [scale], [shift], y; y may be x
 public:
  struct Options {
    int64_t rows, row;
    float epsilon;
    bool centered, has_scale, has_shift;
  };
  explicit LayerNormKernel(const Options& options) : options_(options) {}
  void run(const Arguments& arguments) const override;

 private:
  Options options_;
};

// y = x - max - log(sum(exp(x - max))) by row.
class LogSoftmaxKernel : public Kernel {  // operands: x, y; y may be x
 public:
  LogSoftmaxKernel(int64_t rows, int64_t row) : rows_(rows), row_(row) {}
  void run(const Arguments& arguments) const override;

 private:
  int64_t rows_, row_;
};

class RowMeanKernel : public Kernel {  // operands: x, y
 public:
  RowMeanKernel(int64_t rows, int64_t row) : rows_(rows), row_(row) {}
  void run(const Arguments& arguments) const override;

 private:
  int64_t rows_, row_;
};

}  // namespace plica
