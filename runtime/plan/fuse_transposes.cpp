// Transposes before and behind batches of products (attention: heads are split off by Reshape and Transpose),
// which oneDNN computes from and to any strides.
#include <algorithm>
#include <numeric>

#include "runtime/plan/fuse.h"

namespace plica {
namespace {

class TransposeFuser {
 public:
  explicit TransposeFuser(LoweredGraph& graph)
      : g_(graph),
        uses_(graph.use_counts()),
        producer_(graph.producers()),
        removed_(graph.ops.size(), false) {
    reader_.assign(g_.values.size(), -1);
    for (size_t i = 0; i < g_.ops.size(); ++i) {
      for (int v : reads_of(g_.ops[i])) reader_[static_cast<size_t>(v)] = static_cast<int>(i);
    }
  }

  void run() {
    for (size_t i = 0; i < g_.ops.size(); ++i) visit(i);
    g_.remove(removed_);
  }

 private:
  static std::vector<int> identity(size_t rank) {
    std::vector<int> order(rank);
    std::iota(order.begin(), order.end(), 0);
    return order;
  }
  const LoweredValue& value(int v) const { return g_.value(v); }

  // A batch of products of two values that are computed.
  bool is_batch(const LoweredOp& op) const {
    const auto* p = op.get_if<MatMulParams>();
    if (!p || p->transpose_a || p->transpose_b || op.inputs.size() != 2) return false;
    const LoweredValue &a = value(op.inputs[0]), &b = value(op.inputs[1]), &y = value(op.outputs[0]);
    const size_t rank = y.dims.size();
    if (rank < 3 || a.dims.size() != rank || b.dims.size() != rank || a.constant.defined() ||
        b.constant.defined() || std::ranges::find(y.dims, 0) != y.dims.end()) {
      return false;
    }
    return std::equal(a.dims.begin(), a.dims.end() - 2, b.dims.begin());
  }

  // The Transpose that nothing but the product reads.
  std::optional<size_t> transpose_before(int v) const {
    const int p = producer_[static_cast<size_t>(v)];
    if (p < 0 || uses_[static_cast<size_t>(v)] != 1 || !g_.ops[static_cast<size_t>(p)].is<TransposeParams>())
      return std::nullopt;
    return static_cast<size_t>(p);
  }
  // The Transpose that alone reads the product, if it does not mind where the elements are.
  std::optional<size_t> transpose_behind(const LoweredOp& op) const {
    const int y = op.outputs[0], r = reader_[static_cast<size_t>(y)];
    if (r < 0 || uses_[static_cast<size_t>(y)] != 1 || value(y).is_output ||
        !g_.ops[static_cast<size_t>(r)].is<TransposeParams>() ||
        !std::ranges::all_of(op.chain, [](const PointOp& link) { return link.is_unary; })) {
      return std::nullopt;
    }
    return static_cast<size_t>(r);
  }

  void visit(size_t i) {
    LoweredOp& op = g_.ops[i];
    if (!is_batch(op)) return;
    const size_t rank = value(op.outputs[0]).dims.size();
    BatchProductParams params{identity(rank), identity(rank), identity(rank)};
    std::vector<const Node*> nodes;
    bool found = false;
    const auto absorb = [&](size_t at, std::vector<int>& order) {
      const LoweredOp& transpose = g_.ops[at];
      order = transpose.get_if<TransposeParams>()->permutation;
      nodes.insert(nodes.end(), transpose.nodes.begin(), transpose.nodes.end());
      removed_[at] = found = true;
    };
    for (const size_t input : {0u, 1u}) {
      if (const auto at = transpose_before(op.inputs[input])) {
        absorb(*at, input == 0 ? params.a_order : params.b_order);
        op.inputs[input] = g_.ops[*at].inputs[0];
      }
    }
    nodes.insert(nodes.end(), op.nodes.begin(), op.nodes.end());
    if (const auto at = transpose_behind(op)) {
      absorb(*at, params.y_order);
      op.outputs[0] = g_.ops[*at].outputs[0];
      producer_[static_cast<size_t>(op.outputs[0])] = static_cast<int>(i);
    }
    op.nodes = std::move(nodes);
    if (found) op.params = std::move(params);
  }

  LoweredGraph& g_;
  // By value: how often it is read, and the operations that compute it and, as the last, read it.
  std::vector<int> uses_, producer_, reader_;
  std::vector<bool> removed_;
};

}  // namespace

void fuse_transposes(LoweredGraph& graph) { TransposeFuser(graph).run(); }

}  // namespace plica
