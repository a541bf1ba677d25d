#include "runtime/kernels/post_ops.h"

#include <algorithm>

#include "engine/core/checked.h"

namespace plica {

Dims aligned_dims(const Dims& dims, size_t rank) {
  Dims out(rank - std::min(rank, dims.size()), 1);
  out.insert(out.end(), dims.begin(), dims.end());
  return out;
}

Placement operand_as(PlanBuilder& builder, const LoweredOp& op, int v, const Dims& dims,
                     const onednn::Desc& wanted) {
  const LoweredValue& value = builder.value(v);
  if (value.constant.defined()) return builder.packed(value.constant, onednn::row_major(dims), wanted);
  if (value.dims == dims) return builder.in_layout(v, wanted);
  Placement p = builder.row_major(v);
  p.desc = onednn::row_major(dims);
  if (onednn::same_placement(*p.desc, wanted)) {
    p.desc = wanted;
    return p;
  }
  const Placement to = builder.allocate_temporary(wanted);
  builder.reorder(node_names(op), p, to);
  return to;
}

std::vector<EltwiseOp> eltwise_of(const PointOp& op) {
  using A = dnnl::algorithm;
  switch (op.unary) {
    case Unary::linear:
      return {{A::eltwise_linear, op.a, op.b}};
    case Unary::relu:
      return {{A::eltwise_relu, 0.f, 0.f}};
    case Unary::leaky_relu:
      return {{A::eltwise_relu, op.a, 0.f}};
    case Unary::clip:
      return {{A::eltwise_clip, op.a, op.b}};
    case Unary::hard_sigmoid:
      return {{A::eltwise_linear, op.a, op.b}, {A::eltwise_clip, 0.f, 1.f}};
    case Unary::hard_swish:
      // oneDNN 2.x has these parameters built in.
      if (op.a != 1.f) return {{A::eltwise_hardswish, 1.f / 6, 0.5f}, {A::eltwise_linear, op.a, 0.f}};
      return {{A::eltwise_hardswish, 1.f / 6, 0.5f}};
    case Unary::sqrt:
      return {{A::eltwise_sqrt, 0.f, 0.f}};
    case Unary::abs:
      return {{A::eltwise_abs, 0.f, 0.f}};
    case Unary::square:
      return {{A::eltwise_square, 0.f, 0.f}};
    default:  // oneDNN has no such function, or a pass of our own after its primitive is faster
      return {};
  }
}

namespace {

std::optional<dnnl::algorithm> binary_of(const PointOp& op) {
  using A = dnnl::algorithm;
  switch (op.binary) {
    case Binary::add:
      return A::binary_add;
    case Binary::mul:
      return A::binary_mul;
    case Binary::sub:
      return op.reversed ? std::nullopt : std::optional(A::binary_sub);
    case Binary::div:
      return op.reversed ? std::nullopt : std::optional(A::binary_div);
    case Binary::min:  // oneDNN's lose NaN
    case Binary::max:
    case Binary::prelu:
      return std::nullopt;
  }
  return std::nullopt;
}

constexpr int kMostPostOps = 10;

}  // namespace

FusedChain::FusedChain(PlanBuilder& builder, const LoweredOp& op, const Dims& dims,
                       const onednn::Desc& destination, bool in_place_sum) {
  const Dims& result = builder.value(op.outputs[0]).dims;
  // Where channels are: the last axis of a matrix, axis 1 of an image.
  const bool flattened = dims.size() == 2;
  const size_t channel = 1;
  for (const PointOp& link : op.chain) {
    if (post_ops_.size() + 4 > kMostPostOps) return;
    if (link.is_unary) {
      if (!add_unary(link, dims, destination)) return;
      ++links_;
      continue;
    }
    const auto algorithm = binary_of(link);
    const LoweredValue& value = builder.value(link.operand);
    if (!algorithm || value.type != DataType::float32) return;
    Dims operand = aligned_dims(value.dims, result.size());
    const bool full = operand == result;
    if (full) {
      operand = dims;
    } else {
      // By channel, or not at all.
      const size_t axis = flattened ? result.size() - 1 : channel;
      for (size_t i = 0; i < operand.size(); ++i) {
        if (operand[i] != 1 && i != axis) return;
      }
      const int64_t channels = operand[axis];
      operand.assign(dims.size(), 1);
      operand[channel] = channels;
      if (channels != 1 && channels != dims[channel]) return;
    }
    if (full && !value.constant.defined() && in_place_sum && links_ == 0 && link.binary == Binary::add &&
        value.dims == dims) {
      const Placement where = builder.placement(link.operand);
      if (where.desc && onednn::same_placement(*where.desc, destination) && builder.dies_here(where)) {
        summand_ = link.operand;
        post_ops_.sum();
        ++links_;
        continue;
      }
    }
    const onednn::Desc desc = full ? destination : onednn::desc_of(operand, onednn::layout_of(destination));
    operands_.push_back({post_ops_.size(), link.operand, operand, desc, {}});
    post_ops_.binary(*algorithm, desc);
    ++links_;
  }
}

// oneDNN 2.6 generates the code of an eltwise post-op once for each algorithm: of two with the same algorithm
// and other parameters both would have the same. A second linear function is written as binary post-ops;
// others don't fuse.
bool FusedChain::add_unary(const PointOp& link, const Dims& dims, const onednn::Desc& destination) {
  const auto clashes = [&](const EltwiseOp& e) {
    return std::ranges::any_of(eltwise_, [&](const EltwiseOp& other) {
      return other.algorithm == e.algorithm && (other.alpha != e.alpha || other.beta != e.beta);
    });
  };
  const std::vector<EltwiseOp> wanted = eltwise_of(link);
  if (wanted.empty()) return false;
  for (const EltwiseOp& e : wanted) {
    if (clashes(e) && e.algorithm != dnnl::algorithm::eltwise_linear) return false;
  }
  for (const EltwiseOp& e : wanted) {
    if (!clashes(e)) {
      post_ops_.eltwise(e.algorithm, e.alpha, e.beta);
      eltwise_.push_back(e);
      continue;
    }
    if (e.alpha != 1.f) add_by_channel(dnnl::algorithm::binary_mul, e.alpha, dims, destination);
    if (e.beta != 0.f) add_by_channel(dnnl::algorithm::binary_add, e.beta, dims, destination);
  }
  return true;
}

void FusedChain::add_by_channel(dnnl::algorithm algorithm, float value, const Dims& dims,
                                const onednn::Desc& destination) {
  Dims operand(dims.size(), 1);
  operand[1] = dims[1];
  const onednn::Desc desc = onednn::desc_of(operand, onednn::layout_of(destination));
  Tensor tensor(DataType::float32, operand);
  std::ranges::fill(tensor.mutable_values<float>(), value);
  operands_.push_back({post_ops_.size(), -1, operand, desc, tensor});
  post_ops_.binary(algorithm, desc);
}

void FusedChain::add_operands(PlanBuilder& builder, const LoweredOp& op,
                              std::vector<PlanBuilder::PrimitiveOperand>& operands) const {
  for (const Operand& o : operands_) {
    const Placement place = o.value < 0 ? builder.packed(o.tensor, onednn::row_major(o.dims), o.desc)
                                        : operand_as(builder, op, o.value, o.dims, o.desc);
    operands.push_back({onednn::post_op_argument(o.post_op), place});
  }
}

}  // namespace plica
