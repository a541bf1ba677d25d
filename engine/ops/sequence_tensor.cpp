// SplitToSequence and ConcatFromSequence.
// https://onnx.ai/onnx/operators/onnx__SplitToSequence.html, onnx__ConcatFromSequence.html
#include "engine/core/checked.h"
#include "engine/core/fail.h"
#include "engine/ops/cast.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/pieces.h"
#include "engine/ops/sequence.h"

namespace plica {
namespace {

// ---- SplitToSequence

void infer_split(InferContext& context) {
  Type element = Type::tensor(context.input_type(0));
  if (const auto& shape = context.input_shape(0)) {
    require(shape->rank() >= 1, ErrorCode::invalid_model, "a scalar cannot be split");
    const int axis = normalize_axis(context.attributes().i("axis"), shape->rank());
    std::vector<Dim> dims(shape->begin(), shape->end());
    if (context.has_input(1) || context.attributes().i("keepdims") != 0) {
      dims[static_cast<size_t>(axis)] = context.has_input(1) ? Dim() : Dim(1);
    } else {
      dims.erase(dims.begin() + axis);
    }
    element.shape = Shape(std::move(dims));
  }
  context.set_output(0, Type::sequence(std::move(element)));
}

// The sizes of the parts of an axis: chunks of a scalar's size, the last perhaps smaller, or a vector's
// elements.
std::vector<int64_t> part_sizes(const Tensor* split, int64_t length) {
  std::vector<int64_t> sizes;
  if (split && split->rank() > 0) {
    const Tensor list = cast_tensor(*split, DataType::int64);
    int64_t sum = 0;
    for (int64_t size : list.values<int64_t>()) {
      require(size >= 0, ErrorCode::invalid_argument, "split contains {}", size);
      sum = checked_add(sum, size);
      sizes.push_back(size);
    }
    require(sum == length, ErrorCode::invalid_argument, "split adds up to {}, the axis has {}", sum, length);
    return sizes;
  }
  const int64_t chunk = split ? *cast_tensor(*split, DataType::int64).data<int64_t>() : 1;
  require(chunk > 0, ErrorCode::invalid_argument, "split is {}", chunk);
  for (int64_t at = 0; at < length; at += chunk) sizes.push_back(std::min(chunk, length - at));
  return sizes;
}

void evaluate_split(EvaluateContext& context) {
  const Tensor& in = context.input(0);
  const int axis = normalize_axis(context.attributes().i("axis"), in.rank());
  const Tensor* split = context.maybe_input(1);
  const bool drop_axis = !split && context.attributes().i("keepdims") == 0;
  std::vector<Tensor> parts;
  int64_t at = 0;
  for (int64_t size : part_sizes(split, in.dim(axis))) {
    Tensor part = slice_of(in, axis, at, size);
    parts.push_back(drop_axis ? without_axis(part, axis) : std::move(part));
    at += size;
  }
  context.set_output(0, Tensor::container(DataType::sequence, std::move(parts)));
}

// ---- ConcatFromSequence

void infer_concat(InferContext& context) {
  const Type& type = context.input(0).type;
  const int64_t new_axis = context.attributes().i("new_axis");
  require(new_axis == 0 || new_axis == 1, ErrorCode::invalid_model, "new_axis is {}", new_axis);
  if (!type.inner || !type.inner->is_tensor()) return context.set_output(0, Type());
  Type out = Type::tensor(type.inner->element);
  if (const auto& shape = type.inner->shape) {
    const int rank = shape->rank() + static_cast<int>(new_axis);
    const int axis = normalize_axis(context.attributes().i("axis"), rank);
    std::vector<Dim> dims(shape->begin(), shape->end());
    if (new_axis) dims.insert(dims.begin() + axis, Dim());
    dims[static_cast<size_t>(axis)] = Dim();
    out.shape = Shape(std::move(dims));
  }
  context.set_output(0, std::move(out));
}

void evaluate_concat(EvaluateContext& context) {
  const auto parts = context.input(0).elements();
  require(!parts.empty(), ErrorCode::invalid_argument, "the sequence is empty");
  const bool new_axis = context.attributes().i("new_axis") != 0;
  const int axis = normalize_axis(context.attributes().i("axis"), parts[0].rank() + (new_axis ? 1 : 0));
  context.set_output(0, new_axis ? stack(parts, axis) : concatenate(parts, axis));
}

}  // namespace

std::vector<OpDef> sequence_tensor_ops() {
  return {
      {.name = "SplitToSequence",
       .since = 11,
       .max_inputs = 2,
       .input_types = {types::kAll, types::kIndex},
       .attributes = {{"axis", AttributeType::int_, int64_t{0}},
                      {"keepdims", AttributeType::int_, int64_t{1}}},
       .infer = infer_split,
       .evaluate = evaluate_split},
      {.name = "ConcatFromSequence",
       .since = 11,
       .input_types = {types::kSequence},
       .attributes = {{"axis", AttributeType::int_, Required{}},
                      {"new_axis", AttributeType::int_, int64_t{0}}},
       .infer = infer_concat,
       .evaluate = evaluate_concat},
  };
}

}  // namespace plica
