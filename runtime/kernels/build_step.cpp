#include "runtime/kernels/families.h"

namespace plica {
namespace {

struct Dispatch {
  PlanBuilder& builder;
  const LoweredOp& op;

  void operator()(const ConvolutionParams& p) const {
    if (p.transposed) {
      build_deconvolution(builder, op, p);
    } else {
      build_convolution(builder, op, p);
    }
  }
  void operator()(const PoolingParams& p) const { build_pooling(builder, op, p); }
  void operator()(const MatMulParams& p) const { build_matmul(builder, op, p); }
  void operator()(const BatchProductParams& p) const { build_batch_product(builder, op, p); }
  void operator()(const IntegerProductParams& p) const { build_integer_product(builder, op, p); }
  void operator()(const BytePairParams& p) const { build_byte_pair(builder, op, p); }
  void operator()(const DynamicQuantizeParams&) const { build_dynamic_quantize(builder, op); }
  void operator()(const ScaleSumsParams&) const { build_scale_sums(builder, op); }
  void operator()(const ElementwiseParams& p) const { build_elementwise(builder, op, p); }
  void operator()(const RecurrentParams& p) const { build_recurrent(builder, op, p); }
  void operator()(const LrnParams& p) const { build_lrn(builder, op, p); }
  void operator()(const SoftmaxParams& p) const { build_softmax(builder, op, p); }
  void operator()(const LayerNormParams& p) const { build_layer_norm(builder, op, p); }
  void operator()(const ReduceMeanParams& p) const { build_reduce_mean(builder, op, p); }
  void operator()(const ConcatParams& p) const { build_concat(builder, op, p); }
  void operator()(const ChannelGatherParams& p) const { build_channel_gather(builder, op, p); }
  void operator()(const TransposeParams& p) const { build_transpose(builder, op, p); }
  void operator()(const SliceParams& p) const { build_slice(builder, op, p); }
  void operator()(const ResampleParams& p) const { build_resample(builder, op, p); }
  void operator()(const PointwiseParams&) const { build_pointwise(builder, op); }
  void operator()(const ViewParams&) const { build_view(builder, op); }
  void operator()(const EvaluateParams&) const { build_evaluate(builder, op); }
  void operator()(const DynamicParams&) const { build_evaluate(builder, op); }
};

}  // namespace

void build_step(PlanBuilder& builder, const LoweredOp& op) { std::visit(Dispatch{builder, op}, op.params); }

}  // namespace plica
