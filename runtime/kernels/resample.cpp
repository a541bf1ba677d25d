// Resize and Upsample, nearest or linear. The rule that maps output to input coordinates has dozens of
// variants; it is not repeated here. Instead the operator's own kernel resamples ramps when the plan is made,
// and what comes out says for every output coordinate which inputs it is made of.
#include <cmath>

#include "engine/core/checked.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/table.h"
#include "runtime/kernels/families.h"
#include "runtime/kernels/resample_kernel.h"

namespace plica {
namespace {

// The ramp along `axis` resampled: position i of the result is the input coordinate of output coordinate i.
std::vector<Tap> taps_of(PlanBuilder& builder, const LoweredOp& op, size_t axis) {
  const Node& node = *op.nodes.front();
  const Dims& x = builder.value(op.inputs[0]).dims;
  const Dims& y = builder.value(op.outputs[0]).dims;
  Tensor ramp(DataType::float32, {1, 1, x[2], x[3]});
  for (int64_t i = 0; i < ramp.size(); ++i)
    ramp.mutable_data<float>()[i] = static_cast<float>(axis == 2 ? i / x[3] : i % x[3]);
  std::vector<Tensor> inputs(op.inputs.size());
  std::vector<const Tensor*> pointers(op.inputs.size(), nullptr);
  for (size_t i = 0; i < op.inputs.size(); ++i) {
    if (op.inputs[i] < 0) continue;
    inputs[i] = i == 0 ? ramp : builder.value(op.inputs[i]).constant;
    if (i == 3 && inputs[i].type() == DataType::int64 && inputs[i].size() == 4) {  // Resize's sizes
      inputs[i] = Tensor::of<int64_t>({1, 1, y[2], y[3]}, {4});
    }
    pointers[i] = &inputs[i];
  }
  std::vector<Tensor> result(1);
  result[0] = Tensor(DataType::float32, {1, 1, y[2], y[3]});
  run_kernel(node, op_of(node), pointers, result);
  const auto* positions = result[0].data<float>();
  std::vector<Tap> taps;
  for (int64_t i = 0; i < y[axis]; ++i) {
    const float position = positions[axis == 2 ? i * y[3] : i];
    const float limit = static_cast<float>(x[axis] - 1);
    if (!(position >= 0.f && position <= limit)) return {};
    Tap t;
    t.first = static_cast<int64_t>(position);
    t.second = std::min(t.first + 1, x[axis] - 1);
    t.weight = position - static_cast<float>(t.first);
    taps.push_back(t);
  }
  return taps;
}

}  // namespace

void build_resample(PlanBuilder& builder, const LoweredOp& op, const ResampleParams&) {
  using onednn::Layout;
  const Dims& x = builder.value(op.inputs[0]).dims;
  const Dims& y = builder.value(op.outputs[0]).dims;
  std::vector<Tap> rows = taps_of(builder, op, 2), columns = taps_of(builder, op, 3);
  if (rows.empty() || columns.empty()) return build_evaluate(builder, op);
  const Layout layout = onednn::layout_of(*builder.placement(op.inputs[0]).desc);
  const Placement from = builder.in_layout(op.inputs[0], onednn::desc_of(x, layout));
  int64_t outer = x[0], inner = 1;
  switch (layout) {
    case Layout::row_major:
      outer = checked_mul(x[0], x[1]);
      break;
    case Layout::channels_last:
      inner = x[1];
      break;
    case Layout::blocked8:
      inner = 8;
      break;
    case Layout::blocked16:
      inner = 16;
      break;
  }
  if (layout == Layout::blocked8 || layout == Layout::blocked16)
    outer = checked_mul(x[0], (x[1] + inner - 1) / inner);
  // Padding lanes of the input are zero, and so become those of the result.
  const onednn::Desc desc = onednn::desc_of(y, layout);
  const bool complete = op.chain.empty();
  const Placement to = complete ? builder.allocate(op.outputs[0], desc) : builder.allocate_temporary(desc);
  builder.emit(
      {"Resize", node_names(op), "resample", onednn::layout_name(desc)},
      std::make_unique<ResampleKernel>(outer, x[2], x[3], inner, std::move(rows), std::move(columns)),
      {from, to});
  if (!complete) build_chain(builder, op, 0, to, true);
}

}  // namespace plica
