// Scaled dot-product attention on float32, head by head: the kernel of MultiHeadAttention, Attention and
// GroupQueryAttention. Scores exist only for a strip of queries at a time.
#pragma once

#include <cstdint>
#include <functional>

#include "engine/core/tensor.h"

namespace plica {

// Rows of heads in memory: element (b, n, s, i) is data[b * batch + n * head + s * row + i].
template <class T>
struct Heads {
  T* data;
  int64_t batch, head, row;

  T* of(int64_t b, int64_t n) const { return data + b * batch + n * head; }
};

// [batch, heads, rows, size] and [batch, rows, heads * size] in row-major order.
template <class T>
Heads<T> heads_first(T* data, int64_t heads, int64_t rows, int64_t size) {
  return {data, heads * rows * size, rows * size, size};
}
template <class T>
Heads<T> rows_first(T* data, int64_t heads, int64_t rows, int64_t size) {
  return {data, rows * heads * size, size, heads * size};
}

// Copies `rows` rows of `size` elements of every head.
void copy_heads(int64_t batch, int64_t heads, int64_t rows, int64_t size, Heads<const float> from,
                Heads<float> to);

struct Visible {
  int64_t begin, end;  // of the keys
};

struct AttentionProblem {
  int64_t batch, heads, kv_heads;  // kv_heads divides heads: that many query heads share a key and value head
  int64_t queries, keys;
  int64_t size, value_size;  // of a head
  Heads<const float> q, k, v;
  Heads<float> out;
  float scale = 1;
  float softcap = 0;  // not 0: scores s become softcap * tanh(s / softcap)
  // What is added to the scores: broadcasts to [batch, heads, queries, keys], all of float32 and rank 4.
  const Tensor* bias = nullptr;
  const Tensor* mask = nullptr;
  // Which keys query s of batch b sees; all when empty. Keys outside have no part in the softmax.
  std::function<Visible(int64_t b, int64_t s)> visible;
  // By head: a score that takes part in the softmax's sum alone. Null: none.
  const float* sinks = nullptr;
  // Receives the scores before or after the softmax, [batch, heads, queries, keys], 0 where a key is not
  // seen. Null: nobody asks.
  float* scores_before = nullptr;
  float* scores_after = nullptr;
};

// out = softmax(scale * q * k' + bias + mask) * v; zeros for a query that sees nothing.
void attend(const AttentionProblem& problem);

}  // namespace plica
