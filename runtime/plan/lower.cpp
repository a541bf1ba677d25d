#include <unordered_map>
#include <unordered_set>

#include "engine/core/fail.h"
#include "engine/graph/captures.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/table.h"
#include "runtime/onednn/onednn.h"
#include "runtime/plan/lower_nodes.h"

namespace plica {

int LoweredGraph::add_constant(Tensor tensor) {
  LoweredValue v;
  v.type = tensor.type();
  v.dims = tensor.dims();
  v.constant = std::move(tensor);
  values.push_back(std::move(v));
  return static_cast<int>(values.size()) - 1;
}

std::vector<int> reads_of(const LoweredOp& op) {
  std::vector<int> reads;
  for (int v : op.inputs) {
    if (v >= 0) reads.push_back(v);
  }
  for (const PointOp& p : op.chain) {
    if (!p.is_unary) reads.push_back(p.operand);
  }
  return reads;
}

void LoweredGraph::remove(const std::vector<bool>& marked) {
  size_t kept = 0;
  for (size_t i = 0; i < ops.size(); ++i) {
    if (marked[i]) continue;
    if (kept != i) ops[kept] = std::move(ops[i]);
    ++kept;
  }
  ops.resize(kept);
}

std::vector<int> LoweredGraph::use_counts() const {
  std::vector<int> counts(values.size(), 0);
  for (const LoweredOp& op : ops) {
    for (int v : reads_of(op)) ++counts[static_cast<size_t>(v)];
  }
  for (int v : outputs) ++counts[static_cast<size_t>(v)];
  return counts;
}

std::vector<int> LoweredGraph::producers() const {
  std::vector<int> producer(values.size(), -1);
  for (size_t i = 0; i < ops.size(); ++i) {
    for (int v : ops[i].outputs) {
      if (v >= 0) producer[static_cast<size_t>(v)] = static_cast<int>(i);
    }
  }
  return producer;
}

namespace {

class Lowering {
 public:
  Lowering(const Region& region, const GraphFacts& facts) : region_(region), facts_(facts) {}

  LoweredGraph run() {
    int position = 0;
    for (const Value* v : region_.inputs) {
      const int i = value_of(v);
      if (!out_.value(i).constant.defined()) out_.value(i).graph_input = position;
      ++position;
    }
    const std::unordered_set<const Node*> live = live_nodes();
    for (const Node* node : region_.nodes) {
      if (live.contains(node)) lower_node(*node);
    }
    for (const Value* v : region_.outputs) {
      const int i = value_of(v);
      out_.value(i).is_output = true;
      out_.outputs.push_back(i);
    }
    return std::move(out_);
  }

 private:
  // Nodes whose results are needed and not known.
  std::unordered_set<const Node*> live_nodes() {
    std::unordered_set<const Value*> needed(region_.outputs.begin(), region_.outputs.end());
    std::unordered_set<const Node*> live;
    for (auto it = region_.nodes.rbegin(); it != region_.nodes.rend(); ++it) {
      const Node& node = **it;
      bool wanted = false;
      for (int i = 0; i < node.num_outputs(); ++i) {
        const Value* v = node.output(i);
        if (!v || !needed.contains(v)) continue;
        const Facts* f = facts_.find(v);
        wanted |= !f || !f->constant.defined();
      }
      if (!wanted) continue;
      live.insert(&node);
      for (const Value* v : reads_of(node)) {
        if (v) needed.insert(v);
      }
    }
    return live;
  }

  int value_of(const Value* v) {
    if (auto it = index_.find(v); it != index_.end()) return it->second;
    LoweredValue lowered;
    lowered.source = v;
    lowered.dynamic = true;
    if (const Facts* f = facts_.find(v)) {
      lowered.type = f->type.element;
      lowered.constant = f->constant;
      if (auto dims = facts_.dims(v); dims && f->type.is_tensor() && lowered.type != DataType::undefined) {
        lowered.dims = *std::move(dims);
        // Objects don't live in an arena, and oneDNN describes no more axes.
        lowered.dynamic = holds_objects(lowered.type) || lowered.dims.size() > DNNL_MAX_NDIMS;
      }
    }
    if (lowered.constant.defined()) {
      lowered.type = lowered.constant.type();
      lowered.dims = lowered.constant.dims();
      lowered.dynamic = false;
    }
    out_.values.push_back(std::move(lowered));
    return index_[v] = static_cast<int>(out_.values.size()) - 1;
  }

  void lower_node(const Node& node) {
    LoweredOp op;
    op.nodes = {&node};
    bool dynamic = has_subgraph(node), constant = !dynamic;
    for (const Value* v : reads_of(node)) {
      op.inputs.push_back(v ? value_of(v) : -1);
      if (!v) continue;
      dynamic |= out_.value(op.inputs.back()).dynamic;
      constant &= out_.value(op.inputs.back()).constant.defined();
    }
    for (int i = 0; i < node.num_outputs(); ++i) {
      const Value* v = node.output(i);
      op.outputs.push_back(v ? value_of(v) : -1);
      if (v) dynamic |= out_.value(op.outputs.back()).dynamic;
    }
    const OpDef& def = op_of(node);
    if (constant && def.deterministic) {
      compute_now(node, op);
      return;
    }
    op.params = EvaluateParams{};
    if (dynamic) {
      op.params = DynamicParams{};
    } else {
      with_context([&] { lower_known_node(out_, node, op); }, [&] { return describe(node); });
    }
    out_.ops.push_back(std::move(op));
  }

  void compute_now(const Node& node, const LoweredOp& op) {
    std::vector<const Tensor*> inputs;
    for (int v : op.inputs) inputs.push_back(v < 0 ? nullptr : &out_.value(v).constant);
    std::vector<Tensor> results = evaluate_node(node, inputs);
    for (size_t i = 0; i < op.outputs.size(); ++i) {
      if (op.outputs[i] < 0) continue;
      LoweredValue& v = out_.value(op.outputs[i]);
      v.constant = results[i];
      v.type = results[i].type();
      v.dims = results[i].dims();
      v.dynamic = false;
    }
  }

  const Region& region_;
  const GraphFacts& facts_;
  LoweredGraph out_;
  std::unordered_map<const Value*, int> index_;
};

}  // namespace

LoweredGraph lower(const Region& region, const GraphFacts& facts) { return Lowering(region, facts).run(); }

}  // namespace plica
