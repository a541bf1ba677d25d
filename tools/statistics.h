// Statistics of measured times.
#pragma once

#include <vector>

namespace plica::tools {

// Of sorted numbers; 0 of none.
inline double median_of(const std::vector<double>& sorted) {
  const size_t n = sorted.size();
  if (n == 0) return 0;
  return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

}  // namespace plica::tools
