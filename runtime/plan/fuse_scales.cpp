#include "runtime/plan/fuse.h"
#include "runtime/plan/layout_policy.h"

namespace plica {

void fuse_scales(LoweredGraph& graph, onednn::Layout layout) {
  const std::vector<int> uses = graph.use_counts(), producer = graph.producers();
  std::vector<bool> removed(graph.ops.size(), false);
  for (LoweredOp& op : graph.ops) {
    auto* p = std::get_if<ConvolutionParams>(&op.params);
    if (!p || !graph.value(op.inputs[1]).constant.defined()) continue;
    const int x = op.inputs[0], from = producer[static_cast<size_t>(x)];
    const Dims& dims = graph.value(x).dims;
    if (from < 0 || uses[static_cast<size_t>(x)] != 1 ||
        !runs_as_1x1(*p, dims, graph.value(op.outputs[0]).dims, layout))
      continue;
    const LoweredOp& product = graph.ops[static_cast<size_t>(from)];
    if (!product.is<PointwiseParams>() || product.chain.size() != 1) continue;
    const PointOp& link = product.chain[0];
    if (link.is_unary || link.binary != Binary::mul) continue;
    const LoweredValue &whole = graph.value(product.inputs[0]), &factors = graph.value(link.operand);
    if (whole.dims != dims || whole.constant.defined() || factors.constant.defined() ||
        factors.type != DataType::float32 || factors.dims != Dims{dims[0], dims[1], 1, 1})
      continue;
    p->scaled = true;
    op.inputs.resize(4, -1);
    op.inputs[0] = product.inputs[0];
    op.inputs[3] = link.operand;
    op.nodes.insert(op.nodes.begin(), product.nodes.begin(), product.nodes.end());
    removed[static_cast<size_t>(from)] = true;
  }
  graph.remove(removed);
}

}  // namespace plica
