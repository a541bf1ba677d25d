#include "engine/ops/matrix_product.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "engine/core/checked.h"
#include "engine/core/parallel.h"
#include "engine/ops/instruction_set.h"

namespace plica {
namespace {

// The micro-kernel computes kRows x kColumns of C in registers, two vectors of each row.
template <class T, int kVectorBytes>
struct Tile {
  typedef T Vector __attribute__((vector_size(kVectorBytes)));
  static constexpr int64_t kLanes = kVectorBytes / static_cast<int64_t>(sizeof(T));
  static constexpr int64_t kRows = kVectorBytes == 64 ? 8 : 4;
  static constexpr int64_t kColumns = 2 * kLanes;
};

constexpr int64_t kBlockDepth = 256;    // of a packed block of B, which stays in the second-level cache
constexpr int64_t kBlockColumns = 256;  // at most; a multiple of every kColumns
constexpr int64_t kLeastColumns = 64;   // likewise

int64_t round_up(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

// A in panels of kRows rows, each panel k after k; the last panel padded with zeros.
template <class T, int64_t kRows>
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
template <class T, int64_t kColumns>
void pack_columns(const LoadRow<T>& b, int64_t k0, int64_t depth, int64_t n0, int64_t count, T* packed) {
  T row[kBlockColumns];
  const int64_t padded = round_up(count, kColumns);
  std::fill(row + count, row + padded, T(0));
  for (int64_t p = 0; p < depth; ++p) {
    b(k0 + p, n0, count, row);
    for (int64_t j = 0; j < padded; j += kColumns) {
      std::memcpy(packed + j * depth + p * kColumns, row + j, sizeof(T) * kColumns);
    }
  }
}

// The same from B that lies column by column, `stride` elements from one to the next.
template <class T, int64_t kColumns>
void pack_transposed(const T* b, int64_t stride, int64_t depth, int64_t count, T* packed) {
  constexpr int64_t kDepth = 16;  // of a piece whose lines stay in the first-level cache
  for (int64_t j = 0; j < count; j += kColumns, packed += kColumns * depth) {
    const int64_t columns = std::min(kColumns, count - j);
    for (int64_t p0 = 0; p0 < depth; p0 += kDepth) {
      const int64_t last = std::min(depth, p0 + kDepth);
      for (int64_t i = 0; i < kColumns; ++i) {
        const T* from = b + (j + i) * stride;
        for (int64_t p = p0; p < last; ++p) packed[p * kColumns + i] = i < columns ? from[p] : T(0);
      }
    }
  }
}

// `ldb`: from row to row of B.
template <class T, int kVectorBytes>
[[gnu::always_inline]] inline void multiply_tile(int64_t depth, const T* a, const T* b, int64_t ldb, T* c,
                                                 int64_t ldc, int64_t rows, int64_t columns) {
  using Sizes = Tile<T, kVectorBytes>;
  using Vector = typename Sizes::Vector;
  constexpr int64_t kRows = Sizes::kRows, kColumns = Sizes::kColumns;
  Vector sum[kRows][2] = {};
  for (int64_t p = 0; p < depth; ++p) {
    Vector low, high;
    std::memcpy(&low, b, sizeof low);
    std::memcpy(&high, b + Sizes::kLanes, sizeof high);
    for (int64_t i = 0; i < kRows; ++i) {
      sum[i][0] += a[i] * low;
      sum[i][1] += a[i] * high;
    }
    a += kRows;
    b += ldb;
  }
  for (int64_t i = 0; i < rows; ++i) {
    if (columns == kColumns) {
      Vector old[2];
      std::memcpy(old, c + i * ldc, sizeof old);
      old[0] += sum[i][0];
      old[1] += sum[i][1];
      std::memcpy(c + i * ldc, old, sizeof old);
    } else {
      T row[kColumns];
      std::memcpy(row, sum[i], sizeof row);
      for (int64_t j = 0; j < columns; ++j) c[i * ldc + j] += row[j];
    }
  }
}

template <class T>
struct Operands {
  int64_t m, n, k;
  MatrixView<T> a;
  const LoadRow<T>& b;
  const T *rows_of_b, *columns_of_b;  // where it lies row by row in memory, or column by column, else null
  int64_t ldb;                        // from one of them to the next
  T* c;
  int64_t ldc;
};

template <class T, int kVectorBytes>
[[gnu::always_inline]] inline void multiply_blocks(const Operands<T>& o, const T* packed_a, T* packed_b,
                                                   int64_t first_panel, int64_t last_panel, int64_t n0,
                                                   int64_t columns) {
  using Sizes = Tile<T, kVectorBytes>;
  constexpr int64_t kRows = Sizes::kRows, kColumns = Sizes::kColumns;
  // What is read only once or twice is not packed, but for the last strip, which may not be full.
  const bool in_place = o.rows_of_b && last_panel - first_panel <= 2;
  const int64_t unpacked = in_place ? columns / kColumns * kColumns : 0;
  for (int64_t k0 = 0; k0 < o.k; k0 += kBlockDepth) {
    const int64_t depth = std::min(kBlockDepth, o.k - k0);
    if (o.columns_of_b) {
      pack_transposed<T, kColumns>(o.columns_of_b + n0 * o.ldb + k0, o.ldb, depth, columns, packed_b);
    } else if (unpacked < columns) {
      pack_columns<T, kColumns>(o.b, k0, depth, n0 + unpacked, columns - unpacked, packed_b);
    }
    for (int64_t panel = first_panel; panel < last_panel; ++panel) {
      const int64_t i = panel * kRows;
      const T* rows = packed_a + i * o.k + k0 * kRows;
      for (int64_t j = 0; j < columns; j += kColumns) {
        const bool packed = j >= unpacked;
        const T* b = packed ? packed_b + (j - unpacked) * depth : o.rows_of_b + k0 * o.ldb + n0 + j;
        multiply_tile<T, kVectorBytes>(depth, rows, b, packed ? kColumns : o.ldb, o.c + i * o.ldc + n0 + j,
                                       o.ldc, std::min(kRows, o.m - i), std::min(kColumns, columns - j));
      }
    }
  }
}

template <class T, int kVectorBytes>
void multiply(const Operands<T>& o) {
  constexpr int64_t kRows = Tile<T, kVectorBytes>::kRows;
  const std::vector<T> packed_a = pack_rows<T, kRows>(o.m, o.k, o.a);
  // Tasks are column blocks; when those are too few for the threads, rows are split too. No sum depends on
  // it.
  const int64_t threads = current_threads();
  const int64_t width =
      std::clamp(round_up((o.n + threads - 1) / threads, kLeastColumns), kLeastColumns, kBlockColumns);
  const int64_t blocks = (o.n + width - 1) / width;
  const int64_t panels = (o.m + kRows - 1) / kRows;
  const int64_t parts = std::clamp<int64_t>(threads / blocks, 1, std::max<int64_t>(panels / 16, 1));
  const int64_t work = std::min(o.n, width) * o.k * o.m / parts;
  parallel_for(
      blocks * parts, std::max<int64_t>(1, 65536 / std::max<int64_t>(work, 1)),
      [&](int64_t begin, int64_t end) {
        std::vector<T> packed_b(static_cast<size_t>(std::min(o.k, kBlockDepth) * width));
        for (int64_t task = begin; task < end; ++task) {
          const int64_t n0 = task / parts * width, part = task % parts;
          for_best_instruction_set([&]<int kBytes>(VectorBytes<kBytes>) __attribute__((always_inline)) {
            // What parallel_for calls is compiled for the baseline: the choice is made again.
            if constexpr (kBytes == kVectorBytes)
              multiply_blocks<T, kBytes>(o, packed_a.data(), packed_b.data(), panels * part / parts,
                                         panels * (part + 1) / parts, n0, std::min(width, o.n - n0));
          });
        }
      });
}

template <class T>
void multiply(const Operands<T>& o) {
  if (o.m == 0 || o.n == 0 || o.k == 0) return;
  for_best_instruction_set([&]<int kBytes>(VectorBytes<kBytes>)
                               __attribute__((always_inline)) { multiply<T, kBytes>(o); });
}

}  // namespace

template <class T>
void add_product(int64_t m, int64_t n, int64_t k, MatrixView<T> a, const LoadRow<T>& b, T* c, int64_t ldc) {
  multiply<T>({m, n, k, a, b, nullptr, nullptr, 0, c, ldc});
}

template <class T>
void add_product(int64_t m, int64_t n, int64_t k, MatrixView<T> a, MatrixView<T> b, T* c, int64_t ldc) {
  const LoadRow<T> load = [&b](int64_t p, int64_t begin, int64_t count, T* out) {
    const T* from = b.data + p * b.row_stride + begin * b.column_stride;
    if (b.column_stride == 1) {
      std::copy_n(from, count, out);
    } else {
      for (int64_t j = 0; j < count; ++j) out[j] = from[j * b.column_stride];
    }
  };
  const bool by_rows = b.column_stride == 1, by_columns = !by_rows && b.row_stride == 1;
  multiply<T>({m, n, k, a, load, by_rows ? b.data : nullptr, by_columns ? b.data : nullptr,
               by_rows ? b.row_stride : b.column_stride, c, ldc});
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
