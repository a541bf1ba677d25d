// The families of kernels: each function adds the steps of one lowered operation of its kind.
#pragma once

#include "runtime/plan/builder.h"

namespace plica {

void build_convolution(PlanBuilder& builder, const LoweredOp& op, const ConvolutionParams& params);
// By Winograd's method; false: it does not pay here, and nothing was built.
bool build_winograd(PlanBuilder& builder, const LoweredOp& op, const ConvolutionParams& params);
// By the kernels for depthwise convolutions and those of 1x1; false: it is none, and nothing was built.
bool build_depthwise(PlanBuilder& builder, const LoweredOp& op, const ConvolutionParams& params);
bool build_conv1x1(PlanBuilder& builder, const LoweredOp& op, const ConvolutionParams& params);
void build_deconvolution(PlanBuilder& builder, const LoweredOp& op, const ConvolutionParams& params);
void build_pooling(PlanBuilder& builder, const LoweredOp& op, const PoolingParams& params);
void build_matmul(PlanBuilder& builder, const LoweredOp& op, const MatMulParams& params);
void build_batch_product(PlanBuilder& builder, const LoweredOp& op, const BatchProductParams& params);
void build_integer_product(PlanBuilder& builder, const LoweredOp& op, const IntegerProductParams& params);
void build_byte_pair(PlanBuilder& builder, const LoweredOp& op, const BytePairParams& params);
void build_dynamic_quantize(PlanBuilder& builder, const LoweredOp& op);
void build_scale_sums(PlanBuilder& builder, const LoweredOp& op);
void build_elementwise(PlanBuilder& builder, const LoweredOp& op, const ElementwiseParams& params);
void build_recurrent(PlanBuilder& builder, const LoweredOp& op, const RecurrentParams& params);
void build_lrn(PlanBuilder& builder, const LoweredOp& op, const LrnParams& params);
void build_softmax(PlanBuilder& builder, const LoweredOp& op, const SoftmaxParams& params);
void build_layer_norm(PlanBuilder& builder, const LoweredOp& op, const LayerNormParams& params);
void build_reduce_mean(PlanBuilder& builder, const LoweredOp& op, const ReduceMeanParams& params);
void build_concat(PlanBuilder& builder, const LoweredOp& op, const ConcatParams& params);
void build_channel_gather(PlanBuilder& builder, const LoweredOp& op, const ChannelGatherParams& params);
void build_transpose(PlanBuilder& builder, const LoweredOp& op, const TransposeParams& params);
void build_slice(PlanBuilder& builder, const LoweredOp& op, const SliceParams& params);
void build_resample(PlanBuilder& builder, const LoweredOp& op, const ResampleParams& params);
// A pointwise chain that begins with an affine by channel in the blocked layout; false: it does not.
bool build_affine(PlanBuilder& builder, const LoweredOp& op);
void build_pointwise(PlanBuilder& builder, const LoweredOp& op);
void build_view(PlanBuilder& builder, const LoweredOp& op);
// By the kernel of engine/ops, on row-major tensors; also for operations whose shapes only the run knows.
void build_evaluate(PlanBuilder& builder, const LoweredOp& op);

// The layout that most elements of these values lie in.
onednn::Layout layout_of_most(PlanBuilder& builder, const std::vector<int>& values);
// Of the channel axis; 1 for the layouts without.
int64_t block_of(onednn::Layout layout);
// A step that copies channels of the operation's inputs to its output, in a blocked layout or row-major.
void gather_channels(PlanBuilder& builder, const LoweredOp& op, const std::string& kind,
                     onednn::Layout layout, const std::vector<ChannelGatherParams::Source>& channels);

// Applies chain[first...] to `from`, a result of the operation, and leaves it as output 0's place: in place
// when the memory is the plan's own (`owned`).
void build_chain(PlanBuilder& builder, const LoweredOp& op, size_t first, const Placement& from, bool owned);

}  // namespace plica
