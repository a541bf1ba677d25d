// Pooling; global pooling and means over the spatial axes are poolings too (oneDNN's reduction is slow on
// blocked layouts).
#include <algorithm>

#include "engine/core/checked.h"
#include "runtime/kernels/families.h"
#include "runtime/kernels/rows_kernel.h"

namespace plica {
namespace {

// The mean of every plane, where planes are rows of memory: the primitive takes four times as long for that.
bool build_plane_means(PlanBuilder& builder, const LoweredOp& op, const PoolingParams& p) {
  const LoweredValue& x = builder.value(op.inputs[0]);
  const auto zero = [](const Dims& pads) {
    return std::ranges::all_of(pads, [](int64_t d) { return d == 0; });
  };
  if (p.kind == PoolingParams::Kind::max || x.type != DataType::float32 || !zero(p.window.pads_begin) ||
      !zero(p.window.pads_end) || !std::ranges::equal(p.window.kernel, std::span(x.dims).subspan(2)))
    return false;
  const Placement from = builder.placement(op.inputs[0]);
  if (!onednn::is_row_major(*from.desc)) return false;
  const int64_t planes = x.dims[0] * x.dims[1];
  const onednn::Desc desc = onednn::row_major(builder.value(op.outputs[0]).dims);
  const Placement to =
      op.chain.empty() ? builder.allocate(op.outputs[0], desc) : builder.allocate_temporary(desc);
  builder.emit({"Pool", node_names(op), "rows", onednn::layout_name(desc)},
               std::make_unique<RowMeanKernel>(planes, checked_elements(x.dims) / planes), {from, to});
  if (!op.chain.empty()) build_chain(builder, op, 0, to, true);
  return true;
}

}  // namespace

void build_pooling(PlanBuilder& builder, const LoweredOp& op, const PoolingParams& p) {
  using onednn::Layout;
  if (build_plane_means(builder, op, p)) return;
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
