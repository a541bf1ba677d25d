// Rows by a matrix of constants, [rows, terms] x [terms, columns], all row-major but the packed constants.
//
// A block of rows is copied into the layout blocked by terms, where it stays in the second-level cache while
// all columns pass over it, a unit of them at a time (unit_product.h).
#pragma once

#include <vector>

#include "runtime/kernels/kernel_chain.h"

namespace plica {

struct RowsProductShape {
  int64_t rows = 0, terms = 0, columns = 0;
  bool transposed = false;  // the constants are [columns, terms], else [terms, columns]
};

size_t rows_product_weights_bytes(const RowsProductShape& shape);
Tensor rows_product_weights(const Tensor& weights, const RowsProductShape& shape);

class RowsProductKernel : public Kernel {
 public:
  // Operands: x, the packed constants, [bias of the columns], those of the links, y.
  RowsProductKernel(const RowsProductShape& shape, bool has_bias, std::vector<KernelLink> chain, int threads);

  size_t scratch_bytes() const override;
  void run(const Arguments& arguments) const override;

 private:
  int64_t thread_floats() const;  // of scratch

  RowsProductShape shape_;
  bool has_bias_;
  KernelChain chain_;
  int threads_;
  int64_t row_block_;
};

}  // namespace plica
