// Col2Im: https://onnx.ai/onnx/operators/onnx__Col2Im.html
#include <algorithm>
#include <complex>
#include <numeric>

#include "engine/core/checked.h"
#include "engine/core/dispatch.h"
#include "engine/core/parallel.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/spatial.h"
#include "engine/ops/spatial_window.h"
#include "engine/ops/window_range.h"

namespace plica {
namespace {

// The number of spatial axes as far as the input tells it; 0 when not.
size_t count_axes(const InferContext& context, int i, std::string_view what) {
  const auto& shape = context.input_shape(i);
  if (!shape) return 0;
  require(shape->rank() == 1, ErrorCode::invalid_model, "the {} is of rank {}, it must be 1", what,
          shape->rank());
  if (!(*shape)[0].is_known()) return 0;
  constexpr int64_t kMostAxes = 32;
  require((*shape)[0].value() >= 1 && (*shape)[0].value() <= kMostAxes, ErrorCode::invalid_model,
          "the {} has {} elements", what, (*shape)[0].value());
  return static_cast<size_t>((*shape)[0].value());
}

void require_positive(const std::vector<Dim>& dims, std::string_view what) {
  for (const Dim& d : dims)
    require(!d.is_known() || d.value() > 0, ErrorCode::invalid_model, "the {} is {}", what,
            to_string(Shape(dims)));
}

// [N, C * taps, windows], image shape, block shape -> [N, C, image...]
void infer_col2im(InferContext& context) {
  const DataType type = context.input_type(0);
  const auto& in = context.input_shape(0);
  require(!in || in->rank() == 3, ErrorCode::invalid_model, "the input is of rank {}, it must be 3",
          in ? in->rank() : 0);
  const size_t image_axes = count_axes(context, 1, "image shape"),
               block_axes = count_axes(context, 2, "block shape");
  require(!image_axes || !block_axes || image_axes == block_axes, ErrorCode::invalid_model,
          "the image has {} axes, the block {}", image_axes, block_axes);
  const size_t axes = std::max(image_axes, block_axes);
  if (!axes) return context.set_output(0, type, std::nullopt);
  const SpatialWindow window(context.attributes(), axes);
  const auto* image = context.input_elements(1);
  const auto* block = context.input_elements(2);
  if (image) require_positive(*image, "image shape");
  if (block) require_positive(*block, "block shape");
  Dim taps = block ? Dim(1) : Dim(), windows = block && image ? Dim(1) : Dim(), channels;
  for (size_t d = 0; block && d < axes; ++d) {
    const Dim& kernel = (*block)[d];
    taps = multiply(taps, kernel);
    const bool known = image && (*image)[d].is_known() && kernel.is_known();
    windows = multiply(windows, known ? Dim(window.count(d, (*image)[d].value(), kernel.value())) : Dim());
  }
  if (in && (*in)[1].is_known() && taps.is_known()) {
    require((*in)[1].value() % taps.value() == 0, ErrorCode::invalid_model,
            "{} rows do not divide into blocks of {} elements", (*in)[1].value(), taps.value());
    channels = (*in)[1].value() / taps.value();
  } else if (in && taps.is_known() && taps.value() == 1) {
    channels = (*in)[1];
  }
  if (in && (*in)[2].is_known() && windows.is_known()) {
    require((*in)[2].value() == windows.value(), ErrorCode::invalid_model,
            "the input has {} blocks, the image {}", (*in)[2].value(), windows.value());
  }
  std::vector<Dim> out{in ? (*in)[0] : Dim(), channels};
  out.resize(axes + 2);
  if (image) std::ranges::copy(*image, out.begin() + 2);
  context.set_output(0, type, Shape(std::move(out)));
}

// Every window's elements are added to the image; what lies in the padding is dropped.
void evaluate_col2im(EvaluateContext& context) {
  const Tensor& in = context.input(0);
  const auto image = context.input(1).values<int64_t>(), block = context.input(2).values<int64_t>();
  const size_t axes = image.size(), last = axes - 1;
  const SpatialWindow window(context.attributes(), axes);
  Dims counts(axes);
  for (size_t d = 0; d < axes; ++d) counts[d] = window.count(d, image[d], block[d]);
  const int64_t taps = std::accumulate(block.begin(), block.end(), int64_t{1}, std::multiplies<>());
  const int64_t windows = std::accumulate(counts.begin(), counts.end(), int64_t{1}, std::multiplies<>());
  Dims dims{in.dim(0), in.dim(1) / taps};
  dims.insert(dims.end(), image.begin(), image.end());
  Tensor& out = context.allocate(0, in.type(), dims);
  if (out.size() == 0) return;
  const int64_t planes = dims[0] * dims[1], plane = out.size() / planes, rows = windows / counts[last];
  const auto fold = [&]<class T, class Sum>(std::type_identity<T>, std::type_identity<Sum>) {
    const T* x = static_cast<const T*>(in.raw());
    T* y = static_cast<T*>(out.mutable_raw());
    parallel_for(planes, std::max<int64_t>(1, 16384 / (taps * windows)), [&](int64_t begin, int64_t end) {
      std::vector<Sum> sums(static_cast<size_t>(plane));
      for (int64_t p = begin; p < end; ++p) {
        std::ranges::fill(sums, Sum{});
        for (int64_t tap = 0; tap < taps; ++tap) {
          const T* column = x + (p * taps + tap) * windows;
          for (int64_t row = 0; row < rows; ++row, column += counts[last]) {
            // Where the row's windows see the image through this tap.
            int64_t offset = 0, scale = 1, tap_rest = tap, row_rest = row, first = 0;
            bool is_inside = true;
            for (size_t d = axes; d-- > 0;) {
              const int64_t shift = tap_rest % block[d] * window.dilations[d] - window.pads_begin[d];
              tap_rest /= block[d];
              if (d == last) {
                first = shift;
              } else {
                const int64_t at = row_rest % counts[d] * window.strides[d] + shift;
                row_rest /= counts[d];
                is_inside = is_inside && at >= 0 && at < image[d];
                offset += at * scale;
              }
              scale *= image[d];
            }
            if (!is_inside) continue;
            const Range range = inside(first, window.strides[last], image[last], counts[last]);
            for (int64_t i = range.begin; i < range.end; ++i) {
              Sum& sum = sums[static_cast<size_t>(offset + first + i * window.strides[last])];
              sum = static_cast<Sum>(sum + static_cast<Sum>(column[i]));
            }
          }
        }
        std::transform(sums.begin(), sums.end(), y + p * plane,
                       [](const Sum& s) { return static_cast<T>(s); });
      }
    });
  };
  switch (in.type()) {
    case DataType::boolean:  // the sum of truth values is their disjunction, as in numpy
      return fold(std::type_identity<bool>{}, std::type_identity<int64_t>{});
    case DataType::complex64:
      return fold(std::type_identity<std::complex<float>>{}, std::type_identity<std::complex<float>>{});
    case DataType::complex128:
      return fold(std::type_identity<std::complex<double>>{}, std::type_identity<std::complex<double>>{});
    default:
      return dispatch<NumericTypes>(in.type(), [&]<class T>(std::type_identity<T> type) {
        fold(type, std::type_identity<WrapType<ComputeType<T>>>{});
      });
  }
}

}  // namespace

std::vector<OpDef> col2im_ops() {
  // The specification lists strings too, whose sum nothing defines.
  return {{.name = "Col2Im",
           .since = 18,
           .min_inputs = 3,
           .max_inputs = 3,
           .input_types = {types::kNumeric | types::kBool | types::kComplex, types::kInt64, types::kInt64},
           .attributes = {{"dilations", AttributeType::ints, Optional{}},
                          {"pads", AttributeType::ints, Optional{}},
                          {"strides", AttributeType::ints, Optional{}}},
           .infer = infer_col2im,
           .evaluate = evaluate_col2im}};
}

}  // namespace plica
