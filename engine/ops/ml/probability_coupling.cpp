#include "engine/ops/ml/probability_coupling.h"

#include <algorithm>
#include <cmath>

#include "engine/ops/ml/post_transform.h"

namespace plica::ml {

// Minimizes p' Q p over distributions p, where Q[i][i] = sum over j of r[j][i]^2 and Q[i][j] = -r[j][i]
// r[i][j]: Gauss- Seidel steps on Q p = (p' Q p) 1, each followed by a normalization that Q p and p' Q p go
// along with.
void couple_probabilities(std::span<const float> decisions, std::span<const float> a,
                          std::span<const float> b, std::span<float> out, std::vector<float>& scratch) {
  constexpr int kMostRounds = 100;
  constexpr float kLeast = 1e-7f;
  const size_t n = out.size();
  const float tolerance = 0.005f / static_cast<float>(n);
  scratch.assign(2 * n * n + n, 0);
  float *estimates = scratch.data(), *q = estimates + n * n, *product = q + n * n;
  for (size_t i = 0, pair = 0; i < n; ++i) {
    for (size_t j = i + 1; j < n; ++j, ++pair) {
      const float p = std::clamp(1 - logistic(a[pair] * decisions[pair] + b[pair]), kLeast, 1 - kLeast);
      estimates[i * n + j] = p;
      estimates[j * n + i] = 1 - p;
    }
  }
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < n; ++j) {
      if (i == j) continue;
      q[i * n + i] += estimates[j * n + i] * estimates[j * n + i];
      q[i * n + j] = -estimates[j * n + i] * estimates[i * n + j];
    }
  }
  std::ranges::fill(out, 1 / static_cast<float>(n));
  for (int round = 0; round < kMostRounds; ++round) {
    float value = 0;
    for (size_t i = 0; i < n; ++i) {
      product[i] = 0;
      for (size_t j = 0; j < n; ++j) product[i] += q[i * n + j] * out[j];
      value += out[i] * product[i];
    }
    float error = 0;
    for (size_t i = 0; i < n; ++i) error = std::max(error, std::abs(product[i] - value));
    if (error < tolerance) return;
    for (size_t i = 0; i < n; ++i) {
      const float step = (value - product[i]) / q[i * n + i];
      const float norm = 1 + step;
      out[i] += step;
      value = (value + step * (step * q[i * n + i] + 2 * product[i])) / norm / norm;
      for (size_t j = 0; j < n; ++j) {
        product[j] = (product[j] + step * q[i * n + j]) / norm;
        out[j] /= norm;
      }
    }
  }
}

}  // namespace plica::ml
