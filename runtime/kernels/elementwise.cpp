// Operators that work element by element, by their kernels in engine/ops, on tensors in the order in which
// they lie: a channels-last tensor is a row-major one of other dims.
#include <algorithm>

#include "engine/ops/evaluate.h"
#include "engine/ops/table.h"
#include "runtime/kernels/families.h"

namespace plica {
namespace {

class ElementwiseKernel : public Kernel {  // operands: data, output
 public:
  struct Input {
    int operand = -1;  // or the constant, or neither
    DataType type = DataType::undefined;
    Tensor constant;
  };
  ElementwiseKernel(const Node& node, Dims dims, std::vector<Input> inputs, DataType type)
      : node_(node), def_(op_of(node)), dims_(std::move(dims)), inputs_(std::move(inputs)), type_(type) {}

  void run(const Arguments& a) const override {
    std::vector<Tensor> in(inputs_.size());
    std::vector<const Tensor*> pointers(inputs_.size(), nullptr);
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const Input& input = inputs_[i];
      if (input.operand < 0 && !input.constant.defined()) continue;
      in[i] = input.operand < 0
                  ? input.constant
                  : Tensor::view(input.type, dims_, a.memory[static_cast<size_t>(input.operand)]);
      pointers[i] = &in[i];
    }
    Tensor out[] = {Tensor::view(type_, dims_, a.memory.back())};
    run_kernel(node_, def_, pointers, out);
  }

 private:
  const Node& node_;
  const OpDef& def_;
  Dims dims_;  // in the order of memory
  std::vector<Input> inputs_;
  DataType type_;
};

}  // namespace

void build_elementwise(PlanBuilder& builder, const LoweredOp& op, const ElementwiseParams& params) {
  using onednn::Layout;
  const auto is_data = [&](size_t i) {
    return std::ranges::find(params.data, static_cast<int>(i)) != params.data.end();
  };
  const Placement first = builder.placement(op.inputs[static_cast<size_t>(params.data[0])]);
  const LoweredValue& y = builder.value(op.outputs[0]);
  if (!first.desc || onednn::layout_of(*first.desc) != Layout::channels_last) {
    build_evaluate(builder, op);
    return;
  }
  std::vector<Placement> operands;
  std::vector<ElementwiseKernel::Input> inputs(op.inputs.size());
  for (size_t i = 0; i < op.inputs.size(); ++i) {
    const int v = op.inputs[i];
    if (v < 0) continue;
    const LoweredValue& value = builder.value(v);
    inputs[i].type = value.type;
    if (!is_data(i)) {
      inputs[i].constant = value.constant;
      continue;
    }
    inputs[i].operand = static_cast<int>(operands.size());
    operands.push_back(builder.in_layout(v, onednn::desc_of(value.dims, Layout::channels_last, value.type)));
  }
  Dims moved = y.dims;
  std::rotate(moved.begin() + 1, moved.begin() + 2, moved.end());
  operands.push_back(builder.allocate(op.outputs[0], onednn::desc_of(y.dims, Layout::channels_last, y.type)));
  const Node& node = *op.nodes.front();
  builder.emit({node.op_type(), node_names(op), "evaluate", onednn::layout_name(*operands.back().desc)},
               std::make_unique<ElementwiseKernel>(node, std::move(moved), std::move(inputs), y.type),
               operands);
}

}  // namespace plica
