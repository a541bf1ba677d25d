// RotaryEmbedding: https://onnx.ai/onnx/operators/onnx__RotaryEmbedding.html
#include <algorithm>

#include "engine/core/dispatch.h"
#include "engine/core/fail.h"
#include "engine/core/parallel.h"
#include "engine/ops/attention.h"
#include "engine/ops/attention_kernel.h"
#include "engine/ops/broadcast.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/input_shapes.h"

namespace plica {
namespace {

enum { kInput, kCos, kSin, kPositions };

void infer_rotary_embedding(InferContext& context) {
  const AttributeReader& attributes = context.attributes();
  common_type(context, kInput, kSin + 1);
  context.same_as_input();
  SharedDim batch{"batch_size"}, steps{"sequence_length"}, half{"half of the rotated size"};
  const int64_t rotated = attributes.i("rotary_embedding_dim");
  require(rotated >= 0 && rotated % 2 == 0, ErrorCode::invalid_model,
          "rotary_embedding_dim is {}, it must be even and not negative", rotated);
  if (const auto& shape = context.input_shape(kInput)) {
    require(shape->rank() == 3 || shape->rank() == 4, ErrorCode::invalid_model,
            "the input has rank {}, it must be 3 or 4", shape->rank());
    batch.dim = (*shape)[0];
    steps.dim = (*shape)[shape->rank() == 4 ? 2 : 1];
    Dim size = (*shape)[shape->rank() - 1];
    if (shape->rank() == 3) {
      const int64_t heads = attributes.maybe_i("num_heads").value_or(0);
      require(heads > 0, ErrorCode::invalid_model, "an input of rank 3 needs num_heads, which is {}", heads);
      require(!size.is_known() || size.value() % heads == 0, ErrorCode::invalid_model,
              "{} heads have {} elements to a row", heads, to_string(size));
      size = size.is_known() ? Dim(size.value() / heads) : Dim();
    }
    if (size.is_known()) {
      require(size.value() % 2 == 0, ErrorCode::invalid_model, "the head size is {}, it must be even",
              size.value());
      require(rotated <= size.value(), ErrorCode::invalid_model,
              "rotary_embedding_dim is {}, the head size {}", rotated, size.value());
      half.dim = (rotated > 0 ? rotated : size.value()) / 2;
    }
  }
  if (context.has_input(kPositions)) {
    SharedDim positions{"max_position_id_plus_1"};
    match_shape(context, kCos, "cos_cache", {&positions, &half});
    match_shape(context, kSin, "sin_cache", {&positions, &half});
    match_shape(context, kPositions, "position_ids", {&batch, &steps});
  } else {
    match_shape(context, kCos, "cos_cache", {&batch, &steps, &half});
    match_shape(context, kSin, "sin_cache", {&batch, &steps, &half});
  }
}

// (x1, x2) turns into (cos * x1 - sin * x2, sin * x1 + cos * x2); the pairs are neighbours when interleaved,
// else the two halves.
template <class T>
void rotate(const T* x, T* y, const T* cos, const T* sin, int64_t half, bool interleaved) {
  using C = ComputeType<T>;
  const int64_t step = interleaved ? 2 : 1, apart = interleaved ? 1 : half;
  for (int64_t i = 0; i < half; ++i) {
    const C a = static_cast<C>(x[i * step]), b = static_cast<C>(x[i * step + apart]);
    const C c = static_cast<C>(cos[i]), s = static_cast<C>(sin[i]);
    y[i * step] = static_cast<T>(c * a - s * b);
    y[i * step + apart] = static_cast<T>(s * a + c * b);
  }
}

void evaluate_rotary_embedding(EvaluateContext& context) {
  const Tensor &x = context.input(kInput), &cos = context.input(kCos), &sin = context.input(kSin);
  Tensor& y = context.output();
  const bool is_packed = x.rank() == 3, interleaved = context.attributes().i("interleaved") != 0;
  const int64_t heads = is_packed ? context.attributes().i("num_heads") : x.dim(1);
  const int64_t batch = x.dim(0), steps = x.dim(-2), size = is_packed ? x.dim(2) / heads : x.dim(3);
  const int64_t half = cos.dim(-1);
  const Tensor* positions = context.maybe_input(kPositions);
  const int64_t* position = positions ? positions->data<int64_t>() : nullptr;
  for (int64_t i = 0; positions && i < positions->size(); ++i) {
    require(position[i] >= 0 && position[i] < cos.dim(0), ErrorCode::invalid_argument,
            "position {} is out of range for caches of {} positions", position[i], cos.dim(0));
  }
  dispatch<FloatTypes>(x.type(), [&]<class T>(std::type_identity<T>) {
    const HeadView<const T> from = head_view(x.data<T>(), x.dims(), heads);
    const HeadView<T> to = head_view(y.mutable_data<T>(), y.dims(), heads);
    parallel_for(batch * heads * steps, std::max<int64_t>(1, 8192 / std::max<int64_t>(size, 1)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) {
                     const int64_t b = i / (heads * steps), h = i / steps % heads, t = i % steps;
                     const int64_t at = (position ? position[b * steps + t] : b * steps + t) * half;
                     const T* row = from.row(b, h, t);
                     T* out = to.row(b, h, t);
                     rotate(row, out, cos.data<T>() + at, sin.data<T>() + at, half, interleaved);
                     std::copy(row + 2 * half, row + size, out + 2 * half);
                   }
                 });
  });
}

}  // namespace

void add_rotary_embedding_ops(std::vector<OpDef>& ops) {
  constexpr TypeSet kTypes = {DataType::float32, DataType::float16, DataType::bfloat16};
  ops.push_back({.name = "RotaryEmbedding",
                 .since = 23,
                 .min_inputs = 3,
                 .max_inputs = 4,
                 .input_types = {kTypes, kTypes, kTypes, types::kInt64},
                 .attributes = {{"interleaved", AttributeType::int_, int64_t{0}},
                                {"num_heads", AttributeType::int_, Optional{}},
                                {"rotary_embedding_dim", AttributeType::int_, int64_t{0}}},
                 .infer = infer_rotary_embedding,
                 .evaluate = evaluate_rotary_embedding});
}

}  // namespace plica
