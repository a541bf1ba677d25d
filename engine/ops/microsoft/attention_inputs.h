// What MultiHeadAttention and Attention share: padding masks, the bias on scores, and past keys and values.
#pragma once

#include <optional>
#include <string_view>

#include "engine/core/tensor.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/microsoft/attention_kernel.h"

namespace plica {

// Refuses a mask that is none of those of padding_mask.
void require_padding_mask(const Dims& mask, int64_t batch, int64_t queries, int64_t keys);

// A mask input (int32) as what is added to the scores: [batch, 1, 1 or queries, keys] of 0, or `filtered` for
// keys that are padding. The input is a mask of 0 for padding: [batch, keys] or [batch, queries, keys]; or
// the number of keys of each batch, [batch]; or those numbers and then the first key of each, [2 * batch].
Tensor padding_mask(const Tensor& mask, int64_t batch, int64_t queries, int64_t keys, float filtered);

// A bias on scores is [batch or 1, heads or 1, queries, keys].
void require_attention_bias(const InferContext& context, int i, int64_t batch, int64_t heads, int64_t queries,
                            int64_t keys);

// 1 / sqrt(size), unless the attribute scale says otherwise (0 says nothing).
float attention_scale(const AttributeReader& attributes, int64_t size);

// [batch, heads, past + rows, size]: the past of that layout (may be null) with `rows` more behind.
Tensor extend_past(const Tensor* past, int64_t batch, int64_t heads, int64_t rows, int64_t size,
                   Heads<const float> more);

}  // namespace plica
