// DeformConv: https://onnx.ai/onnx/operators/onnx__DeformConv.html. A convolution whose kernel elements each
// read the input at a place of their own (Dai et al., "Deformable Convolutional Networks", 2017),
// interpolated linearly, times a mask (Zhu et al., "Deformable ConvNets v2", 2018).
#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/core/checked.h"
#include "engine/core/dispatch.h"
#include "engine/core/parallel.h"
#include "engine/ops/broadcast.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/matrix_product.h"
#include "engine/ops/spatial.h"
#include "engine/ops/spatial_window.h"
#include "engine/ops/strided_copy.h"
#include "engine/ops/widened.h"

namespace plica {
namespace {

constexpr int kMostAxes = 8;

void require_channels(const Dim& have, const Dim& want, std::string_view what) {
  require(!have.is_known() || !want.is_known() || have.value() == want.value(), ErrorCode::invalid_model,
          "the {} has {} channels, it must have {}", what, to_string(have), to_string(want));
}

// x [N, C, D1, ..., Dr], w [M, C/group, k1, ..., kr], offset [N, offset_group * taps * r, O1, ..., Or],
// bias [M], mask [N, offset_group * taps, O1, ..., Or] -> [N, M, O1, ..., Or]
void infer_deform_conv(InferContext& context) {
  const DataType type = common_type(context, 0, 5);
  const AttributeReader& attributes = context.attributes();
  const int64_t group = attributes.i("group"), offset_group = attributes.i("offset_group");
  require(group >= 1, ErrorCode::invalid_model, "group is {}", group);
  require(offset_group >= 1, ErrorCode::invalid_model, "offset_group is {}", offset_group);
  const auto &x = context.input_shape(0), &w = context.input_shape(1), &offset = context.input_shape(2);
  const auto &bias = context.has_input(3) ? context.input_shape(3) : std::nullopt,
             &mask = context.has_input(4) ? context.input_shape(4) : std::nullopt;
  int rank = 0;
  for (const auto* shape : {&x, &w, &offset, &mask}) {
    if (!*shape) continue;
    require((*shape)->rank() >= 3 && (*shape)->rank() <= kMostAxes + 2, ErrorCode::invalid_model,
            "an input is of rank {}, it must be between 3 and {}", (*shape)->rank(), kMostAxes + 2);
    require(!rank || (*shape)->rank() == rank, ErrorCode::invalid_model, "the inputs are of ranks {} and {}",
            rank, (*shape)->rank());
    rank = (*shape)->rank();
  }
  if (!rank) return context.set_output(0, type, std::nullopt);
  const auto axes = static_cast<size_t>(rank) - 2;
  const SpatialWindow window(attributes, axes);
  std::vector<Dim> kernel(axes);
  if (attributes.has("kernel_shape"))
    std::ranges::copy(window_list(attributes, "kernel_shape", axes, 1, 1), kernel.begin());
  std::vector<Dim> out(axes + 2);
  const auto merge_into = [&](const std::optional<Shape>& shape) {
    if (!shape) return;
    out[0] = merge(out[0], (*shape)[0]);
    for (int d = 2; d < rank; ++d)
      out[static_cast<size_t>(d)] = merge(out[static_cast<size_t>(d)], (*shape)[d]);
  };
  merge_into(offset);
  merge_into(mask);
  if (w) {
    out[1] = (*w)[0];
    for (size_t d = 0; d < axes; ++d) kernel[d] = merge(kernel[d], (*w)[static_cast<int>(d) + 2]);
    require(!out[1].is_known() || out[1].value() % group == 0, ErrorCode::invalid_model,
            "{} output channels do not divide into {} groups", to_string(out[1]), group);
  }
  if (bias) {
    require(bias->rank() == 1, ErrorCode::invalid_model, "the bias is of rank {}, it must be 1",
            bias->rank());
    require_channels((*bias)[0], out[1], "bias");
    out[1] = merge(out[1], (*bias)[0]);
  }
  if (x) {
    out[0] = merge(out[0], (*x)[0]);
    const Dim& channels = (*x)[1];
    require(!channels.is_known() || channels.value() % offset_group == 0, ErrorCode::invalid_model,
            "{} input channels do not divide into {} offset groups", to_string(channels), offset_group);
    if (w) require_channels(channels, multiply((*w)[1], group), "input");
    for (size_t d = 0; d < axes; ++d) {
      const Dim& size = (*x)[static_cast<int>(d) + 2];
      require(!kernel[d].is_known() || kernel[d].value() > 0, ErrorCode::invalid_model,
              "the kernel has an axis of 0");
      if (size.is_known() && kernel[d].is_known())
        out[d + 2] = merge(out[d + 2], window.count(d, size.value(), kernel[d].value()));
    }
  }
  Dim taps = offset_group;
  for (const Dim& k : kernel) taps = multiply(taps, k);
  if (offset) require_channels((*offset)[1], multiply(taps, static_cast<int64_t>(axes)), "offset");
  if (mask) require_channels((*mask)[1], taps, "mask");
  context.set_output(0, type, Shape(std::move(out)));
}

// The input elements between which one output position's sample lies, with their weights; those outside the
// input count as zero and are left out.
template <class T>
struct Corners {
  int count = 0;
  int64_t offsets[1 << kMostAxes];
  T weights[1 << kMostAxes];

  void place(const Dims& sizes, const Dims& strides, const T* position, T scale) {
    count = 1;
    offsets[0] = 0;
    weights[0] = scale;
    for (size_t d = 0; d < sizes.size(); ++d) {
      const T x = position[d];
      if (!(x > -1 && x < static_cast<T>(sizes[d]))) {  // NaN too
        count = 0;
        return;
      }
      const T floor = std::floor(x), upper = x - floor;
      const auto low = static_cast<int64_t>(floor);
      const int before = count;
      if (low + 1 < sizes[d]) {
        for (int i = 0; i < before; ++i, ++count) {
          offsets[count] = offsets[i] + (low + 1) * strides[d];
          weights[count] = weights[i] * upper;
        }
      }
      if (low >= 0) {
        for (int i = 0; i < before; ++i) {
          offsets[i] += low * strides[d];
          weights[i] *= 1 - upper;
        }
      } else {
        std::copy(offsets + before, offsets + count, offsets);
        std::copy(weights + before, weights + count, weights);
        count -= before;
      }
    }
  }
};

// Those of some output positions, position after position.
template <class T>
struct Samples {
  std::vector<size_t> ends;  // [positions]
  std::vector<int64_t> offsets;
  std::vector<T> weights;

  void clear() {
    ends.clear();
    offsets.clear();
    weights.clear();
  }
  void add(const Corners<T>& c) {
    offsets.insert(offsets.end(), c.offsets, c.offsets + c.count);
    weights.insert(weights.end(), c.weights, c.weights + c.count);
    ends.push_back(offsets.size());
  }
  // Of one channel.
  void read(const T* x, T* y) const {
    size_t i = 0;
    for (const size_t end : ends) {
      T sum = 0;
      for (; i < end; ++i) sum += weights[i] * x[offsets[i]];
      *y++ = sum;
    }
  }
};

template <class T>
void convolve(const AttributeReader& attributes, const Tensor& x, const Tensor& w, const Tensor& offset,
              const Tensor* bias, const Tensor* mask, Tensor& out) {
  const auto axes = static_cast<size_t>(x.rank()) - 2;
  const SpatialWindow window(attributes, axes);
  const int64_t groups = attributes.i("group"), offset_groups = attributes.i("offset_group");
  const auto spatial = [](const Tensor& t) { return Dims(t.dims().begin() + 2, t.dims().end()); };
  const auto product = [](const Dims& d) {
    return std::accumulate(d.begin(), d.end(), int64_t{1}, std::multiplies<>());
  };
  const Dims sizes = spatial(x), kernel = spatial(w), outputs = spatial(out),
             strides = row_major_strides(sizes);
  const int64_t channels = x.dim(1), maps = out.dim(1), taps = product(kernel), plane = product(sizes),
                positions = product(outputs);
  if (out.size() == 0) return;
  T* y = out.mutable_data<T>();
  for (int64_t row = 0; row < out.dim(0) * maps; ++row)
    std::fill_n(y + row * positions, positions, bias ? bias->data<T>()[row % maps] : T(0));
  const int64_t depth = channels / groups * taps;
  if (depth == 0) return;
  // Parts of the output positions for which the samples of all channels and taps fit a cache.
  const int64_t part = std::clamp<int64_t>((int64_t{1} << 18) / (channels * taps), 16, 1024);
  std::vector<T> samples(static_cast<size_t>(channels * taps * part));
  for (int64_t n = 0; n < out.dim(0); ++n) {
    for (int64_t first = 0; first < positions; first += part) {
      const int64_t count = std::min(part, positions - first);
      const int64_t per_group = channels / offset_groups;
      parallel_for(offset_groups * taps, 1, [&](int64_t begin, int64_t end) {
        Corners<T> corners;
        Samples<T> places;
        for (int64_t i = begin; i < end; ++i) {
          const int64_t tap = i % taps, channel = i / taps * per_group;
          const T* shifts =
              offset.data<T>() + (n * offset_groups * taps + i) * static_cast<int64_t>(axes) * positions;
          const T* scales = mask ? mask->data<T>() + (n * offset_groups * taps + i) * positions : nullptr;
          places.clear();
          for (int64_t p = 0; p < count; ++p) {
            T position[kMostAxes];
            int64_t rest = first + p, tap_rest = tap;
            for (size_t d = axes; d-- > 0;) {
              const int64_t base = rest % outputs[d] * window.strides[d] - window.pads_begin[d] +
                                   tap_rest % kernel[d] * window.dilations[d];
              position[d] = static_cast<T>(base) + shifts[static_cast<int64_t>(d) * positions + first + p];
              rest /= outputs[d];
              tap_rest /= kernel[d];
            }
            corners.place(sizes, strides, position, scales ? scales[first + p] : T(1));
            places.add(corners);
          }
          for (int64_t c = channel; c < channel + per_group; ++c)
            places.read(x.data<T>() + (n * channels + c) * plane, samples.data() + (c * taps + tap) * part);
        }
      });
      for (int64_t g = 0; g < groups; ++g) {
        const int64_t rows = maps / groups;
        add_product<T>(rows, count, depth, MatrixView<T>{w.data<T>() + g * rows * depth, depth, 1},
                       MatrixView<T>{samples.data() + g * depth * part, part, 1},
                       y + (n * maps + g * rows) * positions + first, positions);
      }
    }
  }
}

void evaluate_deform_conv(EvaluateContext& context) {
  compute_widened({&context.input(0), &context.input(1), &context.input(2), context.maybe_input(3),
                   context.maybe_input(4)},
                  context.output(), [&](const std::vector<const Tensor*>& in, Tensor& out) {
                    dispatch<TypeList<float, double>>(out.type(), [&]<class T>(std::type_identity<T>) {
                      convolve<T>(context.attributes(), *in[0], *in[1], *in[2], in[3], in[4], out);
                    });
                  });
}

}  // namespace

std::vector<OpDef> deform_conv_ops() {
  return {{.name = "DeformConv",
           .since = 19,
           .min_inputs = 3,
           .max_inputs = 5,
           .input_types = {types::kFloat},
           .attributes = {{"dilations", AttributeType::ints, Optional{}},
                          {"group", AttributeType::int_, int64_t{1}},
                          {"kernel_shape", AttributeType::ints, Optional{}},
                          {"offset_group", AttributeType::int_, int64_t{1}},
                          {"pads", AttributeType::ints, Optional{}},
                          {"strides", AttributeType::ints, Optional{}}},
           .infer = infer_deform_conv,
           .evaluate = evaluate_deform_conv}};
}

}  // namespace plica
