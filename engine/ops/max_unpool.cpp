// MaxUnpool: https://onnx.ai/onnx/operators/onnx__MaxUnpool.html
#include <algorithm>
#include <numeric>

#include "engine/core/checked.h"
#include "engine/core/dispatch.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/spatial.h"
#include "engine/ops/spatial_window.h"
#include "engine/ops/strided_copy.h"

namespace plica {
namespace {

// The size that pooled to `size`: (size - 1) * stride + kernel - pads.
int64_t unpooled(const SpatialWindow& window, size_t axis, int64_t size, int64_t kernel) {
  const int64_t span = checked_add(checked_mul(size - 1, window.strides[axis]), kernel);
  const int64_t result = checked_sub(span, checked_add(window.pads_begin[axis], window.pads_end[axis]));
  require(result >= 0, ErrorCode::invalid_model, "the pads leave {} of axis {}", result, axis + 2);
  return result;
}

void infer_max_unpool(InferContext& context) {
  const DataType type = context.input_type(0);
  const auto &x = context.input_shape(0), &indices = context.input_shape(1);
  const size_t axes = context.attributes().ints("kernel_shape").size();
  const SpatialWindow window(context.attributes(), axes);
  const Dims kernel = window_list(context.attributes(), "kernel_shape", axes, 1, 1);
  for (const auto* shape : {&x, &indices}) {
    require(!*shape || (*shape)->rank() == static_cast<int>(axes) + 2, ErrorCode::invalid_model,
            "an input is of rank {}, a kernel of {} axes needs {}", *shape ? (*shape)->rank() : 0, axes,
            axes + 2);
  }
  if (x && indices) {
    for (int d = 0; d < x->rank(); ++d) merge((*x)[d], (*indices)[d]);
  }
  if (context.has_input(2) && context.input_shape(2)) {
    const Shape& shape = *context.input_shape(2);
    require(shape.rank() == 1 && (!shape[0].is_known() || shape[0].value() == static_cast<int64_t>(axes) + 2),
            ErrorCode::invalid_model, "the output shape is a tensor {}, it must be [{}]", to_string(shape),
            axes + 2);
  }
  const auto* given = context.input_elements(2);
  std::vector<Dim> out(axes + 2);
  for (size_t d = 0; d < out.size(); ++d) {
    Dim full;
    if (x && d < 2) {
      full = (*x)[static_cast<int>(d)];
    } else if (x && (*x)[static_cast<int>(d)].is_known()) {
      full = unpooled(window, d - 2, (*x)[static_cast<int>(d)].value(), kernel[d - 2]);
    }
    if (!context.has_input(2)) {
      out[d] = full;
    } else if (given) {
      out[d] = (*given)[d];
      require(!out[d].is_known() || !full.is_known() || out[d].value() >= full.value(),
              ErrorCode::invalid_model, "the output shape {} is less than the unpooled size {} on axis {}",
              to_string(Shape(*given)), to_string(full), d);
    }
  }
  context.set_output(0, type, Shape(std::move(out)));
}

// The indices count in the unpooled tensor, whose size follows from the attributes; an output shape only puts
// that into the corner of a larger tensor. (So the ONNX suite has it; an index of a MaxPool whose input was
// larger than that is out of range.)
void evaluate_max_unpool(EvaluateContext& context) {
  const Tensor& x = context.input(0);
  const size_t axes = context.attributes().ints("kernel_shape").size();
  const SpatialWindow window(context.attributes(), axes);
  const Dims kernel = context.attributes().ints("kernel_shape");
  Dims full = x.dims();
  for (size_t d = 0; d < axes; ++d) full[d + 2] = unpooled(window, d, full[d + 2], kernel[d]);
  Dims dims = full;
  if (const Tensor* shape = context.maybe_input(2)) {
    dims.assign(shape->values<int64_t>().begin(), shape->values<int64_t>().end());
  }
  Tensor& out = context.allocate(0, x.type(), dims);
  const int64_t size = checked_elements(full);
  const int64_t* index = context.input(1).data<int64_t>();
  std::fill_n(static_cast<std::byte*>(out.mutable_raw()), out.bytes(), std::byte{0});
  const Dims full_strides = row_major_strides(full), strides = row_major_strides(dims);
  dispatch_by_size(x.type(), [&]<class T>(std::type_identity<T>) {
    const T* from = static_cast<const T*>(x.raw());
    T* y = static_cast<T*>(out.mutable_raw());
    for (int64_t i = 0; i < x.size(); ++i) {
      require(index[i] >= 0 && index[i] < size, ErrorCode::invalid_argument,
              "index {} is out of range for an unpooled tensor of {} elements", index[i], size);
      int64_t at = 0;
      for (size_t d = 0; d < dims.size(); ++d) at += index[i] / full_strides[d] % full[d] * strides[d];
      y[at] = from[i];
    }
  });
}

}  // namespace

std::vector<OpDef> max_unpool_ops() {
  return {{.name = "MaxUnpool",
           .since = 9,
           .min_inputs = 2,
           .max_inputs = 3,
           .input_types = {types::kFloat, types::kInt64, types::kInt64},
           .attributes = {{"kernel_shape", AttributeType::ints, Required{}},
                          {"pads", AttributeType::ints, Optional{}},
                          {"strides", AttributeType::ints, Optional{}}},
           .infer = infer_max_unpool,
           .evaluate = evaluate_max_unpool}};
}

}  // namespace plica
