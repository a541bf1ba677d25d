// Slice (https://onnx.ai/onnx/operators/onnx__Slice.html) and ReverseSequence.
#include <algorithm>
#include <numeric>

#include "engine/core/checked.h"
#include "engine/ops/layout.h"
#include "engine/ops/node_parameters.h"
#include "engine/ops/strided_copy.h"

namespace plica {
namespace {

// What the node says, before the input's dims come in: by entry, not by axis. nullopt: not known yet.
struct SliceArguments {
  std::optional<Dims> starts, ends, axes, steps;
  bool has_axes = false, has_steps = false;
};

template <class Context>
SliceArguments slice_arguments(const Context& context) {
  SliceArguments a;
  if (context.def().until < 10) {
    const AttributeReader& attributes = context.attributes();
    a.starts = attributes.ints("starts");
    a.ends = attributes.ints("ends");
    a.axes = attributes.maybe_ints("axes");
    a.has_axes = a.axes.has_value();
  } else {
    a.starts = ints_of_input(context, 1);
    a.ends = ints_of_input(context, 2);
    a.axes = ints_of_input(context, 3);
    a.steps = ints_of_input(context, 4);
    a.has_axes = context.has_input(3);
    a.has_steps = context.has_input(4);
  }
  const auto same = [&](const std::optional<Dims>& other, std::string_view name) {
    require(!a.starts || !other || other->size() == a.starts->size(), ErrorCode::invalid_model,
            "{} starts, but {} {}", a.starts ? a.starts->size() : 0, other ? other->size() : 0, name);
  };
  same(a.ends, "ends");
  same(a.axes, "axes");
  same(a.steps, "steps");
  if (a.steps) {
    for (int64_t s : *a.steps) require(s != 0, ErrorCode::invalid_model, "a step is 0");
  }
  return a;
}

// The axes that entries stand for, in order of the entries; the first ones when there is no `axes`.
std::vector<int> slice_axes(const SliceArguments& a, size_t entries, int rank) {
  std::vector<int> axes(entries);
  if (!a.has_axes) {
    require(entries <= static_cast<size_t>(rank), ErrorCode::invalid_model,
            "{} starts for an input of rank {}", entries, rank);
    std::iota(axes.begin(), axes.end(), 0);
    return axes;
  }
  normalize_axes(*a.axes, rank);  // each at most once
  std::ranges::transform(*a.axes, axes.begin(), [&](int64_t axis) { return normalize_axis(axis, rank); });
  return axes;
}

// One axis: the elements start, start + step, ... (count of them).
struct Span {
  int64_t start, step, count;
};

// Negative positions count from the end, and what is beyond is clamped: forwards to [0, size], backwards the
// start to [0, size - 1] and the end to [-1, size - 1].
Span span_of(int64_t start, int64_t end, int64_t step, int64_t size) {
  if (size == 0) return {0, 1, 0};
  const int64_t last = step > 0 ? size : size - 1;
  // (Nothing overflows: a size is only added to what is negative.)
  start = std::clamp(start < 0 ? start + size : start, int64_t{0}, last);
  end = std::clamp(end < 0 ? end + size : end, int64_t{step > 0 ? 0 : -1}, last);
  int64_t count = 0;
  // Steps may be as large as INT64_MAX or INT64_MIN; distances are within the size.
  if (step > 0 && start < end) count = (end - start - 1) / step + 1;
  if (step < 0 && start > end) count = (end - start + 1) / step + 1;
  return {start, count <= 1 ? 1 : step, count};
}

// How a whole axis is kept: [0:end) with end beyond any size.
bool keeps_all(int64_t start, int64_t end, int64_t step) {
  return start == 0 && step == 1 && end >= INT32_MAX;
}

void infer_slice(InferContext& context) {
  const SliceArguments a = slice_arguments(context);
  const auto& in = context.input_shape(0);
  if (!in) return context.set_output(0, context.input_type(0), std::nullopt);
  require(in->rank() >= 1, ErrorCode::invalid_model, "a scalar cannot be sliced");
  if (a.has_axes && !a.axes)
    return context.set_output(0, context.input_type(0), Shape(std::vector<Dim>(in->dims().size())));
  size_t entries = 0;
  if (a.starts)
    entries = a.starts->size();
  else if (a.ends)
    entries = a.ends->size();
  else if (a.axes)
    entries = a.axes->size();
  else
    return context.set_output(0, context.input_type(0), Shape(std::vector<Dim>(in->dims().size())));
  const std::vector<int> axes = slice_axes(a, entries, in->rank());
  const bool known = a.starts && a.ends && (a.steps || !a.has_steps);
  Shape out = *in;
  std::optional<std::vector<Dim>> elements;
  if (const auto* all = context.input_elements(0); all && in->rank() == 1 && entries == 0) elements = *all;
  for (size_t i = 0; i < entries; ++i) {
    const Dim size = out[axes[i]];
    out[axes[i]] = Dim();
    if (!known) continue;
    const int64_t start = (*a.starts)[i], end = (*a.ends)[i], step = a.steps ? (*a.steps)[i] : 1;
    if (!size.is_known()) {
      if (keeps_all(start, end, step)) out[axes[i]] = size;
      continue;
    }
    const Span span = span_of(start, end, step, size.value());
    out[axes[i]] = span.count;
    if (const auto* all = context.input_elements(0);
        all && in->rank() == 1 && static_cast<int64_t>(all->size()) == size.value()) {
      elements.emplace();
      for (int64_t j = 0; j < span.count; ++j)
        elements->push_back((*all)[static_cast<size_t>(span.start + j * span.step)]);
    }
  }
  if (elements) context.set_output_elements(0, std::move(*elements));
  context.set_output(0, context.input_type(0), std::move(out));
}

void evaluate_slice(EvaluateContext& context) {
  const Tensor& in = context.input(0);
  const SliceArguments a = slice_arguments(context);
  const std::vector<int> axes = slice_axes(a, a.starts->size(), in.rank());
  Dims dims = in.dims(), strides = row_major_strides(in.dims());
  int64_t offset = 0;
  for (size_t i = 0; i < axes.size(); ++i) {
    const size_t axis = static_cast<size_t>(axes[i]);
    const Span span = span_of((*a.starts)[i], (*a.ends)[i], a.steps ? (*a.steps)[i] : 1, in.dims()[axis]);
    if (span.count > 0) offset += span.start * strides[axis];
    dims[axis] = span.count;
    strides[axis] *= span.step;
  }
  Tensor& out = context.allocate(0, in.type(), dims);
  if (out.size() == 0) return;
  move_elements(in, out, [&](const Tensor& from, Tensor& to) {
    copy_strided(from.type(), dims, element_address(from, offset), strides, to.mutable_raw(),
                 row_major_strides(dims));
  });
}

// ---- ReverseSequence: the first sequence_lens[b] elements of batch b along the time axis, reversed.

struct SequenceAxes {
  int batch, time;
  explicit SequenceAxes(const AttributeReader& attributes)
      : batch(axis(attributes, "batch_axis")), time(axis(attributes, "time_axis")) {
    require(batch != time, ErrorCode::invalid_model, "batch_axis and time_axis are both {}", batch);
  }
  static int axis(const AttributeReader& attributes, std::string_view name) {
    const int64_t value = attributes.i(name);
    require(value == 0 || value == 1, ErrorCode::invalid_model, "{} is {}, it must be 0 or 1", name, value);
    return static_cast<int>(value);
  }
};

void infer_reverse_sequence(InferContext& context) {
  const SequenceAxes axes(context.attributes());
  const auto &in = context.input_shape(0), &lengths = context.input_shape(1);
  require(!in || in->rank() >= 2, ErrorCode::invalid_model, "the input has rank {}, at least 2 is needed",
          in ? in->rank() : 0);
  require(!lengths || lengths->rank() == 1, ErrorCode::invalid_model, "sequence_lens is no vector");
  if (in && lengths && (*in)[axes.batch].is_known() && (*lengths)[0].is_known()) {
    require((*in)[axes.batch].value() == (*lengths)[0].value(), ErrorCode::invalid_model,
            "{} sequence_lens for a batch of {}", (*lengths)[0].value(), (*in)[axes.batch].value());
  }
  context.same_as_input();
}

void evaluate_reverse_sequence(EvaluateContext& context) {
  const SequenceAxes axes(context.attributes());
  const Tensor& in = context.input(0);
  Tensor& out = context.output();
  if (in.size() == 0) return;
  const Dims strides = row_major_strides(in.dims());
  const int64_t batch_stride = strides[static_cast<size_t>(axes.batch)],
                time_stride = strides[static_cast<size_t>(axes.time)];
  const int64_t steps = in.dim(axes.time), row = strides[1];
  const auto lengths = context.input(1).values<int64_t>();
  for (int64_t b = 0; b < in.dim(axes.batch); ++b) {
    const int64_t length = lengths[static_cast<size_t>(b)];
    require(length >= 0 && length <= steps, ErrorCode::invalid_argument,
            "sequence length {} is out of range for {} steps", length, steps);
    const int64_t base = b * batch_stride;
    if (length > 0) {
      copy_strided(in.type(), {length, row}, element_address(in, base + (length - 1) * time_stride),
                   {-time_stride, 1}, element_address(out, base), {time_stride, 1});
    }
    if (length < steps) {
      copy_strided(in.type(), {steps - length, row}, element_address(in, base + length * time_stride),
                   {time_stride, 1}, element_address(out, base + length * time_stride), {time_stride, 1});
    }
  }
}

}  // namespace

std::optional<std::vector<std::optional<AxisSlice>>> axis_slices(const InferContext& context) {
  const SliceArguments a = slice_arguments(context);
  const auto& in = context.input_shape(0);
  const bool known =
      a.starts && a.ends && (a.axes || !a.has_axes) && (a.steps || !a.has_steps) && in && in->rank() >= 1;
  if (!known) return std::nullopt;
  std::vector<std::optional<AxisSlice>> slices(static_cast<size_t>(in->rank()), AxisSlice());
  const std::vector<int> axes = slice_axes(a, a.starts->size(), in->rank());
  for (size_t i = 0; i < axes.size(); ++i) {
    const int64_t start = (*a.starts)[i], end = (*a.ends)[i], step = a.steps ? (*a.steps)[i] : 1;
    const Dim& size = (*in)[axes[i]];
    auto& slice = slices[static_cast<size_t>(axes[i])];
    if (size.is_known()) {
      const Span span = span_of(start, end, step, size.value());
      slice = AxisSlice{span.start, span.step,
                        span.start == 0 && span.step == 1 && span.count == size.value()};
    } else if (!keeps_all(start, end, step)) {
      slice.reset();
    }
  }
  return slices;
}

std::vector<OpDef> slice_ops() {
  std::vector<OpDef> ops;
  ops.push_back({.name = "Slice",
                 .until = 9,
                 .input_types = {types::kAll},
                 .attributes = {{"axes", AttributeType::ints, Optional{}},
                                {"ends", AttributeType::ints, Required{}},
                                {"starts", AttributeType::ints, Required{}}},
                 .infer = infer_slice,
                 .evaluate = evaluate_slice});
  ops.push_back({.name = "Slice",
                 .since = 10,
                 .min_inputs = 3,
                 .max_inputs = 5,
                 .input_types = {types::kAll, types::kIndex},
                 .infer = infer_slice,
                 .evaluate = evaluate_slice});
  ops.push_back({.name = "ReverseSequence",
                 .since = 10,
                 .min_inputs = 2,
                 .max_inputs = 2,
                 .input_types = {types::kAll, types::kInt64},
                 .attributes = {{"batch_axis", AttributeType::int_, int64_t{1}},
                                {"time_axis", AttributeType::int_, int64_t{0}}},
                 .infer = infer_reverse_sequence,
                 .evaluate = evaluate_reverse_sequence});
  return ops;
}

}  // namespace plica
