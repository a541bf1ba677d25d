// Which part of an operation's chain a oneDNN primitive can do itself.
#pragma once

#include <optional>
#include <vector>

#include "runtime/plan/builder.h"

namespace plica {

// The dims of a value that broadcasts to `rank` axes, with its missing leading axes as 1.
Dims aligned_dims(const Dims& dims, size_t rank);

// The value, seen under dims of the same elements, in a layout; a step if it does not lie so.
Placement operand_as(PlanBuilder& builder, const LoweredOp& op, int v, const Dims& dims,
                     const onednn::Desc& wanted);

// The unary function as oneDNN's eltwise operations, one after the other; empty when it has none that is
// worth it: exponential functions take it 0.4 to 0.5 ns an element, and a pass by pointwise_functions.h 0.2
// to 0.4, with reading and writing again (products and convolutions with them, AVX-512: 1 to 8 % faster by a
// pass).
struct EltwiseOp {
  dnnl::algorithm algorithm;
  float alpha, beta;
};
std::vector<EltwiseOp> eltwise_of(const PointOp& op);

// The chain's beginning as post-ops on a destination.
class FusedChain {
 public:
  // Takes as many links as it can. `dims` are the destination's as the primitive sees it, which has the
  // elements of the operation's result. No step is made yet. With `in_place_sum`, an addition at the
  // beginning may become a sum into the operand's memory.
  FusedChain(PlanBuilder& builder, const LoweredOp& op, const Dims& dims, const onednn::Desc& destination,
             bool in_place_sum);

  const onednn::PostOps& post_ops() const { return post_ops_; }
  size_t links() const { return links_; }  // how many links of the chain are done
  // Makes the operands ready and adds them.
  void add_operands(PlanBuilder& builder, const LoweredOp& op,
                    std::vector<PlanBuilder::PrimitiveOperand>& operands) const;
  // The memory that the primitive must write to: that of the summand.
  std::optional<int> summand() const { return summand_; }

 private:
  struct Operand {
    int post_op;
    int value;  // -1: the tensor
    Dims dims;
    onednn::Desc desc;
    Tensor tensor;
  };
  // Adds the eltwise post-ops of a link; false when oneDNN would not compute them.
  bool add_unary(const PointOp& link, const Dims& dims, const onednn::Desc& destination);
  void add_by_channel(dnnl::algorithm algorithm, float value, const Dims& dims,
                      const onednn::Desc& destination);
  onednn::PostOps post_ops_;
  std::vector<Operand> operands_;
  std::vector<EltwiseOp> eltwise_;
  std::optional<int> summand_;
  size_t links_ = 0;
};

}  // namespace plica
