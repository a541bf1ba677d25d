// Tree ensembles: what the operators' attributes are compiled into, and how rows go down the trees. Compiling
// is linear in the number of nodes and refuses what could read out of range or never end, so that walking
// needs no checks. Thread safety: a Forest is immutable once compiled.
#pragma once

#include <algorithm>
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

// A place in a forest: the index of an inner node, or ~index of a leaf, which is negative.
using TreePlace = int32_t;

// T, the type of thresholds, features and weights: float, or double where the input is.
template <class T>
struct TreeNode {
  T split{};
  int32_t feature = 0;
  TreePlace children[2] = {};  // where the comparison is false, and true
  int32_t members = -1;        // the set that a `member` node asks
  TreeMode mode = TreeMode::leq;
  bool nan_is_true = false;  // where a row goes whose feature is missing, whatever the mode
};

// What a leaf adds to a target (or class).
template <class T>
struct Vote {
  int32_t target;
  T weight;
};

template <class T>
struct Forest {
  std::vector<TreeNode<T>> nodes;
  std::vector<TreePlace> roots;
  std::vector<int32_t> first_vote;  // those of leaf i: [first_vote[i], first_vote[i + 1])
  std::vector<Vote<T>> votes;
  std::vector<int32_t> first_member;  // of set i, likewise
  std::vector<T> members;             // each set sorted
  int64_t features = 0;               // as many a row must have at least
  bool only_leq = true;               // all nodes compare by <=
};

// From the attributes of TreeEnsembleClassifier and -Regressor; `votes` is the prefix "class" or "target".
template <class T>
Forest<T> compile_named_nodes(const AttributeReader& attributes, std::string_view votes, int64_t targets);
// From those of TreeEnsemble.
template <class T>
Forest<T> compile_indexed_nodes(const AttributeReader& attributes, int64_t targets);

// The element type in which the thresholds and features of an input of this type are compared.
inline DataType tree_type(DataType input) {
  return input == DataType::float64 ? DataType::float64 : DataType::float32;
}

template <class T>
bool holds(const Forest<T>& forest, const TreeNode<T>& node, T x) {
  switch (node.mode) {
    case TreeMode::leq:
      return x <= node.split;
    case TreeMode::lt:
      return x < node.split;
    case TreeMode::gte:
      return x >= node.split;
    case TreeMode::gt:
      return x > node.split;
    case TreeMode::eq:
      return x == node.split;
    case TreeMode::neq:
      return x != node.split;
    case TreeMode::member: {
      const auto set = static_cast<size_t>(node.members);
      return std::binary_search(forest.members.begin() + forest.first_member[set],
                                forest.members.begin() + forest.first_member[set + 1], x);
    }
  }
  return false;
}

template <bool kOnlyLeq, class T>
size_t find_leaf(const Forest<T>& forest, TreePlace at, const T* row) {
  while (at >= 0) {
    const TreeNode<T>& node = forest.nodes[static_cast<size_t>(at)];
    const T x = row[node.feature];
    const bool yes = x != x ? node.nan_is_true : kOnlyLeq ? x <= node.split : holds(forest, node, x);
    at = node.children[yes];
  }
  return static_cast<size_t>(~at);
}

enum class Aggregate : uint8_t { average, sum, min, max };

// The scores of one row: those of targets that no leaf voted for are 0.
template <class T>
struct RowScores {
  std::span<T> scores;
  std::span<const uint8_t> voted;
};

// Calls finish(row number, RowScores) for each row, in parallel. Votes are added in the order of the trees,
// in T: labels that are decided at a threshold then come out as in ONNX Runtime. Averages are sums still.
template <class T, class Finish>
void score_rows(const Forest<T>& forest, const T* x, Rows rows, int64_t targets, Aggregate aggregate,
                const Finish& finish) {
  // Rows that go down one tree together, while its nodes are in the cache.
  const int64_t block = std::clamp<int64_t>(65536 / std::max<int64_t>(1, targets), 1, 64);
  const auto trees = static_cast<int64_t>(forest.roots.size());
  const auto add = [&](const Vote<T>& vote, T* scores, uint8_t* voted) {
    T& score = scores[vote.target];
    if (aggregate <= Aggregate::sum) {
      score += vote.weight;
    } else if (!voted[vote.target] ||
               (aggregate == Aggregate::min ? vote.weight < score : vote.weight > score)) {
      score = vote.weight;
    }
    voted[vote.target] = 1;
  };
  parallel_for(rows.count, 2048 / std::max<int64_t>(1, trees) + 1, [&](int64_t begin, int64_t end) {
    std::vector<T> scores(static_cast<size_t>(block * targets));
    std::vector<uint8_t> voted(scores.size());
    for (int64_t first = begin; first < end; first += block) {
      const int64_t count = std::min(block, end - first);
      std::ranges::fill(scores, T{0});
      std::ranges::fill(voted, uint8_t{0});
      for (const TreePlace root : forest.roots) {
        for (int64_t i = 0; i < count; ++i) {
          const T* row = x + (first + i) * rows.features;
          const size_t leaf =
              forest.only_leq ? find_leaf<true>(forest, root, row) : find_leaf<false>(forest, root, row);
          for (auto v = static_cast<size_t>(forest.first_vote[leaf]),
                    last = static_cast<size_t>(forest.first_vote[leaf + 1]);
               v < last; ++v)
            add(forest.votes[v], scores.data() + i * targets, voted.data() + i * targets);
        }
      }
      for (int64_t i = 0; i < count; ++i) {
        const auto width = static_cast<size_t>(targets);
        finish(first + i, RowScores<T>{std::span(scores.data() + i * targets, width),
                                       std::span<const uint8_t>(voted.data() + i * targets, width)});
      }
    }
  });
}

}  // namespace plica::ml
