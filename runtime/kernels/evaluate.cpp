// The fallback: the operator's own kernel (engine/ops) on row-major tensors. It also serves operations whose
// shapes only the run knows: those infer and allocate in the run.
#include <cstring>
#include <unordered_map>

#include "engine/core/fail.h"
#include "engine/graph/captures.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/table.h"
#include "runtime/kernels/families.h"
#include "runtime/plan/runner.h"

namespace plica {
namespace {

// Where a tensor of the node comes from or goes to.
struct Port {
  enum class Kind { absent, constant, memory, dynamic } kind = Kind::absent;
  int index = -1;  // among the kernel's operands, or the run's dynamic tensors
  DataType type = DataType::undefined;
  Dims dims;
  Tensor constant;
};

// Runs subgraphs by their own plans. What they capture is among the inputs of the step.
class PlannedBodies : public BodyRunner {
 public:
  PlannedBodies(const Programs& programs, std::span<const Value* const> captures,
                std::span<const Tensor> values)
      : programs_(programs) {
    for (size_t i = 0; i < captures.size(); ++i) captured_[captures[i]] = &values[i];
  }

  std::vector<Tensor> run(const Graph& body, std::vector<Tensor> inputs) const override {
    const Runner& runner = programs_.runner_of(body);
    const auto& wanted = runner.region().inputs;
    for (size_t i = inputs.size(); i < wanted.size(); ++i) inputs.push_back(*captured_.at(wanted[i]));
    return runner.run(inputs);
  }

 private:
  const Programs& programs_;
  std::unordered_map<const Value*, const Tensor*> captured_;
};

class EvaluateKernel : public Kernel {
 public:
  EvaluateKernel(const Node& node, const Programs& programs, std::vector<Port> inputs,
                 std::vector<Port> outputs, bool shapes_known)
      : node_(node),
        def_(op_of(node)),
        programs_(programs),
        prepared_(programs.prepared(node)),
        inputs_(std::move(inputs)),
        outputs_(std::move(outputs)),
        shapes_known_(shapes_known) {
    if (has_subgraph(node)) {
      const std::vector<Value*> captures = captures_of(node);
      captures_.assign(captures.begin(), captures.end());
    }
  }

  void run(const Arguments& a) const override {
    std::vector<Tensor> in(inputs_.size()), out(outputs_.size());
    std::vector<const Tensor*> pointers(inputs_.size(), nullptr);
    for (size_t i = 0; i < inputs_.size(); ++i) {
      if (inputs_[i].kind == Port::Kind::absent) continue;
      in[i] = tensor_of(inputs_[i], a);
      pointers[i] = &in[i];
    }
    if (shapes_known_) {
      for (size_t i = 0; i < outputs_.size(); ++i) {
        if (outputs_[i].kind == Port::Kind::memory) out[i] = tensor_of(outputs_[i], a);
      }
      with_context([&] { run_kernel(node_, def_, pointers, out, nullptr, prepared_); },
                   [&] { return describe(node_); });
    } else {
      const size_t own = in.size() - captures_.size();
      const PlannedBodies bodies(programs_, captures_, std::span(in).subspan(own));
      out = evaluate_node(node_, std::span(pointers).first(own), &bodies, prepared_);
    }
    for (size_t i = 0; i < outputs_.size(); ++i) {
      const Port& port = outputs_[i];
      if (port.kind == Port::Kind::dynamic) {
        // Memory of the arena is used again: what an operator passes through is copied.
        a.dynamic[static_cast<size_t>(port.index)] = out[i].owned();
      } else if (port.kind == Port::Kind::memory) {
        require(out[i].dims() == port.dims && out[i].type() == port.type, ErrorCode::internal,
                "{} computed {}, planned was {} of {}", describe(node_), to_string(out[i]),
                to_string(port.type), to_string(port.dims));
        void* memory = a.memory[static_cast<size_t>(port.index)];
        if (out[i].raw() != memory && out[i].bytes() > 0) std::memcpy(memory, out[i].raw(), out[i].bytes());
      }
    }
  }

 private:
  static Tensor tensor_of(const Port& port, const Arguments& a) {
    switch (port.kind) {
      case Port::Kind::constant:
        return port.constant;
      case Port::Kind::memory:
        return Tensor::view(port.type, port.dims, a.memory[static_cast<size_t>(port.index)]);
      case Port::Kind::dynamic:
        return a.dynamic[static_cast<size_t>(port.index)];
      case Port::Kind::absent:
        break;
    }
    return {};
  }

  const Node& node_;
  const OpDef& def_;
  const Programs& programs_;
  const Prepared prepared_;
  std::vector<const Value*> captures_;
  std::vector<Port> inputs_, outputs_;
  bool shapes_known_;
};

}  // namespace

void build_evaluate(PlanBuilder& builder, const LoweredOp& op) {
  const Node& node = *op.nodes.front();
  std::vector<Placement> operands;
  const auto port_of = [&](int v, bool is_output) {
    Port port;
    if (v < 0) return port;
    const LoweredValue& value = builder.value(v);
    port.type = value.type;
    port.dims = value.dims;
    if (auto slot = builder.dynamic_slot(v)) {
      port.kind = Port::Kind::dynamic;
      port.index = *slot;
    } else if (value.constant.defined()) {
      port.kind = Port::Kind::constant;
      port.constant = value.constant;
    } else {
      port.kind = Port::Kind::memory;
      port.index = static_cast<int>(operands.size());
      operands.push_back(is_output ? builder.allocate_row_major(v) : builder.row_major(v));
    }
    return port;
  };
  // A family that falls back has the node's own inputs still, but for a bias that the node may have left out.
  std::vector<Port> inputs, outputs;
  for (int v : op.inputs) inputs.push_back(port_of(v, false));
  std::optional<Placement> before_chain;
  for (int v : op.outputs) {
    if (op.chain.empty()) {
      outputs.push_back(port_of(v, true));
      continue;
    }
    const LoweredValue& value = builder.value(v);
    before_chain = builder.allocate_temporary(onednn::row_major(value.dims));
    outputs.push_back({Port::Kind::memory, static_cast<int>(operands.size()), value.type, value.dims, {}});
    operands.push_back(*before_chain);
  }
  StepInfo info{node.op_type(), node_names(op), "evaluate", ""};
  auto kernel = std::make_unique<EvaluateKernel>(node, builder.programs(), std::move(inputs),
                                                 std::move(outputs), !op.is<DynamicParams>());
  builder.emit(std::move(info), std::move(kernel), operands);
  if (before_chain) build_chain(builder, op, 0, *before_chain, true);
}

}  // namespace plica
