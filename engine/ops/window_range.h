// Which positions of a sliding window's axis lie inside the input, so that kernels loop without testing
// bounds.
#pragma once

#include <algorithm>
#include <cstdint>

namespace plica {

struct Range {
  int64_t begin, end;
};

// The i in [0, count) with 0 <= offset + i * step < size; step > 0. Empty ranges have begin == end.
inline Range inside(int64_t offset, int64_t step, int64_t size, int64_t count) {
  const int64_t begin = offset >= 0 ? 0 : (-offset - 1) / step + 1;
  const int64_t end = offset >= size ? 0 : std::min((size - 1 - offset) / step + 1, count);
  return begin < end ? Range{begin, end} : Range{0, 0};
}

}  // namespace plica
