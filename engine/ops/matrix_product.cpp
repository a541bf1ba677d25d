#include "engine/ops/matrix_product.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "engine/core/checked.h"
#include "engine/core/parallel.h"

namespace plica {
namespace {

// The micro-kernel computes kRows x kColumns<T> of C in registers: four rows of two vectors.
constexpr int64_t kRows = 4;
constexpr int64_t kVectorBytes = 16;
template <class T>
constexpr int64_t kLanes = kVectorBytes / static_cast<int64_t>(sizeof(T));
template <class T>
constexpr int64_t kColumns = 2 * kLanes<T>;

constexpr int64_t kBlockDepth = 256;    // of a packed block of B, which stays in the second-level cache
constexpr int64_t kBlockColumns = 256;  // a multiple of every kColumns

int64_t round_up(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

// A in panels of kRows rows, each panel k after k; the last panel padded with zeros.
template <class T>
std::vector<T> pack_rows(int64_t m, int64_t k, const MatrixView<T>& a) {
  std::vector<T> packed(static_cast<size_t>(checked_mul(round_up(m, kRows), k)));
  for (int64_t first = 0; first < m; first += kRows) {
    T* panel = packed.data() + first * k;
    for (int64_t i = 0; i < std::min(kRows, m - first); ++i) {
      const T* row = a.data + (first + i) * a.row_stride;
      for (int64_t p = 0; p < k; ++p) panel[p * kRows + i] = row[p * a.column_stride];
    }
  }
  return packed;
}

// Rows [k0, k0 + depth), columns [n0, n0 + count) of B in strips of kColumns, the last one padded with zeros.
template <class T>
void pack_columns(const LoadRow<T>& b, int64_t k0, int64_t depth, int64_t n0, int64_t count, T* packed) {
  T row[kBlockColumns];
  const int64_t padded = round_up(count, kColumns<T>);
  std::fill(row + count, row + padded, T(0));
  for (int64_t p = 0; p < depth; ++p) {
    b(k0 + p, n0, count, row);
    for (int64_t j = 0; j < padded; j += kColumns<T>) {
      std::memcpy(packed + j * depth + p * kColumns<T>, row + j, sizeof(T) * kColumns<T>);
    }
  }
}

template <class T>
void multiply_tile(int64_t depth, const T* a, const T* b, T* c, int64_t ldc, int64_t rows, int64_t columns) {
  typedef T Vector __attribute__((vector_size(kVectorBytes)));
  Vector sum[kRows][2] = {};
  for (int64_t p = 0; p < depth; ++p) {
    Vector low, high;
    std::memcpy(&low, b, sizeof low);
    std::memcpy(&high, b + kLanes<T>, sizeof high);
    for (int64_t i = 0; i < kRows; ++i) {
      sum[i][0] += a[i] * low;
      sum[i][1] += a[i] * high;
    }
    a += kRows;
    b += kColumns<T>;
  }
  for (int64_t i = 0; i < rows; ++i) {
    T row[kColumns<T>];
    std::memcpy(row, sum[i], sizeof row);
    if (columns == kColumns<T>) {
      for (int64_t j = 0; j < kColumns<T>; ++j) c[i * ldc + j] += row[j];
    } else {
      for (int64_t j = 0; j < columns; ++j) c[i * ldc + j] += row[j];
    }
  }
}

}  // namespace

template <class T>
void add_product(int64_t m, int64_t n, int64_t k, MatrixView<T> a, const LoadRow<T>& b, T* c, int64_t ldc) {
  if (m == 0 || n == 0 || k == 0) return;
  const std::vector<T> packed_a = pack_rows(m, k, a);
  // Tasks are column blocks; when those are too few for the threads, rows are split too.
  const int64_t blocks = (n + kBlockColumns - 1) / kBlockColumns;
  const int64_t panels = (m + kRows - 1) / kRows;
  const int64_t parts = std::clamp<int64_t>(current_threads() / blocks, 1, std::max<int64_t>(panels / 16, 1));
  const int64_t work = std::min(n, kBlockColumns) * k * m / parts;
  parallel_for(blocks * parts, std::max<int64_t>(1, 65536 / std::max<int64_t>(work, 1)),
               [&](int64_t begin, int64_t end) {
                 std::vector<T> packed_b(static_cast<size_t>(std::min(k, kBlockDepth) * kBlockColumns));
                 for (int64_t task = begin; task < end; ++task) {
                   const int64_t n0 = task / parts * kBlockColumns;
                   const int64_t columns = std::min(kBlockColumns, n - n0);
                   const int64_t part = task % parts;
                   for (int64_t k0 = 0; k0 < k; k0 += kBlockDepth) {
                     const int64_t depth = std::min(kBlockDepth, k - k0);
                     pack_columns(b, k0, depth, n0, columns, packed_b.data());
                     for (int64_t panel = panels * part / parts; panel < panels * (part + 1) / parts;
                          ++panel) {
                       const int64_t i = panel * kRows;
                       const T* rows = packed_a.data() + i * k + k0 * kRows;
                       for (int64_t j = 0; j < columns; j += kColumns<T>) {
                         multiply_tile(depth, rows, packed_b.data() + j * depth, c + i * ldc + n0 + j, ldc,
                                       std::min(kRows, m - i), std::min(kColumns<T>, columns - j));
                       }
                     }
                   }
                 }
               });
}

template <class T>
void add_product(int64_t m, int64_t n, int64_t k, MatrixView<T> a, MatrixView<T> b, T* c, int64_t ldc) {
  add_product<T>(
      m, n, k, a,
      [&b](int64_t p, int64_t begin, int64_t count, T* out) {
        const T* from = b.data + p * b.row_stride + begin * b.column_stride;
        if (b.column_stride == 1) {
          std::copy_n(from, count, out);
        } else {
          for (int64_t j = 0; j < count; ++j) out[j] = from[j * b.column_stride];
        }
      },
      c, ldc);
}

template void add_product(int64_t, int64_t, int64_t, MatrixView<float>, const LoadRow<float>&, float*,
                          int64_t);
template void add_product(int64_t, int64_t, int64_t, MatrixView<double>, const LoadRow<double>&, double*,
                          int64_t);
template void add_product(int64_t, int64_t, int64_t, MatrixView<float>, MatrixView<float>, float*, int64_t);
template void add_product(int64_t, int64_t, int64_t, MatrixView<double>, MatrixView<double>, double*,
                          int64_t);
template void add_product(int64_t, int64_t, int64_t, MatrixView<uint32_t>, MatrixView<uint32_t>, uint32_t*,
                          int64_t);
template void add_product(int64_t, int64_t, int64_t, MatrixView<uint64_t>, MatrixView<uint64_t>, uint64_t*,
                          int64_t);

}  // namespace plica
