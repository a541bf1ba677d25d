#include "runtime/peak.h"

#include <algorithm>
#include <chrono>

#include "engine/core/parallel.h"
#include "engine/ops/instruction_set.h"
#include "runtime/kernels/vector_math.h"

namespace plica {
namespace {

constexpr int kSums = 12;  // more than latency times units (4 to 5 cycles, 2 units)
constexpr int kIterations = 100000;
constexpr int kRepetitions = 20;

// Returns the number of floats in a vector. `sink` gets a result, so that there is one.
int multiply_add(float* sink) {
  int lanes = 0;
  for_best_instruction_set([&]<int kBytes>(VectorBytes<kBytes>) __attribute__((always_inline)) {
    using Vec = typename simd::Vectors<kBytes>::Vec;
    lanes = kBytes / 4;
    const Vec factor = Vec{} + 0.999f, addend = Vec{} + 0.5f;
    Vec sums[kSums];  // in registers, when every loop over them is unrolled
#pragma GCC unroll 12
    for (int k = 0; k < kSums; ++k)
      sums[k] = addend + static_cast<float>(k);  // different, or they are one sum
    for (int i = 0; i < kIterations; ++i) {
#pragma GCC unroll 12
      for (int k = 0; k < kSums; ++k) sums[k] = sums[k] * factor + addend;
    }
    Vec total = sums[0];
#pragma GCC unroll 12
    for (int k = 1; k < kSums; ++k) total += sums[k];
    *sink = total[0];
  });
  return lanes;
}

}  // namespace

double measure_peak_of(int threads) {
  using Clock = std::chrono::steady_clock;
  const ThreadScope scope(threads);
  double best = 0;
  for (int i = 0; i < kRepetitions; ++i) {
    int lanes = 0;
    const auto start = Clock::now();
    parallel_for(threads, 1, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        float sink = 0;
        const int width = multiply_add(&sink);
        if (t == 0) lanes = width;
      }
    });
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::max(best, 2.0 * kSums * kIterations * lanes * threads / seconds * 1e-9);
  }
  return best;
}

}  // namespace plica
