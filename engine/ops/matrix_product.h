// A blocked, packed matrix product for the portable kernels of Conv, ConvTranspose, Gemm and MatMul, after
// Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008). Element types: float,
// double, and uint32_t and uint64_t (which serve the signed integers too: two's complement wraps alike).
// Parallel unless called from within a parallel region; safe from many threads.
#pragma once

#include <cstdint>
#include <functional>

namespace plica {

template <class T>
struct MatrixView {
  const T* data;
  int64_t row_stride, column_stride;  // in elements
};

// Writes row `k`, columns [begin, begin + count), of a matrix that need not exist in memory.
template <class T>
using LoadRow = std::function<void(int64_t k, int64_t begin, int64_t count, T* out)>;

// C += A * B, where A is m x k, B k x n, and C row-major with `ldc` elements from row to row.
template <class T>
void add_product(int64_t m, int64_t n, int64_t k, MatrixView<T> a, const LoadRow<T>& b, T* c, int64_t ldc);
template <class T>
void add_product(int64_t m, int64_t n, int64_t k, MatrixView<T> a, MatrixView<T> b, T* c, int64_t ldc);

}  // namespace plica
