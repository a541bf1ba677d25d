// A few rows (at most kMostRows) by a matrix of constants that is read as the model stores it, without
// packing: such a product takes as long as memory takes to deliver the matrix.
#pragma once

#include "runtime/kernels/kernel.h"

namespace plica {

struct GemvShape {
  static constexpr int64_t kMostRows = 4;
  int64_t rows = 1, terms = 0, columns = 0;
  bool transposed = false;  // the matrix is [columns, terms], else [terms, columns]
};

class GemvKernel : public Kernel {
 public:
  // Operands, all row-major: a [rows, terms], the matrix, [bias of columns], y [rows, columns].
  GemvKernel(const GemvShape& shape, bool has_bias, int threads)
      : shape_(shape), has_bias_(has_bias), threads_(threads) {}
  void run(const Arguments& arguments) const override;

 private:
  GemvShape shape_;
  bool has_bias_;
  int threads_;
};

}  // namespace plica
