// Local response normalization across channels, in the layout in which its input lies.
#include "runtime/kernels/families.h"

namespace plica {

void build_lrn(PlanBuilder& builder, const LoweredOp& op, const LrnParams& p) {
  const Dims& dims = builder.value(op.inputs[0]).dims;
  for (const onednn::Desc& desc : {*builder.placement(op.inputs[0]).desc, onednn::row_major(dims)}) {
    auto primitive = onednn::lrn(desc, p.size, p.alpha, p.beta, p.bias);
    if (!primitive || primitive->implementation.find("ref") != std::string::npos) continue;
    const Placement from = builder.in_layout(op.inputs[0], desc);
    builder.emit(op, "LRN", std::move(*primitive),
                 {{DNNL_ARG_SRC, from}, {DNNL_ARG_DST, builder.allocate(op.outputs[0], desc)}});
    return;
  }
  build_evaluate(builder, op);
}

}  // namespace plica
