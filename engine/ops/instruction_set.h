// Runs a kernel compiled for the best instruction set of this CPU.
#pragma once

#include <type_traits>

namespace plica {

template <int kBytes>
using VectorBytes = std::integral_constant<int, kBytes>;

namespace detail {
#if defined(__x86_64__)
template <class F>
[[gnu::target("avx512f,avx512dq,avx512bw,avx512vl,fma,avx2")]] void run_avx512(const F& f) {
  f(VectorBytes<64>{});
}
template <class F>
[[gnu::target("fma,avx2")]] void run_avx2(const F& f) {
  f(VectorBytes<32>{});
}
#endif
}  // namespace detail

// Calls f(VectorBytes<n>{}), n being the size of a vector register. What is to profit from it must be
// inlined: f is a lambda with __attribute__((always_inline)), and so is every function in its inner loops.
template <class F>
void for_best_instruction_set(const F& f) {
#if defined(__x86_64__)
  static const int bytes = [] {
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
      return 64;
    }
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? 32 : 16;
  }();
  if (bytes == 64) return detail::run_avx512(f);
  if (bytes == 32) return detail::run_avx2(f);
#endif
  f(VectorBytes<16>{});
}

}  // namespace plica
