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

// y = exp(x - max) / sum(exp(x - max)) along the middle one of three axes, or its logarithm.
class SoftmaxKernel : public Kernel {  // operands: x, y; y may be x
 public:
  SoftmaxKernel(int64_t outer, int64_t length, int64_t inner, bool log)
      : outer_(outer), length_(length), inner_(inner), log_(log) {}
  void run(const Arguments& arguments) const override;

 private:
  int64_t outer_, length_, inner_;
  bool log_;
};

class RowMeanKernel : public Kernel {  // operands: x, y
 public:
  RowMeanKernel(int64_t rows, int64_t row) : rows_(rows), row_(row) {}
  void run(const Arguments& arguments) const override;

 private:
  int64_t rows_, row_;
};

}  // namespace plica
