// CenterCropPad: https://onnx.ai/onnx/operators/onnx__CenterCropPad.html
#include <algorithm>
#include <numeric>

#include "engine/ops/cast.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/indexing.h"
#include "engine/ops/infer.h"
#include "engine/ops/spatial.h"
#include "engine/ops/strided_copy.h"

namespace plica {
namespace {

std::vector<int> axes_of(const AttributeReader& attributes, int rank) {
  std::vector<int> axes;
  if (const auto given = attributes.maybe_ints("axes")) {
    for (const int64_t axis : *given) {
      axes.push_back(normalize_axis(axis, rank));
      require(std::count(axes.begin(), axes.end(), axes.back()) == 1, ErrorCode::invalid_model,
              "axis {} is given twice", axes.back());
    }
  } else {
    axes.resize(static_cast<size_t>(rank));
    std::iota(axes.begin(), axes.end(), 0);
  }
  return axes;
}

void infer_center_crop_pad(InferContext& context) {
  const DataType type = context.input_type(0);
  const auto &in = context.input_shape(0), &shape = context.input_shape(1);
  require(!shape || shape->rank() == 1, ErrorCode::invalid_model, "the shape is of rank {}, it must be 1",
          shape ? shape->rank() : 0);
  if (!in) return context.set_output(0, type, std::nullopt);
  const std::vector<int> axes = axes_of(context.attributes(), in->rank());
  if (shape && (*shape)[0].is_known()) {
    require((*shape)[0].value() == static_cast<int64_t>(axes.size()), ErrorCode::invalid_model,
            "the shape has {} elements for {} axes", (*shape)[0].value(), axes.size());
  }
  const auto* elements = context.input_elements(1);
  Shape out = *in;
  for (size_t i = 0; i < axes.size(); ++i) {
    Dim& dim = out[axes[i]];
    dim = elements && i < elements->size() ? (*elements)[i] : Dim();
    require(!dim.is_known() || dim.value() >= 0, ErrorCode::invalid_model, "a dimension of the shape is {}",
            to_string(dim));
  }
  context.set_output(0, type, std::move(out));
}

void clear(Tensor& out) {
  if (out.type() == DataType::string) {
    std::fill_n(out.mutable_data<std::string>(), out.size(), std::string());
  } else {
    std::fill_n(static_cast<std::byte*>(out.mutable_raw()), out.bytes(), std::byte{0});
  }
}

void evaluate_center_crop_pad(EvaluateContext& context) {
  const Tensor& in = context.input(0);
  const std::vector<int> axes = axes_of(context.attributes(), in.rank());
  const std::vector<int64_t> shape = [&] {
    const Tensor wide = cast_tensor(context.input(1), DataType::int64);
    return std::vector<int64_t>(wide.values<int64_t>().begin(), wide.values<int64_t>().end());
  }();
  const Dims from_strides = row_major_strides(in.dims());
  Dims dims = in.dims(), common = in.dims(), start(dims.size(), 0);
  int64_t from = 0;
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto d = static_cast<size_t>(axes[i]);
    dims[d] = shape[i];
    common[d] = std::min(in.dims()[d], shape[i]);
    // Halves are rounded down: a cropping window is left of the center, an odd pad is on the right.
    from += (in.dims()[d] - common[d]) / 2 * from_strides[d];
    start[d] = (shape[i] - common[d]) / 2;
  }
  Tensor& out = context.allocate(0, in.type(), dims);
  const Dims to_strides = row_major_strides(dims);
  const int64_t to = std::inner_product(start.begin(), start.end(), to_strides.begin(), int64_t{0});
  if (common != dims) clear(out);
  if (std::ranges::find(common, 0) != common.end()) return;
  copy_strided(in.type(), common, element_address(in, from), from_strides, element_address(out, to),
               to_strides);
}

}  // namespace

std::vector<OpDef> center_crop_pad_ops() {
  return {{.name = "CenterCropPad",
           .since = 18,
           .min_inputs = 2,
           .max_inputs = 2,
           .input_types = {kMovableTypes, types::kIndex},
           .attributes = {{"axes", AttributeType::ints, Optional{}}},
           .infer = infer_center_crop_pad,
           .evaluate = evaluate_center_crop_pad}};
}

}  // namespace plica
