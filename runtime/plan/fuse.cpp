#include "runtime/plan/fuse.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "engine/core/checked.h"

namespace plica {
namespace {

// Operands of one chain; a kernel has room for a few more.
constexpr std::ptrdiff_t kMostChainOperands = 10;
// Links of one chain: what a step does with a chain, and what makes one, looks at all of them.
constexpr size_t kMostChainLinks = 64;

std::ptrdiff_t operand_count(const PointChain& chain) {
  return std::ranges::count_if(chain, [](const PointOp& p) { return !p.is_unary; });
}

// x + 1.5 * 2^23 rounds x to a whole number, for an x - 1.5 * 2^23 behind it: such an offset is added by
// itself.
bool rounds(float offset) { return std::abs(offset) >= 0x1p22f; }

class Fuser {
 public:
  explicit Fuser(LoweredGraph& graph)
      : g_(graph), removed_(graph.ops.size(), false), reader_(graph.values.size(), -1) {
    index();
    for (size_t i = 0; i < g_.ops.size(); ++i) {
      for (int v : reads_of(g_.ops[i])) reader_[static_cast<size_t>(v)] = static_cast<int>(i);
    }
  }

  void run() {
    for (size_t i = 0; i < g_.ops.size(); ++i) find_layer_norm(i);
    remove_dead();
    for (size_t i = 0; i < g_.ops.size(); ++i) {
      while (!removed_[i] && g_.ops[i].is<PointwiseParams>() && merge_chain_before(i)) {
      }
    }
    for (LoweredOp& op : g_.ops) {
      if (op.is<PointwiseParams>() && !op.inputs.empty()) simplify_chain(op.chain, op.inputs[0]);
    }
    index();  // what a simplified chain multiplied by itself is read once now
    for (size_t i = 0; i < g_.ops.size(); ++i) {
      if (!removed_[i] && g_.ops[i].is<PointwiseParams>()) join_producer(i);
    }
    for (size_t i = 0; i < g_.ops.size(); ++i) {
      if (!removed_[i]) take_bias(g_.ops[i]);
    }
    g_.remove(removed_);
  }

 private:
  void index() {
    uses_ = g_.use_counts();
    producer_ = g_.producers();
  }
  int& uses(int v) { return uses_[static_cast<size_t>(v)]; }
  const Dims& dims(int v) const { return g_.value(v).dims; }
  // The operation that computes v; null for inputs and constants.
  LoweredOp* producer(int v) {
    const int p = v < 0 ? -1 : producer_[static_cast<size_t>(v)];
    return p < 0 ? nullptr : &g_.ops[static_cast<size_t>(p)];
  }
  // The same when nothing but one operation reads v.
  LoweredOp* only_for(int v) {
    return v >= 0 && uses(v) == 1 && !g_.value(v).constant.defined() ? producer(v) : nullptr;
  }

  static bool fit_together(const LoweredOp& before, const LoweredOp& op) {
    return before.chain.size() + op.chain.size() <= kMostChainLinks &&
           operand_count(before.chain) + operand_count(op.chain) <= kMostChainOperands;
  }

  // Operation i is `before` followed by what it was; `between` is the value that goes away.
  void absorb(size_t i, LoweredOp& before, int between) {
    LoweredOp& op = g_.ops[i];
    before.chain.insert(before.chain.end(), op.chain.begin(), op.chain.end());
    before.nodes.insert(before.nodes.end(), op.nodes.begin(), op.nodes.end());
    before.outputs[0] = op.outputs[0];
    const auto p = static_cast<size_t>(producer_[static_cast<size_t>(between)]);
    op = std::move(before);
    removed_[p] = true;
    g_.ops[p] = LoweredOp{};
    uses(between) = 0;
    producer_[static_cast<size_t>(between)] = -1;
    for (int v : op.outputs) {
      if (v >= 0) producer_[static_cast<size_t>(v)] = static_cast<int>(i);
    }
  }

  // Makes the first link's operand the root, and the root the operand.
  static void swap_root(LoweredOp& op) {
    std::swap(op.inputs[0], op.chain[0].operand);
    op.chain[0].reversed = !op.chain[0].reversed;
  }
  bool can_swap_root(const LoweredOp& op) const {
    return !op.chain.empty() && !op.chain[0].is_unary && op.chain[0].operand != op.inputs[0] &&
           dims(op.chain[0].operand) == dims(op.inputs[0]) &&
           !g_.value(op.chain[0].operand).constant.defined();
  }

  // ---- phase 2

  bool merge_chain_before(size_t i) {
    LoweredOp& op = g_.ops[i];
    const auto mergeable = [&](int v) {
      LoweredOp* p = only_for(v);
      return p && p->is<PointwiseParams>() && dims(v) == dims(op.outputs[0]) && fit_together(*p, op);
    };
    if (can_swap_root(op)) {
      const int operand = op.chain[0].operand;
      const bool closes = mergeable(operand) && producer(operand)->inputs[0] == op.inputs[0];  // x * f(x)
      if (closes || (mergeable(operand) && !only_for(op.inputs[0]))) swap_root(op);
    }
    const int root = op.inputs[0];
    if (!mergeable(root)) return false;
    absorb(i, *producer(root), root);
    return true;
  }

  // ---- phase 4

  bool takes_chain(const LoweredOp& op) const {
    return op.is<ConvolutionParams>() || op.is<MatMulParams>() || op.is<PoolingParams>() ||
           op.is<SoftmaxParams>() || op.is<LayerNormParams>() || op.is<ReduceMeanParams>();
  }

  void join_producer(size_t i) {
    LoweredOp& op = g_.ops[i];
    const auto joinable = [&](int v) {
      LoweredOp* p = only_for(v);
      return p && takes_chain(*p) && dims(v) == dims(op.outputs[0]) && fit_together(*p, op);
    };
    if (can_swap_root(op)) {
      // Of two that could take it the later: then the other's result is there.
      const int root = op.inputs[0], operand = op.chain[0].operand;
      const bool later = producer_[static_cast<size_t>(operand)] > producer_[static_cast<size_t>(root)];
      if (joinable(operand) && (!joinable(root) || later)) swap_root(op);
    }
    const int root = op.inputs[0];
    if (joinable(root)) absorb(i, *producer(root), root);
  }

  // ---- phase 5

  void take_bias(LoweredOp& op) {
    const bool convolution = op.is<ConvolutionParams>();
    if ((!convolution && !op.is<MatMulParams>()) || op.chain.empty() || op.chain[0].is_unary) return;
    const PointOp& link = op.chain[0];
    if (link.binary != Binary::add || !g_.value(link.operand).constant.defined()) return;
    const Dims& result = dims(op.outputs[0]);
    const Tensor& operand = g_.value(link.operand).constant;
    const size_t axis = convolution ? 1 : result.size() - 1;
    if (result.size() < 2 || operand.size() != result[axis] || operand.type() != DataType::float32) return;
    // All its elements must lie on the channel axis.
    const auto from_end = static_cast<std::ptrdiff_t>(result.size() - axis);
    if (operand.rank() < from_end ||
        operand.dims()[operand.dims().size() - static_cast<size_t>(from_end)] != result[axis])
      return;
    if (std::ranges::any_of(operand.values<float>(), rounds)) return;
    Tensor bias = operand.reshaped({operand.size()});
    if (op.inputs.size() > 2) {
      const Tensor& old = g_.value(op.inputs[2]).constant;
      if (!old.defined()) return;
      bias = bias.clone();
      for (int64_t c = 0; c < bias.size(); ++c) bias.mutable_data<float>()[c] += old.data<float>()[c];
      op.inputs[2] = g_.add_constant(std::move(bias));
    } else {
      op.inputs.push_back(g_.add_constant(std::move(bias)));
    }
    op.chain.erase(op.chain.begin());
  }

  // ---- phase 1: d = x - mean(x); y = d / sqrt(mean(d^2) + epsilon) [* scale] [+ shift]

  // The producer of v when it is a single pointwise link of this kind.
  const LoweredOp* unary_of(int v, Unary f) {
    const LoweredOp* p = producer(v);
    return p && p->is<PointwiseParams>() && p->chain.size() == 1 && p->chain[0].is_unary &&
                   p->chain[0].unary == f
               ? p
               : nullptr;
  }
  const LoweredOp* binary_of(int v, Binary f) {
    const LoweredOp* p = producer(v);
    return p && p->is<PointwiseParams>() && p->chain.size() == 1 && !p->chain[0].is_unary &&
                   p->chain[0].binary == f
               ? p
               : nullptr;
  }

  void find_layer_norm(size_t i) {
    if (removed_[i] || g_.ops[i].outputs.empty() || g_.ops[i].outputs[0] < 0) return;
    const LoweredOp* quotient = binary_of(g_.ops[i].outputs[0], Binary::div);
    if (!quotient || quotient->chain[0].reversed) return;
    const int d = quotient->inputs[0];
    const LoweredOp* difference = binary_of(d, Binary::sub);
    if (!difference || difference->chain[0].reversed) return;
    const int x = difference->inputs[0];
    const LoweredOp* mean = producer(difference->chain[0].operand);
    const LoweredOp* root = unary_of(quotient->chain[0].operand, Unary::sqrt);
    if (!mean || !mean->is<ReduceMeanParams>() || mean->inputs[0] != x || !mean->chain.empty() || !root)
      return;
    const LoweredOp* sum = unary_of(root->inputs[0], Unary::linear);
    if (!sum || sum->chain[0].a != 1.f || !(sum->chain[0].b >= 0.f)) return;
    const LoweredOp* variance = producer(sum->inputs[0]);
    if (!variance || !variance->is<ReduceMeanParams>() || !variance->chain.empty()) return;
    const int axes = mean->get_if<ReduceMeanParams>()->axes;
    if (variance->get_if<ReduceMeanParams>()->axes != axes) return;
    const int squared = variance->inputs[0];
    const LoweredOp* power = unary_of(squared, Unary::square);
    if (!power) {
      power = binary_of(squared, Binary::mul);
      if (!power || power->chain[0].operand != d) return;
    }
    if (power->inputs[0] != d) return;

    LoweredOp norm;
    norm.params = LayerNormParams{axes, sum->chain[0].b};
    norm.inputs = {x};
    for (const LoweredOp* part : {mean, difference, power, variance, sum, root}) {
      norm.nodes.insert(norm.nodes.end(), part->nodes.begin(), part->nodes.end());
    }
    norm.nodes.insert(norm.nodes.end(), quotient->nodes.begin(), quotient->nodes.end());
    norm.outputs = g_.ops[i].outputs;
    for (int v : reads_of(g_.ops[i])) --uses(v);
    g_.ops[i] = std::move(norm);
    ++uses(x);
    take_affine(i);
  }

  // Scale and shift along the normalized axes, where they follow at once.
  void take_affine(size_t i) {
    for (const Binary f : {Binary::mul, Binary::add}) {
      LoweredOp& norm = g_.ops[i];
      const int y = norm.outputs[0];
      if (uses(y) != 1) return;
      const int at = reader_[static_cast<size_t>(y)];
      if (at < 0) return;
      LoweredOp& next = g_.ops[static_cast<size_t>(at)];
      if (!next.is<PointwiseParams>() || next.chain.size() != 1 || next.chain[0].is_unary ||
          next.chain[0].binary != f || next.inputs[0] != y) {
        return;
      }
      const int operand = next.chain[0].operand;
      const auto axes = static_cast<size_t>(norm.get_if<LayerNormParams>()->axes);
      const Dims normal(dims(y).end() - static_cast<std::ptrdiff_t>(axes), dims(y).end());
      if (!g_.value(operand).constant.defined() || dims(operand) != normal) return;
      norm.inputs.push_back(operand);
      // The operation takes the place of the one that it absorbs.
      norm.nodes.insert(norm.nodes.end(), next.nodes.begin(), next.nodes.end());
      norm.outputs = next.outputs;
      next = std::move(norm);
      norm = LoweredOp{};
      removed_[i] = true;
      uses(y) = 0;
      producer_[static_cast<size_t>(y)] = -1;
      i = static_cast<size_t>(at);
      producer_[static_cast<size_t>(next.outputs[0])] = at;
    }
  }

  // ---- housekeeping

  // Operations whose results nothing reads.
  void remove_dead() {
    uses_ = g_.use_counts();
    for (size_t i = g_.ops.size(); i-- > 0;) {
      LoweredOp& op = g_.ops[i];
      const bool needed = std::ranges::any_of(op.outputs, [&](int v) { return v >= 0 && uses(v) > 0; });
      if (removed_[i] || needed) continue;
      for (int v : reads_of(op)) --uses(v);
      op = LoweredOp{};
      removed_[i] = true;
    }
    index();
  }

  LoweredGraph& g_;
  std::vector<bool> removed_;
  // By value: how often it is read, and the operations that compute it and, as the last, read it. The readers
  // are those from before the first phase.
  std::vector<int> uses_, producer_, reader_;
};

bool is_unary(const PointOp& p, Unary f) { return p.is_unary && p.unary == f; }
bool near(float a, float b) { return std::abs(a - b) <= 1e-6f * std::abs(b); }
bool multiplies_by(const PointOp& p, int v) {
  return !p.is_unary && p.binary == Binary::mul && p.operand == v;
}

}  // namespace

void simplify_chain(PointChain& chain, int root) {
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = 0; i + 1 < chain.size() && !changed; ++i) {
      PointOp &a = chain[i], &b = chain[i + 1];
      const auto replace = [&](size_t count, PointOp with) {
        chain[i] = with;
        chain.erase(chain.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                    chain.begin() + static_cast<std::ptrdiff_t>(i + count));
        changed = true;
      };
      const PointOp* c = i + 2 < chain.size() ? &chain[i + 2] : nullptr;
      const PointOp* d = i + 3 < chain.size() ? &chain[i + 3] : nullptr;
      const bool plus_3_to_6 = is_unary(a, Unary::linear) && a.a == 1.f && a.b == 3.f &&
                               is_unary(b, Unary::clip) && b.a == 0.f && b.b == 6.f;
      const auto is_sixth = [](const PointOp* p) {
        return p && is_unary(*p, Unary::linear) && near(p->a, 1.f / 6) && p->b == 0.f;
      };
      if (i == 0 && plus_3_to_6 && c && multiplies_by(*c, root) && is_sixth(d)) {
        replace(4, PointOp::of(Unary::hard_swish, 1.f));
      } else if (i == 0 && plus_3_to_6 && is_sixth(c) && d && multiplies_by(*d, root)) {
        replace(4, PointOp::of(Unary::hard_swish, 1.f));
      } else if (i == 0 && plus_3_to_6 && c && multiplies_by(*c, root)) {
        replace(3, PointOp::of(Unary::hard_swish, 6.f));
      } else if (plus_3_to_6 && is_sixth(c)) {
        replace(3, PointOp::of(Unary::hard_sigmoid, 1.f / 6, 0.5f));
      } else if (i == 0 && is_unary(a, Unary::hard_sigmoid) && near(a.a, 1.f / 6) && a.b == 0.5f &&
                 multiplies_by(b, root)) {
        replace(2, PointOp::of(Unary::hard_swish, 1.f));
      } else if (i == 0 && is_unary(a, Unary::sigmoid) && multiplies_by(b, root)) {
        replace(2, PointOp::of(Unary::swish, 1.f));
      } else if (i == 0 && is_unary(a, Unary::linear) && a.b == 0.f && is_unary(b, Unary::sigmoid) && c &&
                 multiplies_by(*c, root)) {
        replace(3, PointOp::of(Unary::swish, a.a));
      } else if (i == 0 && is_unary(a, Unary::linear) && near(a.a, std::sqrt(0.5f)) && a.b == 0.f &&
                 is_unary(b, Unary::erf) && c && is_unary(*c, Unary::linear) && c->a == c->b && d &&
                 multiplies_by(*d, root)) {
        const float factor = 2 * c->a;  // x * (1 + erf(x / sqrt(2))) is twice the function
        replace(4, PointOp::of(Unary::gelu));
        if (factor != 1.f) chain.insert(chain.begin() + 1, PointOp::of(Unary::linear, factor, 0.f));
      } else if (is_unary(a, Unary::linear) && is_unary(b, Unary::linear) && !rounds(a.b)) {
        replace(2, PointOp::of(Unary::linear, a.a * b.a, a.b * b.a + b.b));
      }
    }
  }
}

void fuse(LoweredGraph& graph) { Fuser(graph).run(); }

}  // namespace plica
