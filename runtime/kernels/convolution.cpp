// Convolutions: the choice of layout and implementation, then what of the chain the primitive can do itself.
#include "engine/core/checked.h"
#include "engine/core/fail.h"
#include "runtime/kernels/families.h"
#include "runtime/kernels/post_ops.h"

namespace plica {
namespace {

using onednn::Layout;

bool has(const std::string& name, const char* part) { return name.find(part) != std::string::npos; }
bool is_direct(const std::string& name) { return !has(name, "ref") && !has(name, "gemm"); }

struct Candidate {
  Layout source, destination;
  std::function<bool(const std::string&)> accept = is_direct;
  bool last_resort = false;  // slow
};

// In the order of preference.
std::vector<Candidate> candidates_for(const PlanBuilder& builder, const ConvolutionParams& p, const Dims& x,
                                      const Dims& y, bool is_row_major) {
  std::vector<Candidate> out;
  const Layout layout = builder.layout();
  const bool depthwise = p.groups > 1 && p.groups == x[1] && p.groups == y[1];
  // Few input channels are read from a row-major image without a reorder.
  const bool first = p.groups == 1 && x[1] <= 4 && layout != Layout::channels_last && is_row_major;
  if (first) out.push_back({Layout::row_major, layout});
  out.push_back({layout, layout});
  for (Layout other : {Layout::channels_last, Layout::blocked16, Layout::blocked8}) {
    if (other != layout) out.push_back({other, other});
  }
  const auto not_ref = [](const std::string& name) { return !has(name, "ref"); };
  if (!depthwise) out.push_back({Layout::channels_last, Layout::channels_last, not_ref, true});
  out.push_back({Layout::row_major, Layout::row_major, not_ref, true});
  out.push_back({Layout::row_major, Layout::row_major, [](const std::string&) { return true; }, true});
  return out;
}

}  // namespace

void build_convolution(PlanBuilder& builder, const LoweredOp& op, const ConvolutionParams& p) {
  if (build_winograd(builder, op, p) || build_depthwise(builder, op, p) || build_conv1x1(builder, op, p))
    return;
  require(!p.scaled, ErrorCode::internal, "only a convolution of 1x1 takes factors");
  const Dims& x = builder.value(op.inputs[0]).dims;
  const Dims& w = builder.value(op.inputs[1]).dims;
  const Dims& y = builder.value(op.outputs[0]).dims;
  Dims weights = w;
  if (p.groups > 1) {
    weights[0] /= p.groups;
    weights.insert(weights.begin(), p.groups);
  }
  const bool has_bias = op.inputs.size() > 2;
  onednn::ConvolutionShape shape;
  shape.weights = onednn::any_layout(weights);
  shape.has_bias = has_bias;
  shape.strides = p.window.strides;
  shape.dilations = p.window.dilations;
  shape.pads_begin = p.window.pads_begin;
  shape.pads_end = p.window.pads_end;

  const bool is_row_major = onednn::is_row_major(*builder.placement(op.inputs[0]).desc);
  for (const bool with_chain : {true, false}) {
    for (const Candidate& c : candidates_for(builder, p, x, y, is_row_major)) {
      shape.source = onednn::desc_of(x, c.source);
      shape.destination = onednn::desc_of(y, c.destination);
      LoweredOp bare = op;
      if (!with_chain) bare.chain.clear();
      // A chain that an implementation cannot do is not worth a slow one: the next round does without.
      if (with_chain && !op.chain.empty() && c.last_resort) continue;
      const FusedChain chain(builder, bare, y, shape.destination, true);
      auto primitive = onednn::convolution(shape, chain.post_ops(), c.accept);
      if (!primitive) continue;
      std::vector<PlanBuilder::PrimitiveOperand> operands;
      operands.push_back({DNNL_ARG_SRC, builder.in_layout(op.inputs[0], shape.source)});
      operands.push_back(
          {DNNL_ARG_WEIGHTS, operand_as(builder, op, op.inputs[1], weights, primitive->weights)});
      if (has_bias) operands.push_back({DNNL_ARG_BIAS, builder.row_major(op.inputs[2])});
      chain.add_operands(builder, bare, operands);
      const bool complete = chain.links() == op.chain.size();
      Placement to;
      if (chain.summand()) {
        to = builder.in_layout(*chain.summand(), shape.destination);
        if (complete) builder.alias(op.outputs[0], to);
      } else {
        to = complete ? builder.allocate(op.outputs[0], shape.destination)
                      : builder.allocate_temporary(shape.destination);
      }
      operands.push_back({DNNL_ARG_DST, to});
      builder.emit(op, "Conv", std::move(*primitive), operands);
      if (!complete) build_chain(builder, op, chain.links(), to, true);
      return;
    }
  }
  fail(ErrorCode::unsupported, "oneDNN has no convolution of {} by {}", to_string(x), to_string(w));
}

}  // namespace plica
