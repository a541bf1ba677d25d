#include "engine/ops/microsoft/attention_inputs.h"

#include <algorithm>
#include <cmath>

#include "engine/core/checked.h"
#include "engine/ops/maybe_dims.h"

namespace plica {

void require_padding_mask(const Dims& mask, int64_t batch, int64_t queries, int64_t keys) {
  require(mask == Dims{batch} || mask == Dims{2 * batch} || mask == Dims{batch, keys} ||
              mask == Dims{batch, queries, keys},
          ErrorCode::invalid_model,
          "the mask has shape {}; for {} batches of {} queries and {} keys there is none such",
          to_string(mask), batch, queries, keys);
}

Tensor padding_mask(const Tensor& mask, int64_t batch, int64_t queries, int64_t keys, float filtered) {
  const int64_t rows = mask.rank() == 3 ? queries : 1;
  Tensor out(DataType::float32, {batch, 1, rows, keys});
  float* to = out.mutable_data<float>();
  const int32_t* from = mask.data<int32_t>();
  if (mask.rank() > 1) {
    for (int64_t i = 0; i < out.size(); ++i) to[i] = from[i] == 0 ? filtered : 0;
    return out;
  }
  for (int64_t b = 0; b < batch; ++b) {
    const int64_t begin = mask.size() == 2 * batch ? from[batch + b] : 0, end = from[b];
    for (int64_t t = 0; t < keys; ++t) *to++ = begin <= t && t < end ? 0 : filtered;
  }
  return out;
}

void require_attention_bias(const InferContext& context, int i, int64_t batch, int64_t heads, int64_t queries,
                            int64_t keys) {
  const auto dims = maybe_dims(context, i);
  if (!dims) return;
  const auto fits = [&](size_t axis, int64_t size) { return (*dims)[axis] == size || (*dims)[axis] == 1; };
  require(
      dims->size() == 4 && fits(0, batch) && fits(1, heads) && (*dims)[2] == queries && (*dims)[3] == keys,
      ErrorCode::invalid_model, "attention_bias has shape {}, the scores [{}, {}, {}, {}]", to_string(*dims),
      batch, heads, queries, keys);
}

float attention_scale(const AttributeReader& attributes, int64_t size) {
  const float scale = attributes.f("scale");
  return scale != 0 ? scale : 1 / std::sqrt(static_cast<float>(std::max<int64_t>(size, 1)));
}

Tensor extend_past(const Tensor* past, int64_t batch, int64_t heads, int64_t rows, int64_t size,
                   Heads<const float> more) {
  const int64_t before = past ? past->dim(2) : 0, total = checked_add(before, rows);
  Tensor out(DataType::float32, {batch, heads, total, size});
  float* to = out.mutable_data<float>();
  const auto place = [&](int64_t first) {
    return Heads<float>{to + first * size, heads * total * size, total * size, size};
  };
  if (past)
    copy_heads(batch, heads, before, size, heads_first(past->data<float>(), heads, before, size), place(0));
  copy_heads(batch, heads, rows, size, more, place(before));
  return out;
}

}  // namespace plica
