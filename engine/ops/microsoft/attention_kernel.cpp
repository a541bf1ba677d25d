#include "engine/ops/microsoft/attention_kernel.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "engine/core/checked.h"
#include "engine/core/parallel.h"
#include "engine/ops/matrix_product.h"

namespace plica {
namespace {

constexpr int64_t kStrip = 64;  // queries whose scores exist at a time

// A row of a tensor that broadcasts to [batch, heads, queries, keys].
struct AddedRow {
  const float* data = nullptr;
  int64_t step = 0;

  AddedRow(const Tensor* t, int64_t b, int64_t n, int64_t s) {
    if (!t) return;
    const auto at = [&](int axis, int64_t i) { return t->dim(axis) == 1 ? 0 : i; };
    data = t->data<float>() + ((at(0, b) * t->dim(1) + at(1, n)) * t->dim(2) + at(2, s)) * t->dim(3);
    step = t->dim(3) == 1 ? 0 : 1;
  }
  void add_to(float* row, int64_t count) const {
    for (int64_t i = 0; data && i < count; ++i) row[i] += data[i * step];
  }
};

// exp(x - max) / sum for the elements that are seen.
void softmax_row(float* row, Visible seen, const float* sink) {
  if (seen.begin == seen.end) return;
  float largest = sink ? *sink : -std::numeric_limits<float>::infinity();
  for (int64_t i = seen.begin; i < seen.end; ++i) largest = std::max(largest, row[i]);
  double sum = sink ? std::exp(*sink - largest) : 0;
  for (int64_t i = seen.begin; i < seen.end; ++i) {
    row[i] = std::exp(row[i] - largest);
    sum += row[i];
  }
  const float factor = static_cast<float>(1 / sum);
  for (int64_t i = seen.begin; i < seen.end; ++i) row[i] *= factor;
}

Visible visible_to(const AttentionProblem& p, int64_t b, int64_t s) {
  if (!p.visible) return {0, p.keys};
  Visible seen = p.visible(b, s);
  seen.begin = std::clamp<int64_t>(seen.begin, 0, p.keys);
  seen.end = std::clamp(seen.end, seen.begin, p.keys);
  return seen;
}

// Queries [first, first + count) of one head.
void attend_strip(const AttentionProblem& p, int64_t b, int64_t n, int64_t first, int64_t count,
                  std::vector<float>& scores) {
  const int64_t kv = n / (p.heads / p.kv_heads);
  std::fill(scores.begin(), scores.end(), 0.0f);
  add_product<float>(count, p.keys, p.size, {p.q.of(b, n) + first * p.q.row, p.q.row, 1},
                     MatrixView<float>{p.k.of(b, kv), 1, p.k.row}, scores.data(), p.keys);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t s = first + i, offset = ((b * p.heads + n) * p.queries + s) * p.keys;
    float* row = scores.data() + i * p.keys;
    for (int64_t t = 0; t < p.keys; ++t) row[t] *= p.scale;
    if (p.softcap != 0) {
      for (int64_t t = 0; t < p.keys; ++t) row[t] = p.softcap * std::tanh(row[t] / p.softcap);
    }
    AddedRow(p.bias, b, n, s).add_to(row, p.keys);
    AddedRow(p.mask, b, n, s).add_to(row, p.keys);
    const Visible seen = visible_to(p, b, s);
    std::fill(row, row + seen.begin, 0.0f);
    std::fill(row + seen.end, row + p.keys, 0.0f);
    if (p.scores_before) std::copy_n(row, p.keys, p.scores_before + offset);
    softmax_row(row, seen, p.sinks ? p.sinks + n : nullptr);
    if (p.scores_after) std::copy_n(row, p.keys, p.scores_after + offset);
    std::fill_n(p.out.of(b, n) + s * p.out.row, p.value_size, 0.0f);
  }
  add_product<float>(count, p.value_size, p.keys, {scores.data(), p.keys, 1},
                     MatrixView<float>{p.v.of(b, kv), p.v.row, 1}, p.out.of(b, n) + first * p.out.row,
                     p.out.row);
}

}  // namespace

void copy_heads(int64_t batch, int64_t heads, int64_t rows, int64_t size, Heads<const float> from,
                Heads<float> to) {
  parallel_for(batch * heads, std::max<int64_t>(1, 16384 / std::max<int64_t>(rows * size, 1)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   const float* in = from.of(i / heads, i % heads);
                   float* out = to.of(i / heads, i % heads);
                   for (int64_t s = 0; s < rows; ++s) std::copy_n(in + s * from.row, size, out + s * to.row);
                 }
               });
}

void attend(const AttentionProblem& p) {
  const int64_t strips = (p.queries + kStrip - 1) / kStrip, longest = std::min(kStrip, p.queries);
  const auto elements = static_cast<size_t>(checked_mul(longest, p.keys));
  parallel_for(p.batch * p.heads * strips, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> scores(elements);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i % strips * kStrip, head = i / strips;
      attend_strip(p, head / p.heads, head % p.heads, first, std::min(kStrip, p.queries - first), scores);
    }
  });
}

}  // namespace plica
