#include "runtime/kernels/vector_math.h"

#include <cstdlib>
#include <string_view>

namespace plica::simd {

Isa best_isa() {
#if defined(__x86_64__)
  static const Isa isa = [] {
    __builtin_cpu_init();
    // The limit that oneDNN knows holds here too.
    const char* given = std::getenv("ONEDNN_MAX_CPU_ISA");
    const std::string_view limit = given ? given : "";
    if (limit == "SSE41" || limit == "AVX") return Isa::baseline;
    if (!limit.starts_with("AVX2") && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl")) {
      return Isa::avx512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Isa::avx2;
    return Isa::baseline;
  }();
  return isa;
#else
  return Isa::baseline;
#endif
}

}  // namespace plica::simd
