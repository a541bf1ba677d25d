// Scaled dot-product attention, softmax(Q * K' * scale + bias) * V: the kernel of Attention and
// FlexAttention.
#pragma once

#include <cstdint>

#include "engine/core/data_type.h"
#include "engine/core/tensor.h"

namespace plica {

// A tensor seen as [batch, head, row, element] with the elements of a row side by side.
template <class T>
struct HeadView {
  T* data;
  int64_t batch_stride, head_stride, row_stride;

  T* row(int64_t batch, int64_t head, int64_t index) const {
    return data + batch * batch_stride + head * head_stride + index * row_stride;
  }
};

// Of a tensor [batch, heads, rows, size], or [batch, rows, heads * size].
template <class T>
HeadView<T> head_view(T* data, const Dims& dims, int64_t heads) {
  if (dims.size() == 4) return {data, dims[1] * dims[2] * dims[3], dims[2] * dims[3], dims[3]};
  return {data, dims[1] * dims[2], dims[2] / heads, dims[2]};
}

struct AttentionSizes {
  int64_t batch, query_heads, key_heads, queries, keys, head_size, value_size;
};

// Which keys a query sees by its position, and what is added to its scores.
template <class T>
struct AttentionBias {
  bool is_causal = false;
  int64_t left_window = -1, right_window = -1;  // -1: unbounded
  int64_t past = 0;                             // keys before the first query's own
  const int64_t* valid_keys = nullptr;          // of each batch entry; replaces `past`
  // [batch, head, query, key], -infinity where a key is not to be seen; keys from `mask_keys` on are not
  // seen.
  const T* mask = nullptr;
  int64_t mask_batch_stride = 0, mask_head_stride = 0, mask_row_stride = 0, mask_keys = 0;
};

// What the optional output of the scores shows.
enum class ScoreStage { raw, capped, biased, probabilities };

template <class T>  // float or double
struct AttentionTask {
  AttentionSizes sizes;
  HeadView<const T> q, k, v;
  HeadView<T> y;
  double scale;
  double softcap = 0;  // 0: none
  AttentionBias<T> bias;
  // Intermediate results are rounded to `storage`, and for the softmax to `softmax_precision`: 16-bit types
  // give what the specification's sequence of operators gives.
  DataType storage, softmax_precision;
  bool round_probabilities = true;  // to `storage`, before the product with V
  ScoreStage stage = ScoreStage::raw;
  T* scores = nullptr;  // [batch, query_heads, queries, keys]
};

template <class T>
void compute_attention(const AttentionTask<T>& task);

// x = softmax(x), computed in a precision: float32, float64, or a 16-bit type, to which every step is
// rounded.
template <class T>
void softmax_row(T* x, int64_t count, DataType precision);

// Rounds to a narrower type, in place.
template <class T>
void round_elements(T* x, int64_t count, DataType type);

}  // namespace plica
