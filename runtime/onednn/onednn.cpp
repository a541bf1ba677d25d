#include "runtime/onednn/onednn.h"

#include <algorithm>
#include <numeric>

#include "engine/core/checked.h"
#include "engine/core/fail.h"

namespace plica::onednn {

using dnnl::memory;

dnnl::engine& cpu_engine() {
  // Never destroyed: primitives of static duration may outlive any order of destruction.
  static auto* engine = new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return *engine;
}

// ---- descriptors

namespace {

#if DNNL_VERSION_MAJOR >= 3
struct Blocking {
  memory::dims dims, padded_dims, strides, inner_blocks, inner_axes;
};
std::optional<Blocking> blocking_of(const Desc& d) {
  if (d.get_format_kind() != memory::format_kind::blocked) return std::nullopt;
  return Blocking{d.get_dims(), d.get_padded_dims(), d.get_strides(), d.get_inner_blks(), d.get_inner_idxs()};
}
#else
struct Blocking {
  memory::dims dims, padded_dims, strides, inner_blocks, inner_axes;
};
std::optional<Blocking> blocking_of(const Desc& d) {
  const dnnl_memory_desc_t& m = d.data;
  if (m.format_kind != dnnl_blocked) return std::nullopt;
  const auto& b = m.format_desc.blocking;
  return Blocking{{m.dims, m.dims + m.ndims},
                  {m.padded_dims, m.padded_dims + m.ndims},
                  {b.strides, b.strides + m.ndims},
                  {b.inner_blks, b.inner_blks + b.inner_nblks},
                  {b.inner_idxs, b.inner_idxs + b.inner_nblks}};
}
#endif

Dims row_major_strides(const Dims& dims) {
  Dims strides(dims.size(), 1);
  for (size_t i = dims.size(); i-- > 1;) strides[i - 1] = checked_mul(strides[i], std::max<int64_t>(dims[i], 1));
  return strides;
}

}  // namespace

Desc strided(const Dims& dims, const Dims& strides) { return Desc(dims, memory::data_type::f32, strides); }

Desc row_major(const Dims& dims) {
  if (dims.empty()) return row_major({1});
  return strided(dims, row_major_strides(dims));
}

Desc any_layout(const Dims& dims) { return Desc(dims, memory::data_type::f32, memory::format_tag::any); }

Desc desc_of(const Dims& dims, Layout layout) {
  using Tag = memory::format_tag;
  const size_t rank = dims.size();
  if (layout == Layout::row_major || rank < 3 || rank > 5) return row_major(dims);
  static constexpr Tag kTags[3][3] = {
      {Tag::nwc, Tag::nCw8c, Tag::nCw16c}, {Tag::nhwc, Tag::nChw8c, Tag::nChw16c}, {Tag::ndhwc, Tag::nCdhw8c, Tag::nCdhw16c}};
  const int column = layout == Layout::channels_last ? 0 : layout == Layout::blocked8 ? 1 : 2;
  return Desc(dims, memory::data_type::f32, kTags[rank - 3][column]);
}

Layout layout_of(const Desc& desc) {
  const int64_t block = channel_block(desc);
  if (block == 8) return Layout::blocked8;
  if (block == 16) return Layout::blocked16;
  const bool last = !is_row_major(desc) && same_placement(desc, desc_of(dims_of(desc), Layout::channels_last));
  return last ? Layout::channels_last : Layout::row_major;
}

Dims dims_of(const Desc& desc) {
#if DNNL_VERSION_MAJOR >= 3
  return desc.get_dims();
#else
  return desc.dims();
#endif
}

size_t bytes_of(const Desc& desc) { return desc.get_size(); }

bool is_row_major(const Desc& desc) { return same_placement(desc, row_major(dims_of(desc))); }

std::optional<std::vector<Axis>> axes_of_memory(const Desc& desc) {
  const auto b = blocking_of(desc);
  if (!b) return std::nullopt;
  std::vector<Axis> inner;
  std::vector<int64_t> blocks(b->dims.size(), 1);
  int64_t stride = 1;
  for (size_t i = b->inner_blocks.size(); i-- > 0;) {
    const auto axis = static_cast<size_t>(b->inner_axes[i]);
    inner.push_back({static_cast<int>(axis), b->inner_blocks[i], stride, blocks[axis]});
    stride *= b->inner_blocks[i];
    blocks[axis] *= b->inner_blocks[i];
  }
  std::vector<Axis> axes;
  for (size_t i = 0; i < b->dims.size(); ++i) {
    axes.push_back({static_cast<int>(i), b->padded_dims[i] / blocks[i], b->strides[i], blocks[i]});
  }
  // Outermost first; among equal strides an axis of extent 1 may stand anywhere, so the order of axes decides.
  std::ranges::stable_sort(axes, [](const Axis& x, const Axis& y) { return x.stride > y.stride; });
  axes.insert(axes.end(), inner.rbegin(), inner.rend());
  return axes;
}

bool same_placement(const Desc& a, const Desc& b) {
  if (a == b) return true;
  if (dims_of(a) != dims_of(b)) return false;
  auto x = axes_of_memory(a), y = axes_of_memory(b);
  if (!x || !y || bytes_of(a) != bytes_of(b)) return false;
  // What has extent 1 places nothing; an outer axis that continues its inner one is one axis.
  const auto simplify = [](std::vector<Axis>& axes) {
    std::vector<Axis> merged;
    for (const Axis& axis : axes) {
      if (axis.extent == 1) continue;
      if (!merged.empty() && merged.back().axis == axis.axis && merged.back().stride == axis.stride * axis.extent) {
        merged.back() = {axis.axis, merged.back().extent * axis.extent, axis.stride, axis.step};
      } else {
        merged.push_back(axis);
      }
    }
    axes = std::move(merged);
  };
  simplify(*x);
  simplify(*y);
  return std::ranges::equal(*x, *y, [](const Axis& p, const Axis& q) {
    return p.axis == q.axis && p.extent == q.extent && p.stride == q.stride;
  });
}

bool has_padding(const Desc& desc) {
  const auto b = blocking_of(desc);
  return !b || b->dims != b->padded_dims;
}

int64_t channel_block(const Desc& desc) {
  const auto b = blocking_of(desc);
  if (!b) return 0;
  if (b->inner_blocks.empty()) return 1;
  return b->inner_blocks.size() == 1 && b->inner_axes[0] == 1 ? b->inner_blocks[0] : 0;
}

std::string layout_name(const Desc& desc) {
  const auto b = blocking_of(desc);
  if (!b) return "opaque";
  static const std::string kNames[] = {"", "x", "nc", "ncw", "nchw", "ncdhw"};
  const size_t rank = b->dims.size();
  std::vector<size_t> order(rank);
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t x, size_t y) { return b->strides[x] > b->strides[y]; });
  std::string name;
  for (size_t i : order) {
    std::string letter = rank < std::size(kNames) ? kNames[rank].substr(i, 1) : std::string(1, static_cast<char>('a' + i));
    if (std::ranges::find(b->inner_axes, static_cast<int64_t>(i)) != b->inner_axes.end()) letter[0] -= 'a' - 'A';
    name += letter;
  }
  for (size_t i = 0; i < b->inner_blocks.size(); ++i) {
    const auto axis = static_cast<size_t>(b->inner_axes[i]);
    name += std::to_string(b->inner_blocks[i]);
    name += rank < std::size(kNames) ? kNames[rank][axis] : static_cast<char>('a' + axis);
  }
  return name;
}

// ---- primitives

void PostOps::eltwise(dnnl::algorithm algorithm, float alpha, float beta) {
#if DNNL_VERSION_MAJOR >= 3
  ops_.append_eltwise(algorithm, alpha, beta);
#else
  ops_.append_eltwise(1.f, algorithm, alpha, beta);
#endif
}

void PostOps::sum() { ops_.append_sum(1.f); }

void PostOps::binary(dnnl::algorithm algorithm, const Desc& operand) { ops_.append_binary(algorithm, operand); }

dnnl::primitive_attr PostOps::attributes() const {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (ops_.len() > 0) attributes.set_post_ops(ops_);
  return attributes;
}

int post_op_argument(int index) { return DNNL_ARG_ATTR_MULTIPLE_POST_OP(index) | DNNL_ARG_SRC_1; }

namespace {

// Runs `make`, which makes a primitive descriptor or throws. No implementation is nullopt.
template <class Make>
auto attempt(Make&& make) -> std::optional<decltype(make())> {
  try {
    auto pd = make();
    if (!pd.get(true)) return std::nullopt;
    return pd;
  } catch (const dnnl::error& e) {
    if (e.status == dnnl_unimplemented || e.status == dnnl_invalid_arguments) return std::nullopt;
    if (e.status == dnnl_out_of_memory) throw std::bad_alloc();
    fail(ErrorCode::internal, "oneDNN: {}", e.what());
  }
}

template <class Pd>
Primitive finish(const Pd& pd) {
  Primitive p;
  p.implementation = pd.impl_info_str();
  p.scratch_bytes = bytes_of(pd.scratchpad_desc());
  try {
    p.primitive = dnnl::primitive(pd.get());
  } catch (const dnnl::error& e) {
    if (e.status == dnnl_out_of_memory) throw std::bad_alloc();
    fail(ErrorCode::internal, "oneDNN: {}", e.what());
  }
  return p;
}

Dims minus_one(Dims dims) {
  for (int64_t& d : dims) --d;
  return dims;
}

#if DNNL_VERSION_MAJOR >= 3
template <class Op, class... Args>
typename Op::primitive_desc describe_primitive(const dnnl::primitive_attr& attributes, Args&&... args) {
  return typename Op::primitive_desc(cpu_engine(), std::forward<Args>(args)..., attributes, true);
}
#else
template <class Op, class... Args>
typename Op::primitive_desc describe_primitive(const dnnl::primitive_attr& attributes, Args&&... args) {
  return typename Op::primitive_desc(typename Op::desc(std::forward<Args>(args)...), attributes, cpu_engine(), true);
}
#endif

constexpr auto kInference = dnnl::prop_kind::forward_inference;

Desc bias_of(int64_t channels) { return row_major({channels}); }

}  // namespace

std::optional<Primitive> convolution(const ConvolutionShape& s, const PostOps& post_ops, ConvolutionMethod method,
                                     const std::function<bool(const std::string& implementation)>& accept) {
  const auto algorithm = method == ConvolutionMethod::direct ? dnnl::algorithm::convolution_direct
                                                             : dnnl::algorithm::convolution_winograd;
  const Dims dilations = minus_one(s.dilations);
  const dnnl::primitive_attr attributes = post_ops.attributes();
  auto pd = attempt([&] {
    using Op = dnnl::convolution_forward;
    if (!s.has_bias) {
      return describe_primitive<Op>(attributes, kInference, algorithm, s.source, s.weights, s.destination, s.strides, dilations,
                                    s.pads_begin, s.pads_end);
    }
    return describe_primitive<Op>(attributes, kInference, algorithm, s.source, s.weights, bias_of(dims_of(s.destination)[1]),
                                  s.destination, s.strides, dilations, s.pads_begin, s.pads_end);
  });
  if (!pd) return std::nullopt;
  while (!accept(pd->impl_info_str())) {
    if (!pd->next_impl()) return std::nullopt;
  }
  Primitive p = finish(*pd);
  p.source = pd->src_desc();
  p.weights = pd->weights_desc();
  p.destination = pd->dst_desc();
  return p;
}

std::optional<Primitive> deconvolution(const ConvolutionShape& s, const PostOps& post_ops) {
  const Dims dilations = minus_one(s.dilations);
  const dnnl::primitive_attr attributes = post_ops.attributes();
  auto pd = attempt([&] {
    using Op = dnnl::deconvolution_forward;
    constexpr auto algorithm = dnnl::algorithm::deconvolution_direct;
    if (!s.has_bias) {
      return describe_primitive<Op>(attributes, kInference, algorithm, s.source, s.weights, s.destination, s.strides, dilations,
                                    s.pads_begin, s.pads_end);
    }
    return describe_primitive<Op>(attributes, kInference, algorithm, s.source, s.weights, bias_of(dims_of(s.destination)[1]),
                                  s.destination, s.strides, dilations, s.pads_begin, s.pads_end);
  });
  if (!pd) return std::nullopt;
  Primitive p = finish(*pd);
  p.source = pd->src_desc();
  p.weights = pd->weights_desc();
  p.destination = pd->dst_desc();
  return p;
}

std::optional<Primitive> matmul(const Desc& source, const Desc& weights, bool has_bias, const Desc& destination, const PostOps& post_ops) {
  const dnnl::primitive_attr attributes = post_ops.attributes();
  auto pd = attempt([&] {
    using Op = dnnl::matmul;
    if (!has_bias) return describe_primitive<Op>(attributes, source, weights, destination);
    Dims bias(dims_of(destination).size(), 1);
    bias.back() = dims_of(destination).back();
    return describe_primitive<Op>(attributes, source, weights, row_major(bias), destination);
  });
  if (!pd) return std::nullopt;
  Primitive p = finish(*pd);
  p.source = pd->src_desc();
  p.weights = pd->weights_desc();
  p.destination = pd->dst_desc();
  return p;
}

std::optional<Primitive> inner_product(const Desc& source, const Desc& weights, bool has_bias, const Desc& destination,
                                       const PostOps& post_ops) {
  const dnnl::primitive_attr attributes = post_ops.attributes();
  auto pd = attempt([&] {
    using Op = dnnl::inner_product_forward;
    if (!has_bias) return describe_primitive<Op>(attributes, kInference, source, weights, destination);
    return describe_primitive<Op>(attributes, kInference, source, weights, bias_of(dims_of(destination)[1]), destination);
  });
  if (!pd) return std::nullopt;
  Primitive p = finish(*pd);
  p.source = pd->src_desc();
  p.weights = pd->weights_desc();
  p.destination = pd->dst_desc();
  return p;
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
    return describe_primitive<dnnl::pooling_forward>(attributes, kInference, s.algorithm, s.source, s.destination, s.strides, s.kernel,
                                                     dilations, s.pads_begin, s.pads_end);
  });
#else
  if (!dense) {
    auto pd = attempt([&] {
      return describe_primitive<dnnl::pooling_v2_forward>(attributes, kInference, s.algorithm, s.source, s.destination, s.strides,
                                                          s.kernel, dilations, s.pads_begin, s.pads_end);
    });
    return pd ? std::optional(done(*pd)) : std::nullopt;
  }
  auto pd = attempt([&] {
    return describe_primitive<dnnl::pooling_forward>(attributes, kInference, s.algorithm, s.source, s.destination, s.strides, s.kernel,
                                                     s.pads_begin, s.pads_end);
  });
#endif
  return pd ? std::optional(done(*pd)) : std::nullopt;
}

std::optional<Primitive> softmax(const Desc& desc, int axis) {
  const dnnl::primitive_attr attributes = PostOps().attributes();
  auto pd = attempt([&] {
#if DNNL_VERSION_MAJOR >= 3
    return describe_primitive<dnnl::softmax_forward>(attributes, kInference, dnnl::algorithm::softmax_accurate, desc, desc, axis);
#else
    return describe_primitive<dnnl::softmax_forward>(attributes, kInference, desc, axis);
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
    return describe_primitive<dnnl::eltwise_forward>(attributes, kInference, algorithm, desc, desc, alpha, beta);
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
  auto pd = attempt([&] { return dnnl::reorder::primitive_desc(cpu_engine(), from, cpu_engine(), to, attributes, true); });
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
