// Conv in any number of spatial dims: https://onnx.ai/onnx/operators/onnx__Conv.html. Weights [M, C/group,
// kernel...].
#include <algorithm>
#include <functional>
#include <numeric>

#include "engine/core/checked.h"
#include "engine/core/dispatch.h"
#include "engine/core/parallel.h"
#include "engine/ops/broadcast.h"
#include "engine/ops/conv_geometry.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/linear.h"
#include "engine/ops/matrix_product.h"
#include "engine/ops/widened.h"
#include "engine/ops/window_range.h"

namespace plica {
namespace {

std::vector<Dim> spatial_dims(const Shape& shape) { return {shape.begin() + 2, shape.end()}; }

void infer_conv(InferContext& context) {
  const DataType type = common_type(context, 0, 3);
  const AttributeReader& attributes = context.attributes();
  const int64_t group = attributes.i("group");
  require(group >= 1, ErrorCode::invalid_model, "group is {}", group);
  const auto &x = context.input_shape(0), &w = context.input_shape(1);
  require(!x || x->rank() >= 3, ErrorCode::invalid_model, "the input has rank {}, at least 3 is needed",
          x ? x->rank() : 0);
  require(!w || w->rank() >= 3, ErrorCode::invalid_model, "the weight has rank {}, at least 3 is needed",
          w ? w->rank() : 0);
  require(!x || !w || x->rank() == w->rank(), ErrorCode::invalid_model,
          "the input has rank {}, the weight {}", x ? x->rank() : 0, w ? w->rank() : 0);
  const Dim maps = w ? (*w)[0] : Dim();
  if (w && maps.is_known()) {
    require(maps.value() % group == 0, ErrorCode::invalid_model,
            "{} output channels do not divide into {} groups", maps.value(), group);
  }
  if (x && w && (*x)[1].is_known() && (*w)[1].is_known()) {
    require((*x)[1].value() == checked_mul((*w)[1].value(), group), ErrorCode::invalid_model,
            "the weight has {} input channels{}, the input {}", (*w)[1].value(),
            group == 1 ? "" : fmt::format(" in each of {} groups", group), (*x)[1].value());
  }
  Dim channels = maps;
  if (context.has_input(2) && context.input_shape(2)) {
    const Shape& b = *context.input_shape(2);
    require(b.rank() == 1 && (!b[0].is_known() || !maps.is_known() || b[0].value() == maps.value()),
            ErrorCode::invalid_model, "the bias has shape {}, the weight {} output channels", to_string(b),
            to_string(maps));
    channels = merge(maps, b[0]);
  }
  if (!x) {
    if (!w) return context.set_output(0, type, std::nullopt);
    Shape out(std::vector<Dim>(w->dims().size()));
    out[1] = channels;
    return context.set_output(0, type, std::move(out));
  }
  const std::vector<Dim> spatial = spatial_dims(*x);
  const std::vector<Dim> kernel = w ? spatial_dims(*w) : std::vector<Dim>(spatial.size());
  Shape out = {(*x)[0], channels};
  for (Dim& d : conv_output_dims(attributes, spatial, kernel)) out.push_back(std::move(d));
  context.set_output(0, type, std::move(out));
}

int64_t product(const Dims& dims) {
  return std::accumulate(dims.begin(), dims.end(), int64_t{1}, std::multiplies<>());
}

// The input of one convolution group seen through its windows: the matrix of im2col, row (channel, tap),
// column output position. It is never stored; load_row makes the parts that the product asks for.
class Windows {
 public:
  Windows(const WindowGeometry& g, const Dims& spatial)
      : g_(g), spatial_(spatial), taps_(product(g.kernel)), size_(product(spatial)) {}

  int64_t taps() const { return taps_; }
  int64_t input_size() const { return size_; }
  // The columns are the input's elements themselves.
  bool trivial() const {
    const auto all = [](const Dims& d, int64_t v) {
      return std::ranges::all_of(d, [v](int64_t e) { return e == v; });
    };
    return taps_ == 1 && all(g_.strides, 1) && all(g_.pads_begin, 0) && all(g_.pads_end, 0);
  }

  // Calls f(output offset, input offset or -1 when outside, range of columns inside) for each output row (the
  // positions along the last axis) that covers columns [begin, end), seen through `tap`. The input offset is
  // that of the row's column 0, and may itself lie before the input.
  template <class F>
  void for_each_row(int64_t tap, int64_t begin, int64_t end, F&& f) const {
    const size_t last = g_.rank() - 1;
    const int64_t width = g_.output[last];
    int64_t offsets[kMostAxes];  // by which the tap shifts each axis
    for (size_t d = last + 1; d-- > 0;) {
      offsets[d] = tap % g_.kernel[d] * g_.dilations[d] - g_.pads_begin[d];
      tap /= g_.kernel[d];
    }
    const Range columns = inside(offsets[last], g_.strides[last], spatial_[last], width);
    for (int64_t row = begin / width; row * width < end; ++row) {
      int64_t input = 0, rest = row, scale = spatial_[last];
      for (size_t d = last; d-- > 0;) {
        const int64_t at = rest % g_.output[d] * g_.strides[d] + offsets[d];
        rest /= g_.output[d];
        if (at < 0 || at >= spatial_[d]) {
          input = -1;
          break;
        }
        input += at * scale;
        scale *= spatial_[d];
      }
      f(row * width, input < 0 ? Range{0, 0} : columns, input + offsets[last]);
    }
  }

  template <class T>
  void load_row(const T* x, int64_t k, int64_t begin, int64_t count, T* out) const {
    const T* channel = x + k / taps_ * size_;
    const int64_t step = g_.strides.back(), width = g_.output.back();
    for_each_row(k % taps_, begin, begin + count, [&](int64_t start, Range columns, int64_t input) {
      // The part of this row that is asked for, and what of it is inside.
      const int64_t from = std::max(begin - start, int64_t{0}), to = std::min(begin + count - start, width);
      const int64_t first = std::clamp(columns.begin, from, to), last = std::clamp(columns.end, first, to);
      T* row = out + start - begin;
      std::fill(row + from, row + first, T(0));
      if (step == 1) {
        if (first < last) std::copy(channel + (input + first), channel + (input + last), row + first);
      } else {
        for (int64_t i = first; i < last; ++i) row[i] = channel[input + i * step];
      }
      std::fill(row + last, row + to, T(0));
    });
  }

  static constexpr size_t kMostAxes = 32;

 private:
  const WindowGeometry& g_;
  const Dims& spatial_;
  int64_t taps_, size_;
};

// One output channel by shifting and adding rows: for few output channels per group, depthwise above all.
template <class T>
void accumulate_channel(const Windows& windows, const WindowGeometry& g, int64_t channels, const T* x,
                        const T* w, T* y, int64_t outputs) {
  const int64_t step = g.strides.back();
  for (int64_t c = 0; c < channels; ++c, x += windows.input_size(), w += windows.taps()) {
    for (int64_t tap = 0; tap < windows.taps(); ++tap) {
      const T factor = w[tap];
      windows.for_each_row(tap, 0, outputs, [&](int64_t start, Range columns, int64_t input) {
        if (columns.begin == columns.end) return;
        T* row = y + start + columns.begin;
        const T* from = x + (input + columns.begin * step);
        const int64_t count = columns.end - columns.begin;
        if (step == 1) {
          for (int64_t i = 0; i < count; ++i) row[i] += factor * from[i];
        } else {
          for (int64_t i = 0; i < count; ++i) row[i] += factor * from[i * step];
        }
      });
    }
  }
}

template <class T>
void convolve(const WindowGeometry& g, int64_t groups, const Tensor& x, const Tensor& w, const Tensor* bias,
              Tensor& y) {
  const Dims spatial(x.dims().begin() + 2, x.dims().end());
  const Windows windows(g, spatial);
  const int64_t maps = y.dim(1), outputs = product(g.output);
  const int64_t group_maps = maps / groups, group_channels = w.dim(1);
  const int64_t depth = group_channels * windows.taps();
  const T* px = x.data<T>();
  const T* pw = w.data<T>();
  T* py = y.mutable_data<T>();
  const auto add_bias = [&](int64_t plane) {
    std::fill_n(py + plane * outputs, outputs, bias ? bias->data<T>()[plane % maps] : T(0));
  };
  const auto group_input = [&](int64_t plane) {
    return px + (plane / maps * groups + plane % maps / group_maps) * group_channels * windows.input_size();
  };

  if (group_maps < 4) {
    const int64_t work = depth * outputs;
    parallel_for(y.dim(0) * maps, std::max<int64_t>(1, 32768 / std::max<int64_t>(work, 1)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t plane = begin; plane < end; ++plane) {
                     add_bias(plane);
                     accumulate_channel(windows, g, group_channels, group_input(plane),
                                        pw + plane % maps * depth, py + plane * outputs, outputs);
                   }
                 });
    return;
  }
  const auto multiply = [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) {
      const int64_t plane = part * group_maps;
      for (int64_t i = 0; i < group_maps; ++i) add_bias(plane + i);
      const T* in = group_input(plane);
      const MatrixView<T> weight{pw + plane % maps * depth, depth, 1};
      T* out = py + plane * outputs;
      if (windows.trivial()) {
        add_product<T>(group_maps, outputs, depth, weight, MatrixView<T>{in, outputs, 1}, out, outputs);
      } else {
        add_product<T>(
            group_maps, outputs, depth, weight,
            [&](int64_t k, int64_t first, int64_t count, T* row) {
              windows.load_row(in, k, first, count, row);
            },
            out, outputs);
      }
    }
  };
  // Many products in parallel, or each in parallel.
  const int64_t parts = y.dim(0) * groups;
  if (parts >= 2 * current_threads()) {
    parallel_for(parts, 1, multiply);
  } else {
    multiply(0, parts);
  }
}

void evaluate_conv(EvaluateContext& context) {
  const Tensor &x = context.input(0), &w = context.input(1);
  if (context.output().size() == 0) return;
  const WindowGeometry g = conv_geometry(context.attributes(), {x.dims().begin() + 2, x.dims().end()},
                                         {w.dims().begin() + 2, w.dims().end()});
  require(g.rank() <= Windows::kMostAxes, ErrorCode::unsupported, "{} spatial axes; at most {} are supported",
          g.rank(), Windows::kMostAxes);
  compute_widened({&x, &w, context.maybe_input(2)}, context.output(), [&](const auto& in, Tensor& y) {
    dispatch<TypeList<float, double>>(y.type(), [&]<class T>(std::type_identity<T>) {
      convolve<T>(g, context.attributes().i("group"), *in[0], *in[1], in[2], y);
    });
  });
}

}  // namespace

std::vector<OpDef> conv_ops() {
  return {{.name = "Conv",
           .min_inputs = 2,
           .max_inputs = 3,
           .input_types = {types::kFloat},
           .attributes = {{"auto_pad", AttributeType::string, std::string_view("NOTSET")},
                          {"dilations", AttributeType::ints, Optional{}},
                          {"group", AttributeType::int_, int64_t{1}},
                          {"kernel_shape", AttributeType::ints, Optional{}},
                          {"pads", AttributeType::ints, Optional{}},
                          {"strides", AttributeType::ints, Optional{}}},
           .infer = infer_conv,
           .evaluate = evaluate_conv}};
}

}  // namespace plica
