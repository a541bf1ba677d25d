// ConvTranspose in any number of spatial dims: https://onnx.ai/onnx/operators/onnx__ConvTranspose.html.
// Weights [C, M/group, kernel...].
#include <algorithm>
#include <functional>
#include <numeric>
#include <vector>

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

void infer_conv_transpose(InferContext& context) {
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
  const Dim inputs = w ? (*w)[0] : Dim();
  require(!inputs.is_known() || inputs.value() % group == 0, ErrorCode::invalid_model,
          "{} input channels do not divide into {} groups", to_string(inputs), group);
  if (x && w && (*x)[1].is_known() && inputs.is_known()) {
    require((*x)[1].value() == inputs.value(), ErrorCode::invalid_model,
            "the weight has {} input channels, the input {}", inputs.value(), (*x)[1].value());
  }
  Dim channels = w ? multiply((*w)[1], group) : Dim();
  if (context.has_input(2) && context.input_shape(2)) {
    const Shape& b = *context.input_shape(2);
    require(b.rank() == 1 && (!b[0].is_known() || !channels.is_known() || b[0].value() == channels.value()),
            ErrorCode::invalid_model, "the bias has shape {}, the weight {} output channels", to_string(b),
            to_string(channels));
    channels = merge(channels, b[0]);
  }
  if (!x) {
    if (!w) return context.set_output(0, type, std::nullopt);
    Shape out(std::vector<Dim>(w->dims().size()));
    out[1] = channels;
    return context.set_output(0, type, std::move(out));
  }
  const std::vector<Dim> spatial(x->begin() + 2, x->end());
  const std::vector<Dim> kernel =
      w ? std::vector<Dim>(w->begin() + 2, w->end()) : std::vector<Dim>(spatial.size());
  Shape out = {(*x)[0], channels};
  for (Dim& d : conv_transpose_output_dims(attributes, spatial, kernel)) out.push_back(std::move(d));
  context.set_output(0, type, std::move(out));
}

int64_t product(const Dims& dims) {
  return std::accumulate(dims.begin(), dims.end(), int64_t{1}, std::multiplies<>());
}

// Adds `from`, of the input's spatial dims, to `to`, of the output's, as seen through one tap of the kernel:
// input position i goes to i * stride + tap * dilation - pads_begin.
template <class T>
void scatter_tap(const WindowGeometry& g, const Dims& spatial, int64_t tap, const T* from, T* to) {
  const size_t last = g.rank() - 1;
  Dims offsets(g.rank());
  for (size_t d = g.rank(); d-- > 0;) {
    offsets[d] = tap % g.kernel[d] * g.dilations[d] - g.pads_begin[d];
    tap /= g.kernel[d];
  }
  const int64_t width = spatial[last], step = g.strides[last];
  const Range columns = inside(offsets[last], step, g.output[last], width);
  if (columns.begin == columns.end) return;
  const int64_t rows = product(spatial) / width;
  for (int64_t row = 0; row < rows; ++row) {
    int64_t output = 0, rest = row, scale = g.output[last];
    bool outside = false;
    for (size_t d = last; d-- > 0 && !outside;) {
      const int64_t at = rest % spatial[d] * g.strides[d] + offsets[d];
      rest /= spatial[d];
      outside = at < 0 || at >= g.output[d];
      output += outside ? 0 : at * scale;
      scale *= g.output[d];
    }
    if (outside) continue;
    const T* in = from + row * width;
    const int64_t base = output + offsets[last];
    if (step == 1) {
      for (int64_t i = columns.begin; i < columns.end; ++i) to[base + i] += in[i];
    } else {
      for (int64_t i = columns.begin; i < columns.end; ++i) to[base + i * step] += in[i];
    }
  }
}

// For some output channels at a time: the product of their weights, seen as [channels * taps, C/group], with
// the input gives what each tap contributes at each input position; then those are added up where they
// belong.
template <class T>
void deconvolve(const WindowGeometry& g, int64_t groups, const Tensor& x, const Tensor& w, const Tensor* bias,
                Tensor& y) {
  const Dims spatial(x.dims().begin() + 2, x.dims().end());
  const int64_t taps = product(g.kernel), inputs = product(spatial), outputs = product(g.output);
  const int64_t group_maps = w.dim(1), group_channels = x.dim(1) / groups, maps = y.dim(1);
  // A block of channels: small enough for its contributions to be a few megabytes.
  const int64_t column = checked_mul(taps, inputs);
  const int64_t block = std::clamp<int64_t>((int64_t{1} << 19) / std::max<int64_t>(column, 1), 1, group_maps);
  const int64_t blocks = (group_maps + block - 1) / block;
  const auto run = [&](int64_t begin, int64_t end) {
    std::vector<T> contributions(static_cast<size_t>(checked_mul(block, column)));
    for (int64_t task = begin; task < end; ++task) {
      const int64_t group = task / blocks % groups, batch = task / blocks / groups;
      const int64_t first = task % blocks * block, count = std::min(block, group_maps - first);
      std::fill(contributions.begin(), contributions.end(), T(0));
      const T* weight = w.data<T>() + (group * group_channels * group_maps + first) * taps;
      const T* in = x.data<T>() + (batch * groups + group) * group_channels * inputs;
      add_product<T>(count * taps, inputs, group_channels, {weight, 1, group_maps * taps},
                     MatrixView<T>{in, inputs, 1}, contributions.data(), inputs);
      for (int64_t i = 0; i < count; ++i) {
        const int64_t map = group * group_maps + first + i;
        T* out = y.mutable_data<T>() + (batch * maps + map) * outputs;
        std::fill_n(out, outputs, bias ? bias->data<T>()[map] : T(0));
        if (inputs == 0) continue;
        for (int64_t tap = 0; tap < taps; ++tap) {
          scatter_tap(g, spatial, tap, contributions.data() + (i * taps + tap) * inputs, out);
        }
      }
    }
  };
  const int64_t tasks = x.dim(0) * groups * blocks;
  if (tasks >= 2 * current_threads()) {
    parallel_for(tasks, 1, run);
  } else {
    run(0, tasks);
  }
}

void evaluate_conv_transpose(EvaluateContext& context) {
  const Tensor &x = context.input(0), &w = context.input(1);
  if (context.output().size() == 0) return;
  const WindowGeometry g = conv_transpose_geometry(
      context.attributes(), {x.dims().begin() + 2, x.dims().end()}, {w.dims().begin() + 2, w.dims().end()});
  compute_widened({&x, &w, context.maybe_input(2)}, context.output(), [&](const auto& in, Tensor& y) {
    dispatch<TypeList<float, double>>(y.type(), [&]<class T>(std::type_identity<T>) {
      deconvolve<T>(g, context.attributes().i("group"), *in[0], *in[1], in[2], y);
    });
  });
}

}  // namespace

std::vector<OpDef> conv_transpose_ops() {
  return {{.name = "ConvTranspose",
           .min_inputs = 2,
           .max_inputs = 3,
           .input_types = {types::kFloat},
           .attributes = {{"auto_pad", AttributeType::string, std::string_view("NOTSET")},
                          {"dilations", AttributeType::ints, Optional{}},
                          {"group", AttributeType::int_, int64_t{1}},
                          {"kernel_shape", AttributeType::ints, Optional{}},
                          {"output_padding", AttributeType::ints, Optional{}},
                          {"output_shape", AttributeType::ints, Optional{}},
                          {"pads", AttributeType::ints, Optional{}},
                          {"strides", AttributeType::ints, Optional{}}},
           .infer = infer_conv_transpose,
           .evaluate = evaluate_conv_transpose}};
}

}  // namespace plica
