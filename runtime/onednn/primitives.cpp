#include <algorithm>

#include "runtime/onednn/describe.h"

namespace plica::onednn {

void PostOps::eltwise(dnnl::algorithm algorithm, float alpha, float beta) {
#if DNNL_VERSION_MAJOR >= 3
  ops_.append_eltwise(algorithm, alpha, beta);
#else
  ops_.append_eltwise(1.f, algorithm, alpha, beta);
#endif
}

void PostOps::sum() { ops_.append_sum(1.f); }

void PostOps::binary(dnnl::algorithm algorithm, const Desc& operand) {
  ops_.append_binary(algorithm, operand);
}

std::optional<int> PostOps::scale(const std::vector<float>& factors, int axis, int rank) {
  const auto count = static_cast<int64_t>(factors.size());
#if DNNL_VERSION_MAJOR >= 3
  // Its own scales come before the bias.
  if (count == 1) {
    eltwise(dnnl::algorithm::eltwise_linear, factors[0], 0);
    return std::nullopt;
  }
  Dims dims(static_cast<size_t>(rank), 1);
  dims[static_cast<size_t>(axis)] = count;
  binary(dnnl::algorithm::binary_mul, row_major(dims));
  return post_op_argument(size() - 1);
#else
  (void)rank;
  factors_ = factors;
  factors_mask_ = count == 1 ? 0 : 1 << axis;
  return std::nullopt;
#endif
}

int PostOps::subtract_source_zero_point() {
  source_zero_point_ = true;
  return DNNL_ARG_ATTR_ZERO_POINTS | DNNL_ARG_SRC;
}

dnnl::primitive_attr PostOps::attributes() const {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
#if DNNL_VERSION_MAJOR >= 3
  if (source_zero_point_) attributes.set_zero_points_mask(DNNL_ARG_SRC, 0);
#else
  if (source_zero_point_) attributes.set_zero_points(DNNL_ARG_SRC, 0, {DNNL_RUNTIME_S32_VAL});
  if (!factors_.empty()) attributes.set_output_scales(factors_mask_, factors_);
#endif
  if (ops_.len() > 0) attributes.set_post_ops(ops_);
  return attributes;
}

int post_op_argument(int index) { return DNNL_ARG_ATTR_MULTIPLE_POST_OP(index) | DNNL_ARG_SRC_1; }

namespace {

Dims minus_one(Dims dims) {
  for (int64_t& d : dims) --d;
  return dims;
}

// Of an operation with a source, weights and a destination.
template <class Pd>
Primitive finish_product(const Pd& pd) {
  Primitive p = finish(pd);
  p.source = pd.src_desc();
  p.weights = pd.weights_desc();
  p.destination = pd.dst_desc();
  return p;
}

Desc bias_of(int64_t channels) { return row_major({channels}); }

// Op: convolution_forward or deconvolution_forward.
template <class Op>
std::optional<typename Op::primitive_desc> describe_convolution(const ConvolutionShape& s, const PostOps& post_ops,
                                                                dnnl::algorithm algorithm) {
  const Dims dilations = minus_one(s.dilations);
  const dnnl::primitive_attr attributes = post_ops.attributes();
  return attempt([&] {
    if (!s.has_bias) {
      return describe_primitive<Op>(attributes, kInference, algorithm, s.source, s.weights, s.destination,
                                    s.strides, dilations, s.pads_begin, s.pads_end);
    }
    return describe_primitive<Op>(attributes, kInference, algorithm, s.source, s.weights,
                                  bias_of(dims_of(s.destination)[1]), s.destination, s.strides, dilations,
                                  s.pads_begin, s.pads_end);
  });
}

}  // namespace

std::optional<Primitive> convolution(const ConvolutionShape& s, const PostOps& post_ops,
                                     const std::function<bool(const std::string& implementation)>& accept) {
  auto pd = describe_convolution<dnnl::convolution_forward>(s, post_ops, dnnl::algorithm::convolution_direct);
  if (!pd) return std::nullopt;
  while (!accept(pd->impl_info_str())) {
    if (!pd->next_impl()) return std::nullopt;
  }
  return finish_product(*pd);
}

std::optional<Primitive> deconvolution(const ConvolutionShape& s, const PostOps& post_ops) {
  auto pd = describe_convolution<dnnl::deconvolution_forward>(s, post_ops, dnnl::algorithm::deconvolution_direct);
  return pd ? std::optional(finish_product(*pd)) : std::nullopt;
}

std::optional<Primitive> matmul(const Desc& source, const Desc& weights, bool has_bias,
                                const Desc& destination, const PostOps& post_ops) {
  const dnnl::primitive_attr attributes = post_ops.attributes();
  auto pd = attempt([&] {
    using Op = dnnl::matmul;
    if (!has_bias) return describe_primitive<Op>(attributes, source, weights, destination);
    Dims bias(dims_of(destination).size(), 1);
    bias.back() = dims_of(destination).back();
    return describe_primitive<Op>(attributes, source, weights, row_major(bias), destination);
  });
  return pd ? std::optional(finish_product(*pd)) : std::nullopt;
}

std::optional<Primitive> inner_product(const Desc& source, const Desc& weights, bool has_bias,
                                       const Desc& destination, const PostOps& post_ops) {
  const dnnl::primitive_attr attributes = post_ops.attributes();
  auto pd = attempt([&] {
    using Op = dnnl::inner_product_forward;
    if (!has_bias) return describe_primitive<Op>(attributes, kInference, source, weights, destination);
    return describe_primitive<Op>(attributes, kInference, source, weights, bias_of(dims_of(destination)[1]),
                                  destination);
  });
  return pd ? std::optional(finish_product(*pd)) : std::nullopt;
}

std::optional<Primitive> pooling(const PoolingShape& s) {
  const dnnl::primitive_attr attributes = PostOps().attributes();
  const Dims dilations = minus_one(s.dilations);
  const bool dense = std::ranges::all_of(dilations, [](int64_t d) { return d == 0; });
  const auto done = [](const auto& pd) {
    Primitive p = finish(pd);
    p.source = pd.src_desc();
    p.destination = pd.dst_desc();
    return p;
  };
#if DNNL_VERSION_MAJOR >= 3
  (void)dense;
  auto pd = attempt([&] {
    return describe_primitive<dnnl::pooling_forward>(attributes, kInference, s.algorithm, s.source,
                                                     s.destination, s.strides, s.kernel, dilations,
                                                     s.pads_begin, s.pads_end);
  });
#else
  if (!dense) {
    auto pd = attempt([&] {
      return describe_primitive<dnnl::pooling_v2_forward>(attributes, kInference, s.algorithm, s.source,
                                                          s.destination, s.strides, s.kernel, dilations,
                                                          s.pads_begin, s.pads_end);
    });
    return pd ? std::optional(done(*pd)) : std::nullopt;
  }
  auto pd = attempt([&] {
    return describe_primitive<dnnl::pooling_forward>(attributes, kInference, s.algorithm, s.source,
                                                     s.destination, s.strides, s.kernel, s.pads_begin,
                                                     s.pads_end);
  });
#endif
  return pd ? std::optional(done(*pd)) : std::nullopt;
}

std::optional<Primitive> softmax(const Desc& desc, int axis) {
  const dnnl::primitive_attr attributes = PostOps().attributes();
  auto pd = attempt([&] {
#if DNNL_VERSION_MAJOR >= 3
    return describe_primitive<dnnl::softmax_forward>(attributes, kInference,
                                                     dnnl::algorithm::softmax_accurate, desc, desc, axis);
#else
    return describe_primitive<dnnl::softmax_forward>(attributes, kInference, desc, axis);
#endif
  });
  if (!pd) return std::nullopt;
  Primitive p = finish(*pd);
  p.source = p.destination = desc;
  return p;
}

std::optional<Primitive> lrn(const Desc& desc, int64_t size, float alpha, float beta, float bias) {
  const dnnl::primitive_attr attributes = PostOps().attributes();
  constexpr auto kAlgorithm = dnnl::algorithm::lrn_across_channels;
  auto pd = attempt([&] {
    using Op = dnnl::lrn_forward;
#if DNNL_VERSION_MAJOR >= 3
    return describe_primitive<Op>(attributes, kInference, kAlgorithm, desc, desc, size, alpha, beta, bias);
#else
    return describe_primitive<Op>(attributes, kInference, kAlgorithm, desc, size, alpha, beta, bias);
#endif
  });
  if (!pd) return std::nullopt;
  Primitive p = finish(*pd);
  p.source = p.destination = desc;
  return p;
}

std::optional<Primitive> eltwise(const Desc& desc, dnnl::algorithm algorithm, float alpha, float beta) {
  const dnnl::primitive_attr attributes = PostOps().attributes();
  auto pd = attempt([&] {
#if DNNL_VERSION_MAJOR >= 3
    return describe_primitive<dnnl::eltwise_forward>(attributes, kInference, algorithm, desc, desc, alpha,
                                                     beta);
#else
    return describe_primitive<dnnl::eltwise_forward>(attributes, kInference, algorithm, desc, alpha, beta);
#endif
  });
  if (!pd) return std::nullopt;
  Primitive p = finish(*pd);
  p.source = p.destination = desc;
  return p;
}

std::optional<Primitive> reorder(const Desc& from, const Desc& to) {
  const dnnl::primitive_attr attributes = PostOps().attributes();
  auto pd = attempt(
      [&] { return dnnl::reorder::primitive_desc(cpu_engine(), from, cpu_engine(), to, attributes, true); });
  if (!pd) return std::nullopt;
  Primitive p = finish(*pd);
  p.source = from;
  p.destination = to;
  return p;
}

std::optional<Primitive> concat(const std::vector<Desc>& parts, int axis, const Desc& destination) {
  const dnnl::primitive_attr attributes = PostOps().attributes();
  auto pd = attempt([&] {
#if DNNL_VERSION_MAJOR >= 3
    return dnnl::concat::primitive_desc(cpu_engine(), destination, axis, parts, attributes);
#else
    return dnnl::concat::primitive_desc(destination, axis, parts, cpu_engine(), attributes);
#endif
  });
  if (!pd) return std::nullopt;
  Primitive p = finish(*pd);
  p.destination = destination;
  return p;
}

}  // namespace plica::onednn
