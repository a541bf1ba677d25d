// TensorScatter: https://onnx.ai/onnx/operators/onnx__TensorScatter.html, for caches of keys and values.
#include <algorithm>

#include "engine/core/dispatch.h"
#include "engine/ops/axis_split.h"
#include "engine/ops/broadcast.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/indexing.h"
#include "engine/ops/infer.h"
#include "engine/ops/strided_copy.h"

namespace plica {
namespace {

bool is_circular(const AttributeReader& attributes) {
  const std::string mode = attributes.s("mode");
  require(mode == "linear" || mode == "circular", ErrorCode::invalid_model,
          "mode is {}, it must be linear or circular", quoted(mode));
  return mode == "circular";
}

int sequence_axis(const AttributeReader& attributes, int rank) {
  const int axis = normalize_axis(attributes.i("axis"), rank);
  require(axis != 0, ErrorCode::invalid_model, "the sequence axis is 0, which is the batch");
  return axis;
}

// cache [batch, ..., most, ...], update [batch, ..., length, ...], write indices [batch]
void infer_tensor_scatter(InferContext& context) {
  is_circular(context.attributes());
  const DataType type = common_type(context, 0, 2);
  const auto &cache = context.input_shape(0), &update = context.input_shape(1);
  std::optional<Shape> out = cache;
  if (cache) {
    const int axis = sequence_axis(context.attributes(), cache->rank());
    if (update) {
      require(cache->rank() == update->rank(), ErrorCode::invalid_model,
              "the cache is of rank {}, the update of rank {}", cache->rank(), update->rank());
      for (int d = 0; d < cache->rank(); ++d) {
        const Dim &have = (*cache)[d], &given = (*update)[d];
        if (d != axis) {
          (*out)[d] = merge(have, given);
        } else {
          require(!have.is_known() || !given.is_known() || given.value() <= have.value(),
                  ErrorCode::invalid_model, "an update of length {} for a cache of {}", to_string(given),
                  to_string(have));
        }
      }
    }
    if (context.has_input(2) && context.input_shape(2)) {
      const Shape& indices = *context.input_shape(2);
      require(indices.rank() == 1, ErrorCode::invalid_model,
              "the write indices are of rank {}, they must be 1", indices.rank());
      (*out)[0] = merge((*out)[0], indices[0]);
    }
  }
  context.set_output(0, type, std::move(out));
}

void evaluate_tensor_scatter(EvaluateContext& context) {
  const Tensor &cache = context.input(0), *indices = context.maybe_input(2);
  const bool circular = is_circular(context.attributes());
  const int axis = sequence_axis(context.attributes(), cache.rank());
  const AxisSplit to = split_at(cache.dims(), axis), from = split_at(context.input(1).dims(), axis);
  Tensor& out = context.output();
  if (out.size() == 0) return;
  const int64_t rows_per_batch = to.outer / cache.dim(0);
  // Where each sample's update begins.
  std::vector<int64_t> begins(static_cast<size_t>(cache.dim(0)), 0);
  for (size_t n = 0; indices && n < begins.size(); ++n) {
    const int64_t index = indices->data<int64_t>()[n];
    if (circular) {
      begins[n] = index % to.length + (index < 0 ? to.length : 0);
      begins[n] %= to.length;
    } else {
      require(index >= 0 && index <= to.length - from.length, ErrorCode::invalid_argument,
              "an update of length {} at {} for a cache of {}", from.length, index, to.length);
      begins[n] = index;
    }
  }
  const bool packed = bits_of(cache.type()) < 8 && cache.type() != DataType::string;
  const Tensor update = packed ? unpack_elements(context.input(1)) : context.input(1);
  move_elements(cache, out, [&](const Tensor& old, Tensor& result) {
    dispatch_by_size(result.type(), [&]<class T>(std::type_identity<T>) {
      T* y = static_cast<T*>(result.mutable_raw());
      const T *past = static_cast<const T*>(old.raw()), *x = static_cast<const T*>(update.raw());
      if (past != y) std::copy_n(past, old.size(), y);
      for (int64_t row = 0; row < to.outer; ++row) {
        T* place = y + row * to.length * to.inner;
        const T* source = x + row * from.length * from.inner;
        const int64_t begin = begins[static_cast<size_t>(row / rows_per_batch)];
        const int64_t straight = std::min(from.length, to.length - begin);
        std::copy_n(source, straight * to.inner, place + begin * to.inner);
        std::copy_n(source + straight * to.inner, (from.length - straight) * to.inner, place);
      }
    });
  });
}

}  // namespace

std::vector<OpDef> tensor_scatter_ops() {
  return {{.name = "TensorScatter",
           .since = 24,
           .min_inputs = 2,
           .max_inputs = 3,
           .input_types = {types::kAll, types::kAll, types::kInt64},
           .attributes = {{"axis", AttributeType::int_, int64_t{-2}},
                          {"mode", AttributeType::string, std::string_view("linear")}},
           .infer = infer_tensor_scatter,
           .evaluate = evaluate_tensor_scatter}};
}

}  // namespace plica
