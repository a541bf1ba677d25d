// Operators with windows: convolutions, pools, means over the last axes, resampling.
#include "runtime/plan/lowerer.h"

#include <limits>
#include <string>

#include "engine/ops/conv_geometry.h"

namespace plica {

namespace {

bool supported_rank(const Dims& dims) { return dims.size() >= 3 && dims.size() <= 5; }

Window to_window(const WindowGeometry& g) {
  return {g.kernel, g.strides, g.dilations, g.pads_begin, g.pads_end};
}

// A depthwise convolution of one element: a factor for each channel, and perhaps a shift.
bool lower_affine(Lowerer& l, const ConvolutionParams& p) {
  const int64_t channels = l.in(0).dims[1];
  const Tensor *w = l.constant(1), *bias = l.constant(2);
  const auto all = [](const Dims& dims, int64_t v) {
    return std::ranges::all_of(dims, [v](int64_t d) { return d == v; });
  };
  if (p.transposed || p.groups != channels || l.in(1).dims[0] != channels || !w ||
      (l.has_input(2) && !bias) || !all(p.window.kernel, 1) || !all(p.window.strides, 1) ||
      !all(p.window.pads_begin, 0) || !all(p.window.pads_end, 0))
    return false;
  Dims dims(l.in(0).dims.size(), 1);
  dims[1] = channels;
  // Both before a value is added: the pointers are into the list of them.
  Tensor factors = w->reshaped(dims), shift = bias ? bias->reshaped(dims) : Tensor();
  PointChain chain = {PointOp::of(Binary::mul, l.graph.add_constant(std::move(factors)))};
  if (shift.defined()) chain.push_back(PointOp::of(Binary::add, l.graph.add_constant(std::move(shift))));
  l.become(PointwiseParams{}, {l.op.inputs[0]}, std::move(chain));
  return true;
}

}  // namespace

void lower_conv(Lowerer& l, bool transposed) {
  const Dims& x = l.in(0).dims;
  const Dims& w = l.in(1).dims;
  if (!supported_rank(x) || x.size() != w.size()) return;
  ConvolutionParams p;
  const Dims spatial(x.begin() + 2, x.end()), kernel(w.begin() + 2, w.end());
  p.window = to_window(transposed ? conv_transpose_geometry(l.attributes, spatial, kernel)
                                  : conv_geometry(l.attributes, spatial, kernel));
  p.groups = l.attributes.i("group");
  p.transposed = transposed;
  if (p.groups <= 0 || x[1] % p.groups != 0) return;
  if (transposed) {
    // The output must be what the pads say: output_padding is a negative end pad, which oneDNN takes.
    for (size_t i = 0; i < spatial.size(); ++i) {
      const int64_t extent = (kernel[i] - 1) * p.window.dilations[i] + 1;
      p.window.pads_end[i] =
          (spatial[i] - 1) * p.window.strides[i] + extent - p.window.pads_begin[i] - l.out().dims[i + 2];
    }
  }
  if (lower_affine(l, p)) return;
  std::vector<int> inputs = {l.op.inputs[0], l.op.inputs[1]};
  if (l.has_input(2)) inputs.push_back(l.op.inputs[2]);
  l.become(std::move(p), std::move(inputs));
}

void lower_pool(Lowerer& l, bool max) {
  const Dims& x = l.in(0).dims;
  if (!supported_rank(x) || l.has_output(1)) return;
  PoolingParams p;
  p.kind = PoolingParams::Kind::max;
  if (!max) {
    const bool counts = l.node.opset() >= 7 && l.attributes.i("count_include_pad") != 0;
    p.kind = counts ? PoolingParams::Kind::average_with_padding : PoolingParams::Kind::average;
  }
  const Dims spatial(x.begin() + 2, x.end());
  p.window = to_window(pool_geometry(l.attributes, spatial));
  const Dims& y = l.out().dims;
  for (size_t i = 0; i < spatial.size(); ++i) {
    const int64_t extent = (p.window.kernel[i] - 1) * p.window.dilations[i] + 1;
    // What the windows cover, which ceil_mode makes larger than the padded input. A window must touch the
    // input, and an average must not count what lies beyond the padding.
    const int64_t covered = (y[i + 2] - 1) * p.window.strides[i] + extent;
    const int64_t end = covered - spatial[i] - p.window.pads_begin[i];
    if (p.kind == PoolingParams::Kind::average_with_padding && end > p.window.pads_end[i]) return;
    if (p.window.pads_begin[i] >= extent || end >= extent) return;
    p.window.pads_end[i] = end;
  }
  l.become(std::move(p), {l.op.inputs[0]});
}

void lower_global_pool(Lowerer& l, PoolingParams::Kind kind) {
  const Dims& x = l.in(0).dims;
  if (!supported_rank(x)) return;
  PoolingParams p;
  p.kind = kind;
  const size_t n = x.size() - 2;
  p.window = {Dims(x.begin() + 2, x.end()), Dims(n, 1), Dims(n, 1), Dims(n, 0), Dims(n, 0)};
  l.become(std::move(p), {l.op.inputs[0]});
}

namespace {

std::optional<std::vector<int64_t>> axes_of(Lowerer& l, int input_since) {
  if (l.node.opset() < input_since) return l.attributes.maybe_ints("axes");
  if (!l.has_input(1)) return std::nullopt;
  const Tensor* t = l.constant(1);
  if (!t || t->type() != DataType::int64) return std::vector<int64_t>{std::numeric_limits<int64_t>::max()};
  return std::vector<int64_t>(t->values<int64_t>().begin(), t->values<int64_t>().end());
}

}  // namespace

// Over all spatial axes it is an average pooling, over the last axes a row reduction.
void lower_reduce_mean(Lowerer& l) {
  if (l.in(0).type != DataType::float32 || l.out().type != DataType::float32) return;
  const Dims x = l.in(0).dims;
  const int rank = static_cast<int>(x.size());
  auto axes = axes_of(l, 18);
  if (!axes || axes->empty()) return;
  std::vector<bool> reduced(x.size(), false);
  for (int64_t a : *axes) {
    if (a < 0) a += rank;
    if (a < 0 || a >= rank) return;
    reduced[static_cast<size_t>(a)] = true;
  }
  int last = 0;
  while (last < rank && reduced[static_cast<size_t>(rank - 1 - last)]) ++last;
  if (last == 0 || std::ranges::count(reduced, true) != last) return;
  Dims kept = x;
  std::fill(kept.end() - last, kept.end(), 1);
  LoweredParams params = ReduceMeanParams{last};
  // (Of a rank 3 tensor the last axis is rather the features of a sequence.)
  if (last == rank - 2 && rank >= 4 && supported_rank(x)) {
    PoolingParams p;
    p.kind = PoolingParams::Kind::average;
    const size_t n = static_cast<size_t>(last);
    p.window = {Dims(x.begin() + 2, x.end()), Dims(n, 1), Dims(n, 1), Dims(n, 0), Dims(n, 0)};
    params = std::move(p);
  }
  if (l.out().dims == kept) {
    l.become(std::move(params), {l.op.inputs[0]});
  } else {
    const int mean = l.before(std::move(params), {l.op.inputs[0]}, kept);
    l.become(ViewParams{}, {mean});
  }
}

// An even number of channels reaches one further to the right (ONNX operator LRN), which oneDNN does not say.
void lower_lrn(Lowerer& l) {
  const int64_t size = l.attributes.i("size");
  if (l.in(0).dims.size() != 4 || size % 2 == 0) return;
  l.become(LrnParams{size, l.attributes.f("alpha"), l.attributes.f("beta"), l.attributes.f("bias")},
           {l.op.inputs[0]});
}

void lower_resize(Lowerer& l) {
  const Dims& x = l.in(0).dims;
  const Dims& y = l.out().dims;
  if (x.size() != 4 || x[0] != y[0] || x[1] != y[1]) return;
  const std::string mode = l.attributes.s("mode");
  if (mode != "nearest" && mode != "linear") return;
  if (l.node.op_type() == "Resize" && l.node.opset() >= 11) {
    if (l.attributes.s("coordinate_transformation_mode") == "tf_crop_and_resize") return;
    if (l.node.opset() >= 18 && (l.attributes.i("antialias") != 0 || l.attributes.has("axes"))) return;
    if (l.node.opset() >= 18 && l.attributes.s("keep_aspect_ratio_policy") != "stretch") return;
  }
  // Its parameters must not come with the run.
  for (size_t i = 1; i < l.op.inputs.size(); ++i) {
    if (l.has_input(i) && !l.constant(i)) return;
  }
  l.become(ResampleParams{}, l.op.inputs);
}

}  // namespace plica
