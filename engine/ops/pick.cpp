// OneHot, NonZero and Compress.
#include <algorithm>

#include "engine/core/checked.h"
#include "engine/core/dispatch.h"
#include "engine/core/fail.h"
#include "engine/ops/cast.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/indexing.h"
#include "engine/ops/infer.h"

namespace plica {
namespace {

// ---- OneHot

int64_t read_depth(const Tensor& depth) {
  require(depth.size() == 1, ErrorCode::invalid_model, "the depth has {} elements, it must have one",
          depth.size());
  const int64_t value = *cast_tensor(depth, DataType::int64).data<int64_t>();
  require(value > 0, ErrorCode::invalid_argument, "the depth is {}", value);
  return value;
}

void infer_one_hot(InferContext& context) {
  const DataType type = context.input_type(2);
  if (const auto& values = context.input_shape(2)) {
    const auto dims = values->known();
    require(!dims || *dims == Dims{2}, ErrorCode::invalid_model,
            "the values are of shape {}, they must be [off, on]", to_string(*values));
  }
  const auto& indices = context.input_shape(0);
  if (!indices) return context.set_output(0, type, std::nullopt);
  Dim depth;
  if (const Tensor* constant = context.input_constant(1)) {
    depth = read_depth(*constant);
  } else if (const auto* elements = context.input_elements(1); elements && elements->size() == 1) {
    depth = (*elements)[0];
  }
  const int axis = normalize_axis(context.attributes().i("axis"), indices->rank(), true);
  std::vector<Dim> dims = indices->dims();
  dims.insert(dims.begin() + axis, depth);
  context.set_output(0, type, Shape(std::move(dims)));
}

// out[a, d, c] = on where indices[a, c] is d (or d - depth), off elsewhere.
void evaluate_one_hot(EvaluateContext& context) {
  const Tensor& indices = context.input(0);
  const Tensor& values = context.input(2);
  const int64_t depth = read_depth(context.input(1));
  const int axis = normalize_axis(context.attributes().i("axis"), indices.rank(), true);
  Dims dims = indices.dims();
  dims.insert(dims.begin() + axis, depth);
  int64_t inner = 1;
  for (int i = axis; i < indices.rank(); ++i) inner *= indices.dim(i);
  const Tensor wide = cast_tensor(indices, DataType::int64);
  const int64_t* index = wide.data<int64_t>();
  Tensor& out = context.allocate(0, values.type(), dims);
  dispatch_by_size(out.type(), [&]<class T>(std::type_identity<T>) {
    const T* off_on = static_cast<const T*>(values.raw());
    T* y = static_cast<T*>(out.mutable_raw());
    std::fill_n(y, out.size(), off_on[0]);
    for (int64_t i = 0; i < wide.size(); ++i) {
      if (index[i] < -depth || index[i] >= depth) continue;
      const int64_t d = index[i] < 0 ? index[i] + depth : index[i];
      y[(i / inner * depth + d) * inner + i % inner] = off_on[1];
    }
  });
}

// ---- NonZero: the positions of all elements that aren't zero, one column each, in row-major order

void infer_non_zero(InferContext& context) {
  const auto& shape = context.input_shape(0);
  context.set_output(0, DataType::int64, Shape{shape ? Dim(shape->rank()) : Dim(), Dim()});
}

void evaluate_non_zero(EvaluateContext& context) {
  const Tensor& in = context.input(0);
  std::vector<int64_t> found;
  if (in.type() == DataType::string) {
    for (int64_t i = 0; i < in.size(); ++i) {
      if (!in.data<std::string>()[i].empty()) found.push_back(i);
    }
  } else {
    const Tensor flags = cast_tensor(in, DataType::boolean);
    const bool* set = flags.data<bool>();
    for (int64_t i = 0; i < in.size(); ++i) {
      if (set[i]) found.push_back(i);
    }
  }
  const auto count = static_cast<int64_t>(found.size());
  Tensor& out = context.allocate(0, DataType::int64, {in.rank(), count});
  int64_t* y = out.mutable_data<int64_t>();
  const Dims strides = strides_of(in.dims());
  for (int64_t i = 0; i < count; ++i) {
    for (int d = 0; d < in.rank(); ++d) {
      y[d * count + i] = found[static_cast<size_t>(i)] / strides[static_cast<size_t>(d)] % in.dim(d);
    }
  }
}

// ---- Compress: the slices of an axis (or the elements) where the condition holds

void infer_compress(InferContext& context) {
  const DataType type = context.input_type(0);
  const auto& shape = context.input_shape(0);
  if (const auto& condition = context.input_shape(1)) {
    require(condition->rank() == 1, ErrorCode::invalid_model, "the condition is of rank {}, it must be 1",
            condition->rank());
  }
  const auto axis = context.attributes().maybe_i("axis");
  if (!axis) return context.set_output(0, type, Shape{Dim()});
  if (!shape) return context.set_output(0, type, std::nullopt);
  Shape out = *shape;
  out[normalize_axis(*axis, out.rank())] = Dim();
  context.set_output(0, type, std::move(out));
}

void evaluate_compress(EvaluateContext& context) {
  const Tensor &in = context.input(0), &condition = context.input(1);
  const auto axis_attribute = context.attributes().maybe_i("axis");
  Dims dims = axis_attribute ? in.dims() : Dims{in.size()};
  const int axis = axis_attribute ? normalize_axis(*axis_attribute, in.rank()) : 0;
  const int64_t length = dims[static_cast<size_t>(axis)];
  const auto* flags = static_cast<const uint8_t*>(condition.raw());
  require(condition.size() <= length ||
              std::all_of(flags + length, flags + condition.size(), [](uint8_t f) { return f == 0; }),
          ErrorCode::invalid_argument, "the condition selects beyond the axis of size {}", length);
  std::vector<int64_t> chosen;
  for (int64_t i = 0; i < std::min(length, condition.size()); ++i) {
    if (flags[i]) chosen.push_back(i);
  }
  const auto count = static_cast<int64_t>(chosen.size());
  int64_t outer = 1, inner = 1;
  for (size_t i = 0; i < dims.size(); ++i) {
    if (static_cast<int>(i) != axis) (static_cast<int>(i) < axis ? outer : inner) *= dims[i];
  }
  dims[static_cast<size_t>(axis)] = count;
  Tensor& out = context.allocate(0, in.type(), dims);
  dispatch_by_size(in.type(), [&]<class T>(std::type_identity<T>) {
    const T* x = static_cast<const T*>(in.raw());
    T* y = static_cast<T*>(out.mutable_raw());
    for (int64_t o = 0; o < outer; ++o) {
      for (int64_t i = 0; i < count; ++i) {
        std::copy_n(x + (o * length + chosen[static_cast<size_t>(i)]) * inner, inner,
                    y + (o * count + i) * inner);
      }
    }
  });
}

}  // namespace

std::vector<OpDef> pick_ops() {
  const AttributeDef last_axis{"axis", AttributeType::int_, int64_t{-1}};
  std::vector<OpDef> ops;
  ops.push_back({.name = "OneHot",
                 .since = 9,
                 .min_inputs = 3,
                 .max_inputs = 3,
                 .input_types = {types::kNumeric, types::kNumeric, kMovableTypes},
                 .attributes = {last_axis},
                 .infer = infer_one_hot,
                 .evaluate = evaluate_one_hot});
  ops.push_back({.name = "NonZero",
                 .since = 9,
                 .input_types = {types::kNumeric | types::kBool | types::kString},
                 .infer = infer_non_zero,
                 .evaluate = evaluate_non_zero});
  ops.push_back({.name = "Compress",
                 .since = 9,
                 .min_inputs = 2,
                 .max_inputs = 2,
                 .input_types = {kMovableTypes, types::kBool},
                 .attributes = {{"axis", AttributeType::int_, Optional{}}},
                 .infer = infer_compress,
                 .evaluate = evaluate_compress});
  return ops;
}

}  // namespace plica
