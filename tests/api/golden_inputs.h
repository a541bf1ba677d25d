// Inputs that goldens name by their seed: tests/golden/README.md.
#pragma once

#include "plica/tensor.h"
#include "tools/values.h"

namespace plica {

// Lines of black marks on white.
inline Tensor text_input(const Dims& shape, uint64_t seed) {
  const int64_t n = shape[0], c = shape[1], h = shape[2], w = shape[3];
  const Tensor cells = tools::random_tensor(DataType::float32, {n, h / 4, w / 4}, seed);
  Tensor input(DataType::float32, shape);
  float* out = input.mutable_data<float>();
  for (int64_t i = 0; i < n * c * h * w; ++i) {
    const int64_t x = i % w, y = i / w % h, sample = i / (w * h * c);
    const bool marked = y % 32 >= 8 && y % 32 < 24 && (x / 4) % 4 != 3;
    out[i] = marked && cells.data<float>()[(sample * (h / 4) + y / 4) * (w / 4) + x / 4] > 0 ? -1.0f : 1.0f;
  }
  return input;
}

inline Tensor golden_input(bool is_text, const Dims& shape, uint64_t seed) {
  return is_text ? text_input(shape, seed) : tools::random_tensor(DataType::float32, shape, seed);
}

}  // namespace plica
