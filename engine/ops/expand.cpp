// Expand, Tile, Trilu: elements repeated, or left out.
#include <algorithm>

#include "engine/core/checked.h"
#include "engine/core/dispatch.h"
#include "engine/core/parallel.h"
#include "engine/ops/broadcast.h"
#include "engine/ops/cast.h"
#include "engine/ops/layout.h"
#include "engine/ops/strided_copy.h"

namespace plica {
namespace {

// ---- Expand: numpy's broadcasting of the input and a shape.

void infer_expand(InferContext& context) {
  const auto &in = context.input_shape(0), &shape = context.input_shape(1);
  const DataType type = context.input_type(0);
  require(!shape || shape->rank() == 1, ErrorCode::invalid_model,
          "the shape has rank {}, it must be a vector", shape ? shape->rank() : 0);
  std::optional<Shape> asked;
  if (const auto* elements = context.input_elements(1)) {
    for (const Dim& d : *elements) {
      require(!d.is_known() || d.value() >= 0, ErrorCode::invalid_model, "the shape contains {}",
              to_string(d));
    }
    asked = Shape(*elements);
  } else if (shape && (*shape)[0].is_known() && (*shape)[0].value() <= 1024) {
    asked = Shape(std::vector<Dim>(static_cast<size_t>((*shape)[0].value())));
  }
  const auto out = broadcast_shapes(in, asked);
  if (const auto* elements = context.input_elements(0);
      elements && elements->size() == 1 && out && out->rank() == 1) {
    if (const Dim& count = (*out)[0]; count.is_known() && count.value() <= 1024) {
      context.set_output_elements(0, std::vector<Dim>(static_cast<size_t>(count.value()), elements->front()));
    }
  }
  context.set_output(0, type, out);
}

void evaluate_expand(EvaluateContext& context) {
  const Tensor& in = context.input(0);
  const Dims dims = broadcast_dims(in.dims(), *ints_of_input(context, 1));
  Tensor& out = context.allocate(0, in.type(), dims);
  if (out.size() == 0) return;
  // Repeated axes do not step in the source.
  Dims from_strides(dims.size(), 0);
  const Dims strides = row_major_strides(in.dims());
  const size_t missing = dims.size() - strides.size();
  for (size_t i = 0; i < strides.size(); ++i) from_strides[missing + i] = in.dims()[i] == 1 ? 0 : strides[i];
  move_elements(in, out, [&](const Tensor& from, Tensor& to) {
    copy_strided(from.type(), dims, from.raw(), from_strides, to.mutable_raw(), row_major_strides(dims));
  });
}

// ---- Tile: axis i repeated repeats[i] times. Opset 1 repeats one axis; its numbers come in tensors of any
// type.

int64_t single_number(const Tensor& t) {
  require(t.size() == 1, ErrorCode::invalid_model, "{} where a single number is expected", to_string(t));
  return *cast_tensor(t, DataType::int64).data<int64_t>();
}

Dims repeats_of_axis(const Tensor& tiles, const Tensor& axis, int rank) {
  Dims repeats(static_cast<size_t>(rank), 1);
  repeats[static_cast<size_t>(normalize_axis(single_number(axis), rank))] = single_number(tiles);
  return repeats;
}

std::optional<Dims> repeats_of(const InferContext& context, int rank) {
  if (context.def().since >= 6) return ints_of_input(context, 1);
  const Tensor *tiles = context.input_constant(1), *axis = context.input_constant(2);
  if (!tiles || !axis) return std::nullopt;
  return repeats_of_axis(*tiles, *axis, rank);
}
std::optional<Dims> repeats_of(const EvaluateContext& context, int rank) {
  if (context.def().since >= 6) return ints_of_input(context, 1);
  return repeats_of_axis(context.input(1), context.input(2), rank);
}

void check_repeats(const Dims& repeats, int rank) {
  require(static_cast<int>(repeats.size()) == rank, ErrorCode::invalid_model,
          "{} repeats for an input of rank {}", repeats.size(), rank);
  for (int64_t r : repeats)
    require(r >= 0, ErrorCode::invalid_model, "an axis is to be repeated {} times", r);
}

void infer_tile(InferContext& context) {
  const auto& in = context.input_shape(0);
  if (!in) return context.set_output(0, context.input_type(0), std::nullopt);
  const auto repeats = repeats_of(context, in->rank());
  if (!repeats)
    return context.set_output(0, context.input_type(0), Shape(std::vector<Dim>(in->dims().size())));
  check_repeats(*repeats, in->rank());
  Shape out;
  for (int i = 0; i < in->rank(); ++i) out.push_back(multiply((*in)[i], (*repeats)[static_cast<size_t>(i)]));
  if (const auto* elements = context.input_elements(0);
      elements && out.rank() == 1 && out[0].is_known() && out[0].value() <= 1024) {
    std::vector<Dim> repeated;
    for (int64_t i = 0; i < repeats->front(); ++i)
      repeated.insert(repeated.end(), elements->begin(), elements->end());
    context.set_output_elements(0, std::move(repeated));
  }
  context.set_output(0, context.input_type(0), std::move(out));
}

void evaluate_tile(EvaluateContext& context) {
  const Tensor& in = context.input(0);
  const Dims repeats = *repeats_of(context, in.rank());
  check_repeats(repeats, in.rank());
  Dims dims = in.dims();
  for (size_t i = 0; i < dims.size(); ++i) dims[i] = checked_mul(dims[i], repeats[i]);
  Tensor& out = context.allocate(0, in.type(), dims);
  if (out.size() == 0) return;
  // Each axis is two: the repetitions, and the input's.
  const Dims from = row_major_strides(in.dims()), to = row_major_strides(dims);
  Dims loops, from_strides, to_strides;
  for (size_t i = 0; i < dims.size(); ++i) {
    loops.insert(loops.end(), {repeats[i], in.dims()[i]});
    from_strides.insert(from_strides.end(), {0, from[i]});
    to_strides.insert(to_strides.end(), {in.dims()[i] * to[i], to[i]});
  }
  move_elements(in, out, [&](const Tensor& source, Tensor& target) {
    copy_strided(source.type(), loops, source.raw(), from_strides, target.mutable_raw(), to_strides);
  });
}

// ---- Trilu: of each matrix, the elements with column - row >= k (upper) or <= k; zero elsewhere.

void infer_trilu(InferContext& context) {
  const auto& in = context.input_shape(0);
  require(!in || in->rank() >= 2, ErrorCode::invalid_model, "the input has rank {}, at least 2 is needed",
          in ? in->rank() : 0);
  if (const Tensor* k = context.input_constant(1)) {
    require(k->size() == 1, ErrorCode::invalid_model, "k is {}, it must be a single number", to_string(*k));
  }
  context.same_as_input();
}

void evaluate_trilu(EvaluateContext& context) {
  const Tensor& in = context.input(0);
  Tensor& out = context.output();
  if (in.size() == 0) return;
  const int64_t rows = in.dim(-2), columns = in.dim(-1);
  const bool upper = context.attributes().i("upper") != 0;
  const Tensor* given = context.maybe_input(1);
  const int64_t k = std::clamp(given ? *given->data<int64_t>() : 0, -rows, columns);
  dispatch_by_size(in.type(), [&]<class T>(std::type_identity<T>) {
    const T* from = static_cast<const T*>(in.raw());
    T* to = static_cast<T*>(out.mutable_raw());
    parallel_for(in.size() / columns, std::max<int64_t>(1, 32768 / columns), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const int64_t diagonal = row % rows + k;
        const int64_t first = upper ? std::clamp<int64_t>(diagonal, 0, columns) : 0;
        const int64_t last = upper ? columns : std::clamp<int64_t>(diagonal + 1, 0, columns);
        const int64_t base = row * columns;
        std::fill(to + base, to + base + first, T{});
        std::copy(from + base + first, from + base + last, to + base + first);
        std::fill(to + base + last, to + base + columns, T{});
      }
    });
  });
}

}  // namespace

std::vector<OpDef> expand_ops() {
  std::vector<OpDef> ops;
  ops.push_back({.name = "Expand",
                 .since = 8,
                 .min_inputs = 2,
                 .max_inputs = 2,
                 .input_types = {types::kAll, types::kInt64},
                 .infer = infer_expand,
                 .evaluate = evaluate_expand});
  ops.push_back({.name = "Tile",
                 .until = 5,
                 .min_inputs = 3,
                 .max_inputs = 3,
                 .input_types = {types::kAll, types::kNumeric},
                 .infer = infer_tile,
                 .evaluate = evaluate_tile});
  ops.push_back({.name = "Tile",
                 .since = 6,
                 .min_inputs = 2,
                 .max_inputs = 2,
                 .input_types = {types::kAll, types::kInt64},
                 .infer = infer_tile,
                 .evaluate = evaluate_tile});
  ops.push_back({.name = "Trilu",
                 .since = 14,
                 .max_inputs = 2,
                 .input_types = {types::kAll, types::kInt64},
                 .attributes = {{"upper", AttributeType::int_, int64_t{1}}},
                 .infer = infer_trilu,
                 .evaluate = evaluate_trilu});
  return ops;
}

}  // namespace plica
