#include "engine/ops/dot_product.h"

#include <algorithm>
#include <cstring>

#include "engine/core/parallel.h"
#include "engine/ops/instruction_set.h"
#include "engine/ops/matrix_product.h"

namespace plica {
namespace {

template <class T>
struct Operands {
  int64_t k;
  const T* a;
  int64_t lda;
  const T* b;
  int64_t ldb;
  T* c;
  int64_t ldc;
};

// By halves, which stay in registers.
template <class T, int kBytes>
[[gnu::always_inline]] inline T sum_lanes(const void* vector) {
  if constexpr (kBytes == 2 * sizeof(T)) {
    T lanes[2];
    std::memcpy(lanes, vector, sizeof lanes);
    return lanes[0] + lanes[1];
  } else {
    typedef T Half __attribute__((vector_size(kBytes / 2)));
    Half low, high;
    std::memcpy(&low, vector, sizeof low);
    std::memcpy(&high, static_cast<const char*>(vector) + sizeof low, sizeof high);
    const Half sum = low + high;
    return sum_lanes<T, kBytes / 2>(&sum);
  }
}

// kRows x kColumns elements of C from (i, j), their sums in registers.
template <class T, int kBytes, int kRows, int kColumns>
[[gnu::always_inline]] inline void add_tile(const Operands<T>& o, int64_t i, int64_t j) {
  typedef T Vector __attribute__((vector_size(kBytes)));
  constexpr int64_t kLanes = kBytes / static_cast<int64_t>(sizeof(T));
  const T* a = o.a + i * o.lda;
  const T* b = o.b + j * o.ldb;
  Vector sum[kRows][kColumns] = {};
  int64_t p = 0;
  for (; p + kLanes <= o.k; p += kLanes) {
    Vector y[kColumns];
    for (int64_t s = 0; s < kColumns; ++s) std::memcpy(&y[s], b + s * o.ldb + p, sizeof(Vector));
    for (int64_t r = 0; r < kRows; ++r) {
      Vector x;
      std::memcpy(&x, a + r * o.lda + p, sizeof(Vector));
      for (int64_t s = 0; s < kColumns; ++s) sum[r][s] += x * y[s];
    }
  }
  for (int64_t r = 0; r < kRows; ++r) {
    for (int64_t s = 0; s < kColumns; ++s) {
      T total = sum_lanes<T, kBytes>(&sum[r][s]);
      for (int64_t q = p; q < o.k; ++q) total += a[r * o.lda + q] * b[s * o.ldb + q];
      o.c[(i + r) * o.ldc + j + s] += total;
    }
  }
}

template <class T, int kBytes, int kRows, int kColumns>
[[gnu::always_inline]] inline void add_rows(const Operands<T>& o, int64_t i, int64_t begin, int64_t end) {
  int64_t j = begin;
  for (; j + kColumns <= end; j += kColumns) add_tile<T, kBytes, kRows, kColumns>(o, i, j);
  for (; j < end; ++j) add_tile<T, kBytes, kRows, 1>(o, i, j);
}

template <class T>
void add_columns(const Operands<T>& o, int64_t m, int64_t begin, int64_t end) {
  for_best_instruction_set([&]<int kBytes>(VectorBytes<kBytes>) __attribute__((always_inline)) {
    constexpr int kWide = kBytes == 64 ? 4 : 2;
    int64_t i = 0;
    // Blocks of columns, so that their rows of B stay in the cache while all rows of A pass.
    if (m >= 4) {
      const int64_t block = std::max<int64_t>(
          kWide, 16384 / static_cast<int64_t>(sizeof(T)) / std::max<int64_t>(o.k, 1) / 4 * 4);
      for (int64_t j = begin; j < end; j += block) {
        for (i = 0; i + 4 <= m; i += 4) add_rows<T, kBytes, 4, kWide>(o, i, j, std::min(end, j + block));
      }
    }
    for (; i < m; ++i) add_rows<T, kBytes, 1, 8>(o, i, begin, end);
  });
}

}  // namespace

template <class T>
void add_dot_products(int64_t m, int64_t n, int64_t k, const T* a, int64_t lda, const T* b, int64_t ldb, T* c,
                      int64_t ldc) {
  if (m == 0 || n == 0 || k == 0) return;
  // Adding up the lanes of each sum takes as long as packing eight elements of B.
  if (8 * m > k) return add_product<T>(m, n, k, {a, lda, 1}, MatrixView<T>{b, 1, ldb}, c, ldc);
  const Operands<T> operands{k, a, lda, b, ldb, c, ldc};
  constexpr int64_t kGroup = 8;
  constexpr double kGrain = 131072;  // multiplications worth waking a thread for
  const int64_t groups = (n + kGroup - 1) / kGroup;
  const double work = static_cast<double>(kGroup) * static_cast<double>(m) * static_cast<double>(k);
  parallel_for(groups, std::max<int64_t>(1, static_cast<int64_t>(kGrain / work)),
               [&](int64_t begin, int64_t end) {
                 add_columns(operands, m, begin * kGroup, std::min(n, end * kGroup));
               });
}

template void add_dot_products(int64_t, int64_t, int64_t, const float*, int64_t, const float*, int64_t,
                               float*, int64_t);
template void add_dot_products(int64_t, int64_t, int64_t, const double*, int64_t, const double*, int64_t,
                               double*, int64_t);

}  // namespace plica
