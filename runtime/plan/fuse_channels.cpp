// Concat, Slice and channel shuffles, one after the other, as copies of channels.
//
// A shuffle is [N, g * c, ...] seen as [N, g, c, ...], transposed to [N, c, g, ...] and seen as [N, c * g,
// ...] again: channel k * g + j is channel j * c + k of what it was. The Concat before it and the Slices
// behind it only change which channels these are (ShuffleNet: Concat, shuffle, Split).
#include <algorithm>
#include <optional>

#include "runtime/plan/fuse.h"

namespace plica {
namespace {

// Beyond that a table of channels is no longer small.
constexpr int64_t kMostChannels = 1 << 14;

class ChannelFuser {
 public:
  explicit ChannelFuser(LoweredGraph& graph) : g_(graph) { index(); }

  void run() {
    for (size_t i = 0; i < g_.ops.size(); ++i) join_slices(g_.ops[i]);
    index();
    for (size_t i = 0; i < g_.ops.size(); ++i) {
      if (const auto shuffled = find_shuffle(g_.ops[i])) replace(i, *shuffled);
    }
    remove_dead();
  }

 private:
  struct Channel {
    int value;
    int64_t channel;
  };
  using Channels = std::vector<Channel>;

  void index() {
    producer_ = g_.producers();
    readers_.assign(g_.values.size(), {});
    for (size_t i = 0; i < g_.ops.size(); ++i) {
      for (int v : reads_of(g_.ops[i])) readers_[static_cast<size_t>(v)].push_back(i);
    }
  }
  const Dims& dims(int v) const { return g_.value(v).dims; }
  template <class Params>
  const LoweredOp* producer(int v) const {
    const int p = producer_[static_cast<size_t>(v)];
    return p >= 0 && g_.ops[static_cast<size_t>(p)].is<Params>() ? &g_.ops[static_cast<size_t>(p)] : nullptr;
  }

  // The operation takes channels out of its input, and all of the rest.
  bool slices_channels(const LoweredOp& op) const {
    const auto* p = op.get_if<SliceParams>();
    if (!p || !op.chain.empty() || p->starts.size() < 2) return false;
    const Dims &x = dims(op.inputs[0]), &y = dims(op.outputs[0]);
    for (size_t i = 0; i < x.size(); ++i) {
      if (i != 1 && (p->starts[i] != 0 || x[i] != y[i])) return false;
    }
    return true;
  }

  // Slices in a row that are all of a value, in a Concat, are the value.
  void join_slices(LoweredOp& op) {
    const auto* concat = op.get_if<ConcatParams>();
    if (!concat || concat->axis != 1) return;
    std::vector<int> inputs;
    for (size_t i = 0; i < op.inputs.size();) {
      const LoweredOp* first = producer<SliceParams>(op.inputs[i]);
      size_t end = i;
      int64_t next = 0;
      while (first && end < op.inputs.size()) {
        const LoweredOp* slice = producer<SliceParams>(op.inputs[end]);
        if (!slice || slice->inputs[0] != first->inputs[0] || !slices_channels(*slice) ||
            slice->get_if<SliceParams>()->starts[1] != next) {
          break;
        }
        next += dims(op.inputs[end++])[1];
      }
      if (end > i && next == dims(first->inputs[0])[1]) {
        inputs.push_back(first->inputs[0]);
        i = end;
      } else {
        inputs.push_back(op.inputs[i++]);
      }
    }
    if (inputs.size() > 1) op.inputs = std::move(inputs);
  }

  // What the operation, the last of a shuffle, computes.
  std::optional<Channels> find_shuffle(const LoweredOp& op) const {
    if (!op.is<ViewParams>() || !op.chain.empty()) return std::nullopt;
    const int y = op.outputs[0];
    const LoweredOp* transpose = producer<TransposeParams>(op.inputs[0]);
    const LoweredOp* first = transpose ? producer<ViewParams>(transpose->inputs[0]) : nullptr;
    if (!first) return std::nullopt;
    const int x = first->inputs[0];
    const Dims &before = dims(x), &split = dims(transpose->inputs[0]);
    if (before.size() < 3 || split.size() != before.size() + 1 || dims(y) != before ||
        g_.value(x).type != DataType::float32 || g_.value(x).dynamic || before[1] > kMostChannels ||
        std::ranges::find(before, 0) != before.end()) {
      return std::nullopt;
    }
    const std::vector<int>& permutation = transpose->get_if<TransposeParams>()->permutation;
    for (size_t i = 0; i < split.size(); ++i) {
      const size_t from = i == 1 ? 2 : i == 2 ? 1 : i;
      if (permutation[i] != static_cast<int>(from)) return std::nullopt;
      if (i != 1 && i != 2 && split[i] != before[i == 0 ? 0 : i - 1]) return std::nullopt;
    }
    const int64_t groups = split[1], each = split[2];
    Channels channels;
    for (int64_t k = 0; k < each; ++k) {
      for (int64_t j = 0; j < groups; ++j) channels.push_back(source_of(x, j * each + k));
    }
    return channels;
  }

  // Through the Concat that computes the value.
  Channel source_of(int v, int64_t channel) const {
    const LoweredOp* concat = producer<ConcatParams>(v);
    if (!concat || concat->get_if<ConcatParams>()->axis != 1) return {v, channel};
    for (int part : concat->inputs) {
      if (channel < dims(part)[1]) return {part, channel};
      channel -= dims(part)[1];
    }
    return {v, channel};
  }

  // Operation i computes the channels; where only slices of it are read, they do.
  void replace(size_t i, const Channels& channels) {
    const int y = g_.ops[i].outputs[0];
    const std::vector<size_t>& readers = readers_[static_cast<size_t>(y)];
    const bool sliced = !g_.value(y).is_output &&
                        std::ranges::all_of(readers, [&](size_t r) { return slices_channels(g_.ops[r]); });
    if (!sliced) return become_gather(g_.ops[i], channels);
    for (size_t r : readers) {
      const auto first = channels.begin() + g_.ops[r].get_if<SliceParams>()->starts[1];
      become_gather(g_.ops[r], Channels(first, first + dims(g_.ops[r].outputs[0])[1]));
    }
  }

  static void become_gather(LoweredOp& op, const Channels& channels) {
    op.inputs.clear();
    ChannelGatherParams params;
    for (const Channel& c : channels) {
      auto at = std::ranges::find(op.inputs, c.value);
      if (at == op.inputs.end()) at = op.inputs.insert(op.inputs.end(), c.value);
      params.channels.push_back({static_cast<int>(at - op.inputs.begin()), c.channel});
    }
    op.params = std::move(params);
  }

  void remove_dead() {
    std::vector<int> uses = g_.use_counts();
    std::vector<bool> removed(g_.ops.size(), false);
    for (size_t i = g_.ops.size(); i-- > 0;) {
      const LoweredOp& op = g_.ops[i];
      if (!op.is<ConcatParams>() && !op.is<ViewParams>() && !op.is<TransposeParams>() &&
          !op.is<SliceParams>())
        continue;
      if (uses[static_cast<size_t>(op.outputs[0])] > 0) continue;
      for (int v : reads_of(op)) --uses[static_cast<size_t>(v)];
      removed[i] = true;
    }
    g_.remove(removed);
  }

  LoweredGraph& g_;
  std::vector<int> producer_;
  std::vector<std::vector<size_t>> readers_;  // operations, by value
};

}  // namespace

void fuse_channels(LoweredGraph& graph) { ChannelFuser(graph).run(); }

}  // namespace plica
