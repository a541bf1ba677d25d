// Pooling; global pooling and means over the spatial axes are poolings too (oneDNN's reduction is slow on
// blocked layouts).
#include "runtime/kernels/families.h"

namespace plica {

void build_pooling(PlanBuilder& builder, const LoweredOp& op, const PoolingParams& p) {
  using onednn::Layout;
  const Dims& x = builder.value(op.inputs[0]).dims;
  const DataType type = builder.value(op.inputs[0]).type;
  const Dims& y = builder.value(op.outputs[0]).dims;
  onednn::PoolingShape shape;
  switch (p.kind) {
    case PoolingParams::Kind::max:
      shape.algorithm = dnnl::algorithm::pooling_max;
      break;
    case PoolingParams::Kind::average:
      shape.algorithm = dnnl::algorithm::pooling_avg_exclude_padding;
      break;
    case PoolingParams::Kind::average_with_padding:
      shape.algorithm = dnnl::algorithm::pooling_avg_include_padding;
      break;
  }
  shape.kernel = p.window.kernel;
  shape.strides = p.window.strides;
  shape.dilations = p.window.dilations;
  shape.pads_begin = p.window.pads_begin;
  shape.pads_end = p.window.pads_end;
  const Placement source = builder.placement(op.inputs[0]);
  std::vector<Layout> layouts = {source.desc ? onednn::layout_of(*source.desc) : Layout::row_major};
  if (type == DataType::float32) layouts.push_back(builder.layout());
  layouts.insert(layouts.end(), {Layout::channels_last, Layout::row_major});
  for (const bool accept_slow : {false, true}) {
    for (Layout layout : layouts) {
      shape.source = onednn::desc_of(x, layout, type);
      shape.destination = onednn::desc_of(y, layout, type);
      auto primitive = onednn::pooling(shape);
      if (!primitive || primitive->implementation.find("ref") != std::string::npos) continue;
      if (!accept_slow && primitive->implementation.find("jit") == std::string::npos) continue;
      const bool complete = op.chain.empty();
      const Placement from = builder.in_layout(op.inputs[0], shape.source);
      const Placement to = complete ? builder.allocate(op.outputs[0], shape.destination)
                                    : builder.allocate_temporary(shape.destination);
      builder.emit(op, "Pool", std::move(*primitive), {{DNNL_ARG_SRC, from}, {DNNL_ARG_DST, to}});
      if (!complete) build_chain(builder, op, 0, to, true);
      return;
    }
  }
  build_evaluate(builder, op);
}

}  // namespace plica
