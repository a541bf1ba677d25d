// vectorized(body): body(), compiled for AVX2 as well and run so where the CPU has it: for loops that the
// compiler makes vector code of. Without fused multiply-add, so that results are the same on every CPU.
#pragma once

namespace plica {

#if defined(__x86_64__)
namespace detail {
inline bool has_avx2() {
  static const bool has = [] {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") != 0;
  }();
  return has;
}
// Flattened: what the loops call is compiled with them, as far as it is inline.
template <class Body>
[[gnu::target("avx2"), gnu::flatten]] void with_avx2(const Body& body) {
  body();
}
}  // namespace detail
#endif

template <class Body>
void vectorized(const Body& body) {
#if defined(__x86_64__)
  if (detail::has_avx2()) return detail::with_avx2(body);
#endif
  body();
}

}  // namespace plica
