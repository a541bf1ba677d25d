// Tree ensembles: what the operators' attributes are compiled into, and how rows go down the trees. Compiling
// is linear in the number of nodes and refuses what could read out of range or never end, so that walking
// needs no checks. Thread safety: a Forest is immutable once compiled.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "engine/core/parallel.h"
#include "engine/ops/attribute_reader.h"
#include "engine/ops/ml/ml.h"

namespace plica::ml {

// Numbered as TreeEnsemble (opset 5) numbers them.
enum class TreeMode : uint8_t { leq, lt, gte, gt, eq, neq, member };

// A place in a forest: the index of a node. Leaves come after all inner nodes; a leaf's children are itself,
// so that whoever is at one may go on.
using TreePlace = int32_t;

// T, the type of thresholds and weights: float, or double where an attribute is.
template <class T>
struct TreeNode {
  static constexpr uint32_t kNanIsTrue = uint32_t{1} << 31;

  T split;
  uint32_t flagged_feature;  // with kNanIsTrue: a row whose feature is missing goes to children[1]
  TreePlace children[2];     // where the comparison is false, and true

  uint32_t feature() const { return flagged_feature & ~kNanIsTrue; }
  bool nan_is_true() const { return (flagged_feature & kNanIsTrue) != 0; }
};

// What a leaf adds to a target (or class).
template <class T>
struct Vote {
  int32_t target;
  T weight;
};

// What all nodes of a forest ask: feature <= split, feature < split, or each by its own mode.
enum class TreeQuestion : uint8_t { leq, lt, mixed };

template <class T>
struct Forest {
  std::vector<TreeNode<T>> nodes;
  TreePlace first_leaf = 0;
  std::vector<TreePlace> roots;
  std::vector<int32_t> first_vote;  // those of leaf i: [first_vote[i], first_vote[i + 1])
  std::vector<Vote<T>> votes;
  int64_t features = 0;  // as many a row must have at least
  TreeQuestion question = TreeQuestion::leq;
  bool asks_for_nan = false;  // some node's nan_is_true
  // Of a mixed forest, by node: its mode, and the set that a `member` node asks.
  std::vector<TreeMode> modes;
  std::vector<int32_t> sets;
  std::vector<int32_t> first_member;  // of set i, as above
  std::vector<T> members;             // each set sorted
};

// From the attributes of TreeEnsembleClassifier and -Regressor; `votes` is the prefix "class" or "target".
template <class T>
Forest<T> compile_named_nodes(const AttributeReader& attributes, std::string_view votes, int64_t targets);
// From those of TreeEnsemble.
template <class T>
Forest<T> compile_indexed_nodes(const AttributeReader& attributes, int64_t targets);

// Whether a row goes to children[1] of a node of a mixed forest; x is no NaN.
template <class T, class X>
bool holds(const Forest<T>& forest, size_t at, X x) {
  const T split = forest.nodes[at].split;
  switch (forest.modes[at]) {
    case TreeMode::leq:
      return x <= split;
    case TreeMode::lt:
      return x < split;
    case TreeMode::gte:
      return x >= split;
    case TreeMode::gt:
      return x > split;
    case TreeMode::eq:
      return x == split;
    case TreeMode::neq:
      return x != split;
    case TreeMode::member: {
      const auto set = static_cast<size_t>(forest.sets[at]);
      return std::binary_search(forest.members.begin() + forest.first_member[set],
                                forest.members.begin() + forest.first_member[set + 1], x);
    }
  }
  return false;
}

// As many go down together: each waits for its own nodes from memory, not for the others'.
inline constexpr size_t kWalkers = 8;

template <class X>
struct Walkers {
  std::array<TreePlace, kWalkers> at;
  std::array<const X*, kWalkers> rows;
};

// All to their leaves. X, the type of features: T, or double.
template <TreeQuestion kQuestion, bool kAsksForNan, class T, class X>
void find_leaves(const Forest<T>& forest, Walkers<X>& walkers) {
  const TreeNode<T>* const nodes = forest.nodes.data();
  TreePlace last = *std::ranges::min_element(walkers.at);
  while (last < forest.first_leaf) {
    last = forest.first_leaf;
    // Without branches, which nothing could predict.
    for (size_t i = 0; i < kWalkers; ++i) {
      const auto at = static_cast<uint32_t>(walkers.at[i]);
      const TreeNode<T>& node = nodes[at];
      const X x = walkers.rows[i][kAsksForNan ? node.feature() : node.flagged_feature];
      bool yes;
      if constexpr (kQuestion == TreeQuestion::mixed) {
        yes = x != x ? node.nan_is_true() : holds(forest, at, x);
      } else {
        yes = kQuestion == TreeQuestion::leq ? x <= node.split : x < node.split;
        if constexpr (kAsksForNan) yes |= (x != x) & node.nan_is_true();
      }
      walkers.at[i] = node.children[yes];
      last = std::min(last, walkers.at[i]);
    }
  }
}

template <class T, class X>
void find_leaves(const Forest<T>& forest, Walkers<X>& walkers) {
  using Q = TreeQuestion;
  if (forest.question == Q::mixed) return find_leaves<Q::mixed, true>(forest, walkers);
  if (forest.question == Q::lt) {
    return forest.asks_for_nan ? find_leaves<Q::lt, true>(forest, walkers)
                               : find_leaves<Q::lt, false>(forest, walkers);
  }
  return forest.asks_for_nan ? find_leaves<Q::leq, true>(forest, walkers)
                             : find_leaves<Q::leq, false>(forest, walkers);
}

enum class Aggregate : uint8_t { average, sum, min, max };

// The scores of rows: those of targets that no leaf voted for are 0.
template <class X>
struct RowScores {
  std::span<X> scores;
  std::span<uint8_t> voted;
};

// Adds what the leaf votes for.
template <class T, class X>
void count_votes(const Forest<T>& forest, TreePlace leaf, Aggregate aggregate, X* scores, uint8_t* voted) {
  const auto index = static_cast<size_t>(leaf - forest.first_leaf);
  const Vote<T>* const end = forest.votes.data() + forest.first_vote[index + 1];
  for (const Vote<T>* vote = forest.votes.data() + forest.first_vote[index]; vote < end; ++vote) {
    const auto weight = static_cast<X>(vote->weight);
    X& score = scores[vote->target];
    if (aggregate <= Aggregate::sum) {
      score += weight;
    } else if (!voted[vote->target] || (aggregate == Aggregate::min ? weight < score : weight > score)) {
      score = weight;
    }
    voted[vote->target] = 1;
  }
}

// Sends `count` rows, one after the other in memory, down all trees: by rows as far as there are enough of
// them, by trees the last few. Votes are added in the order of the trees.
template <class T, class X>
void score_block(const Forest<T>& forest, const X* x, int64_t stride, int64_t count, int64_t targets,
                 Aggregate aggregate, const RowScores<X>& out) {
  constexpr auto kGroup = static_cast<int64_t>(kWalkers);
  const auto add = [&](TreePlace leaf, int64_t row) {
    count_votes(forest, leaf, aggregate, out.scores.data() + row * targets, out.voted.data() + row * targets);
  };
  const int64_t grouped = count / kGroup * kGroup;
  Walkers<X> walkers;
  // A tree for all rows of the block, while its nodes are in the cache.
  for (size_t t = 0; grouped > 0 && t < forest.roots.size(); ++t) {
    for (int64_t row = 0; row < grouped; row += kGroup) {
      walkers.at.fill(forest.roots[t]);
      for (size_t i = 0; i < kWalkers; ++i) walkers.rows[i] = x + (row + static_cast<int64_t>(i)) * stride;
      find_leaves(forest, walkers);
      for (size_t i = 0; i < kWalkers; ++i) add(walkers.at[i], row + static_cast<int64_t>(i));
    }
  }
  for (int64_t row = grouped; row < count; ++row) {
    walkers.rows.fill(x + row * stride);
    for (size_t t = 0; t < forest.roots.size(); t += kWalkers) {
      const size_t trees = std::min(kWalkers, forest.roots.size() - t);
      walkers.at.fill(forest.first_leaf);
      std::copy_n(forest.roots.begin() + static_cast<std::ptrdiff_t>(t), trees, walkers.at.begin());
      find_leaves(forest, walkers);
      for (size_t i = 0; i < trees; ++i) add(walkers.at[i], row);
    }
  }
}

// Calls finish(row number, RowScores) for each row, in parallel. Votes are added in X: labels that are
// decided at a threshold then come out as in ONNX Runtime. Averages are sums still.
template <class T, class X, class Finish>
void score_rows(const Forest<T>& forest, const X* x, Rows rows, int64_t targets, Aggregate aggregate,
                const Finish& finish) {
  const int64_t block = std::clamp<int64_t>(65536 / std::max<int64_t>(1, targets), 1, 64);
  const auto trees = static_cast<int64_t>(forest.roots.size());
  parallel_for(rows.count, 2048 / std::max<int64_t>(1, trees) + 1, [&](int64_t begin, int64_t end) {
    const auto width = static_cast<size_t>(targets);
    std::vector<X> scores(static_cast<size_t>(std::min(block, end - begin)) * width);
    std::vector<uint8_t> voted(scores.size());
    for (int64_t first = begin; first < end; first += block) {
      const int64_t count = std::min(block, end - first);
      std::ranges::fill(scores, X{0});
      std::ranges::fill(voted, uint8_t{0});
      const RowScores<X> all{scores, voted};
      score_block(forest, x + first * rows.features, rows.features, count, targets, aggregate, all);
      for (int64_t i = 0; i < count; ++i) {
        const size_t at = static_cast<size_t>(i) * width;
        finish(first + i, RowScores<X>{all.scores.subspan(at, width), all.voted.subspan(at, width)});
      }
    }
  });
}

}  // namespace plica::ml
