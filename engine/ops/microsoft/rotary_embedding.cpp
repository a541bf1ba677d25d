// RotaryEmbedding of com.microsoft: heads of [batch, rows, heads * size] or [batch, heads, rows, size],
// turned by the angles of their rows' positions.
#include <algorithm>

#include "engine/core/parallel.h"
#include "engine/ops/broadcast.h"
#include "engine/ops/cast.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/microsoft/attention_kernel.h"
#include "engine/ops/microsoft/microsoft.h"
#include "engine/ops/microsoft/rotary.h"

namespace plica {
namespace {

struct Layout {
  int64_t batch, heads, rows, size, pairs;
};

Layout layout_of(const AttributeReader& attributes, const Dims& x, const Dims& cache) {
  require(x.size() == 3 || x.size() == 4, ErrorCode::invalid_model, "the input has rank {}, not 3 or 4",
          x.size());
  require(cache.size() == 2, ErrorCode::invalid_model, "cos_cache has rank {}, not 2", cache.size());
  const int64_t rotated = attributes.i("rotary_embedding_dim"), heads = attributes.i("num_heads");
  require(rotated >= 0 && heads >= 0 && (rotated == 0 || x.size() == 4 || heads > 0),
          ErrorCode::invalid_model, "rotary_embedding_dim is {}, num_heads {}", rotated, heads);
  Layout l{};
  l.batch = x[0];
  l.pairs = cache[1];
  if (x.size() == 4) {
    l.heads = x[1];
    l.rows = x[2];
    l.size = x[3];
  } else {
    l.rows = x[1];
    l.size = rotated > 0 ? x[2] / heads : 2 * l.pairs;
    require(l.size > 0 && x[2] % l.size == 0, ErrorCode::invalid_model,
            "the input's {} columns do not divide into heads of {}", x[2], l.size);
    l.heads = x[2] / l.size;
  }
  require(2 * l.pairs == (rotated > 0 ? rotated : l.size) && 2 * l.pairs <= l.size, ErrorCode::invalid_model,
          "cos_cache has {} columns for heads of {} and a rotary_embedding_dim of {}", l.pairs, l.size,
          rotated);
  return l;
}

void infer_rotary_embedding(InferContext& context) {
  const auto &x = context.input_shape(0), &ids = context.input_shape(1), &cosines = context.input_shape(2),
             &sines = context.input_shape(3);
  require(context.attributes().i("is_packed_batching") == 0, ErrorCode::unsupported, "packed batches");
  const auto dims = x ? x->known() : std::nullopt, cache = cosines ? cosines->known() : std::nullopt,
             positions = ids ? ids->known() : std::nullopt, other = sines ? sines->known() : std::nullopt;
  require(!cache || !other || cache == other, ErrorCode::invalid_model,
          "cos_cache has shape {}, sin_cache {}", cache ? to_string(*cache) : "",
          other ? to_string(*other) : "");
  if (dims && cache) {
    const Layout l = layout_of(context.attributes(), *dims, *cache);
    require(!positions || *positions == Dims{1} || *positions == Dims{l.batch, l.rows},
            ErrorCode::invalid_model, "position_ids has shape {}, expected [1] or [{}, {}]",
            positions ? to_string(*positions) : "", l.batch, l.rows);
  }
  for (int i : {2, 3}) {
    const DataType a = context.input_type(0), b = context.input_type(i);
    require(a == b || a == DataType::undefined || b == DataType::undefined, ErrorCode::invalid_model,
            "input {} is of type {}, the first {}", i, to_string(b), to_string(a));
  }
  context.same_as_input();
}

void evaluate_rotary_embedding(EvaluateContext& context) {
  const Tensor &x = context.input(0), &ids = context.input(1);
  const Tensor cosines = cast_tensor(context.input(2), DataType::float32),
               sines = cast_tensor(context.input(3), DataType::float32);
  const Layout l = layout_of(context.attributes(), x.dims(), cosines.dims());
  const bool interleaved = context.attributes().i("interleaved") != 0;
  // One position is that of the first row; the others follow.
  const auto given = ids.values<int64_t>();
  const int64_t first = given.empty() ? 0 : given[0];
  const auto position_of = [&](int64_t b, int64_t s) {
    const int64_t position = ids.rank() == 1 ? first + s : given[static_cast<size_t>(b * l.rows + s)];
    require(position >= 0 && position < cosines.dim(0), ErrorCode::invalid_argument,
            "position {} is out of range, the caches have {}", position, cosines.dim(0));
    return position;
  };
  require(ids.rank() != 1 || (first >= 0 && first < cosines.dim(0)) || x.size() == 0,
          ErrorCode::invalid_argument, "position {} is out of range, the caches have {}", first,
          cosines.dim(0));
  Tensor turned = cast_tensor(x, DataType::float32).clone();
  float* data = turned.mutable_data<float>();
  const Heads<float> heads =
      x.rank() == 4 ? heads_first(data, l.heads, l.rows, l.size) : rows_first(data, l.heads, l.rows, l.size);
  parallel_for(l.batch * l.rows, std::max<int64_t>(1, 16384 / std::max<int64_t>(l.heads * l.size, 1)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t b = i / l.rows, s = i % l.rows, angle = position_of(b, s) * l.pairs;
                   for (int64_t n = 0; n < l.heads; ++n) {
                     float* head = heads.of(b, n) + s * heads.row;
                     rotate(head, head, cosines.data<float>() + angle, sines.data<float>() + angle, l.pairs,
                            interleaved);
                   }
                 }
               });
  cast_elements(turned, context.output());
}

}  // namespace

std::vector<OpDef> rotary_embedding_ops() {
  constexpr TypeSet kFloats = {DataType::float32, DataType::float16, DataType::bfloat16};
  const auto integer = [](std::string_view name) {
    return AttributeDef{name, AttributeType::int_, int64_t{0}};
  };
  return {{.name = "RotaryEmbedding",
           .domain = kMicrosoft,
           .min_inputs = 4,
           .max_inputs = 4,
           .input_types = {kFloats, types::kInt64, kFloats, kFloats},
           .attributes = {integer("interleaved"),
                          integer("is_packed_batching"),
                          integer("num_heads"),
                          integer("rotary_embedding_dim"),
                          {"scale", AttributeType::float_,
                           1.0f}},  // of no effect in ONNX Runtime's kernels either
           .infer = infer_rotary_embedding,
           .evaluate = evaluate_rotary_embedding}};
}

}  // namespace plica
