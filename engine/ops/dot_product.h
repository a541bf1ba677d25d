// Products of matrices that both lie row by row along the summed dimension: C += A * B', every element a dot
// product of contiguous rows. Nothing is packed where a few rows of A meet a matrix that is read once; many
// short rows are left to add_product.
#pragma once

#include <cstdint>

namespace plica {

// C[i][j] += sum over p of A[i][p] * B[j][p], for i < m, j < n, p < k; lda, ldb and ldc are the elements from
// row to row. float and double. Parallel unless called from within a parallel region.
template <class T>
void add_dot_products(int64_t m, int64_t n, int64_t k, const T* a, int64_t lda, const T* b, int64_t ldb, T* c,
                      int64_t ldc);

}  // namespace plica
