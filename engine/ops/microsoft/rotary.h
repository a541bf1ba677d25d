// Rotary position embedding: pairs of a head's elements turned by angles that belong to a position.
#pragma once

#include <cstdint>

namespace plica {

// Turns the first 2 * pairs elements: element i with i + pairs, or (interleaved) 2i with 2i + 1, by the
// angles whose cosines and sines are given. In place where out is in.
inline void rotate(const float* in, float* out, const float* cosines, const float* sines, int64_t pairs,
                   bool interleaved) {
  const int64_t step = interleaved ? 2 : 1, other = interleaved ? 1 : pairs;
  for (int64_t i = 0; i < pairs; ++i) {
    const float x = in[i * step], y = in[i * step + other];
    out[i * step] = x * cosines[i] - y * sines[i];
    out[i * step + other] = x * sines[i] + y * cosines[i];
  }
}

}  // namespace plica
