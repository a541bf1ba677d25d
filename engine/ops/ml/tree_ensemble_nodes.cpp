// Compiles the attributes of tree ensembles into forests.
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "engine/ops/cast.h"
#include "engine/ops/ml/tree_ensemble.h"

namespace plica::ml {
namespace {

constexpr size_t kMostNodes = std::numeric_limits<int32_t>::max() / 2;

TreeMode mode_of(std::string_view name) {
  constexpr std::array<std::string_view, 6> kNames = {"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE",
                                                      "BRANCH_GT",  "BRANCH_EQ", "BRANCH_NEQ"};
  const auto it = std::ranges::find(kNames, name);
  require(it != kNames.end(), ErrorCode::invalid_model, "nodes_modes has {}", quoted(name));
  return static_cast<TreeMode>(it - kNames.begin());
}

uint32_t flagged_feature(int64_t id, bool nan_is_true) {
  require(id >= 0 && id < std::numeric_limits<int32_t>::max(), ErrorCode::invalid_model,
          "nodes_featureids has {}", id);
  return static_cast<uint32_t>(id) | (nan_is_true ? TreeNode<float>::kNanIsTrue : 0);
}

int32_t target_of(int64_t id, int64_t targets) {
  require(id >= 0 && id < targets && id < std::numeric_limits<int32_t>::max(), ErrorCode::invalid_model,
          "a leaf votes for {} of {} targets", id, targets);
  return static_cast<int32_t>(id);
}

void require_length(std::string_view name, size_t length, size_t expected, std::string_view of) {
  require(length == expected, ErrorCode::invalid_model, "{} has {} elements for {} {}", name, length,
          expected, of);
}

template <class T>
std::vector<T> tensor_values(const Tensor& tensor, std::string_view name) {
  require(is_floating(tensor.type()) || tensor.type() == DataType::uint8, ErrorCode::invalid_model,
          "{} has elements of {}", name, to_string(tensor.type()));
  const Tensor cast = cast_tensor(tensor, data_type_of<T>);
  return {cast.values<T>().begin(), cast.values<T>().end()};
}

// A list of floats, or a tensor under the name with "_as_tensor".
template <class T>
std::vector<T> float_values(const AttributeReader& attributes, const std::string& name) {
  const std::string as_tensor = name + "_as_tensor";
  if (attributes.defines(as_tensor)) {
    if (const Tensor* t = attributes.maybe_tensor(as_tensor)) return tensor_values<T>(*t, as_tensor);
  }
  const auto values = attributes.floats(name);
  return {values.begin(), values.end()};
}

// Finds the nodes that attributes name by a tree's id and a node's.
class NodeNames {
 public:
  NodeNames(const std::vector<int64_t>& trees, const std::vector<int64_t>& nodes)
      : trees_(trees), nodes_(nodes), order_(trees.size()) {
    std::iota(order_.begin(), order_.end(), 0);
    const auto before = [&](int32_t a, int32_t b) { return name(a) < name(b); };
    if (!std::ranges::is_sorted(order_, before)) std::ranges::stable_sort(order_, before);
    for (size_t i = 1; i < order_.size(); ++i) {
      require(name(order_[i - 1]) != name(order_[i]), ErrorCode::invalid_model, "tree {} has two nodes {}",
              name(order_[i]).first, name(order_[i]).second);
    }
  }

  // The first-listed node of each tree: its root.
  std::vector<int32_t> roots() const {
    std::vector<int32_t> roots;
    for (size_t i = 0; i < order_.size(); ++i) {
      if (i == 0 || tree(order_[i]) != tree(order_[i - 1])) {
        roots.push_back(order_[i]);
      } else {
        roots.back() = std::min(roots.back(), order_[i]);
      }
    }
    return roots;
  }

  int32_t find(int64_t tree, int64_t node) {
    const std::pair wanted{tree, node};
    // The ids of a tree are a range as a rule: a node then is as far from another as their ids are.
    if (last_ < order_.size() && name(order_[last_]).first == tree) {
      const auto guess = static_cast<uint64_t>(last_) + static_cast<uint64_t>(node) -
                         static_cast<uint64_t>(name(order_[last_]).second);
      if (guess < order_.size() && name(order_[guess]) == wanted) return order_[last_ = guess];
    }
    const auto it = std::ranges::lower_bound(order_, wanted, {}, [&](int32_t i) { return name(i); });
    require(it != order_.end() && name(*it) == wanted, ErrorCode::invalid_model, "tree {} has no node {}",
            tree, node);
    last_ = static_cast<size_t>(it - order_.begin());
    return *it;
  }

 private:
  int64_t tree(int32_t i) const { return trees_[static_cast<size_t>(i)]; }
  std::pair<int64_t, int64_t> name(int32_t i) const { return {tree(i), nodes_[static_cast<size_t>(i)]}; }

  const std::vector<int64_t>& trees_;
  const std::vector<int64_t>& nodes_;
  std::vector<int32_t> order_;  // by name
  size_t last_ = 0;             // where in it the last node was found
};

// Sorts votes by their leaves, those of a leaf staying in order.
template <class T>
void set_votes(Forest<T>& forest, const std::vector<std::pair<int32_t, Vote<T>>>& votes) {
  forest.first_vote.assign(forest.nodes.size() - static_cast<size_t>(forest.first_leaf) + 1, 0);
  for (const auto& [leaf, vote] : votes) ++forest.first_vote[static_cast<size_t>(leaf) + 1];
  std::partial_sum(forest.first_vote.begin(), forest.first_vote.end(), forest.first_vote.begin());
  std::vector<int32_t> next = forest.first_vote;
  forest.votes.resize(votes.size());
  for (const auto& [leaf, vote] : votes)
    forest.votes[static_cast<size_t>(next[static_cast<size_t>(leaf)]++)] = vote;
}

template <class T>
void set_named_votes(Forest<T>& forest, const AttributeReader& attributes, std::string_view prefix,
                     int64_t targets, NodeNames& names, const std::vector<TreePlace>& places) {
  const auto name = [&](std::string_view suffix) { return fmt::format("{}_{}", prefix, suffix); };
  const auto trees = attributes.ints(name("treeids")), nodes = attributes.ints(name("nodeids")),
             ids = attributes.ints(name("ids"));
  const auto weights = float_values<T>(attributes, name("weights"));
  require(ids.size() <= kMostNodes, ErrorCode::limit, "{} votes", ids.size());
  require_length(name("treeids"), trees.size(), ids.size(), "votes");
  require_length(name("nodeids"), nodes.size(), ids.size(), "votes");
  require_length(name("weights"), weights.size(), ids.size(), "votes");
  std::vector<std::pair<int32_t, Vote<T>>> votes;
  votes.reserve(ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    const TreePlace place = places[static_cast<size_t>(names.find(trees[i], nodes[i]))];
    const int32_t target = target_of(ids[i], targets);
    // Inner nodes' votes never count.
    if (place >= forest.first_leaf) votes.push_back({place - forest.first_leaf, {target, weights[i]}});
  }
  set_votes(forest, votes);
}

template <class T>
void add_leaves(Forest<T>& forest, size_t count) {
  forest.first_leaf = static_cast<TreePlace>(forest.nodes.size());
  for (size_t i = 0; i < count; ++i) {
    const auto place = static_cast<TreePlace>(forest.nodes.size());
    forest.nodes.push_back({T{}, 0, {place, place}});
  }
  forest.modes.resize(forest.nodes.size(), TreeMode::leq);
}

// A child: of leaf number `id`, or of inner node number `id`.
TreePlace place_of(int64_t id, bool is_leaf, size_t nodes, size_t leaves) {
  require(id >= 0 && static_cast<uint64_t>(id) < (is_leaf ? leaves : nodes), ErrorCode::invalid_model,
          "a node refers to {} {} of {}", is_leaf ? "leaf" : "node", id, is_leaf ? leaves : nodes);
  return static_cast<TreePlace>(id) + (is_leaf ? static_cast<TreePlace>(nodes) : 0);
}

// The sets of `member` nodes, in their order, each ended by a NaN (the last perhaps by the end).
template <class T>
void set_members(Forest<T>& forest, const AttributeReader& attributes) {
  int32_t sets = 0;
  for (const TreeMode mode : forest.modes) forest.sets.push_back(mode == TreeMode::member ? sets++ : -1);
  std::vector<T> values;
  if (const Tensor* t = attributes.maybe_tensor("membership_values"))
    values = tensor_values<T>(*t, "membership_values");
  forest.first_member = {0};
  const auto close_set = [&] {
    std::sort(forest.members.begin() + forest.first_member.back(), forest.members.end());
    forest.first_member.push_back(static_cast<int32_t>(forest.members.size()));
  };
  require(values.size() <= kMostNodes, ErrorCode::limit, "{} membership_values", values.size());
  for (const T value : values) {
    if (std::isnan(value)) {
      close_set();
    } else {
      forest.members.push_back(value);
    }
  }
  if (!values.empty() && !std::isnan(values.back())) close_set();
  const auto found = static_cast<int32_t>(forest.first_member.size()) - 1;
  require(found == sets, ErrorCode::invalid_model,
          "membership_values has {} sets for {} nodes of BRANCH_MEMBER", found, sets);
}

// Throws invalid_model when a node can reach itself.
template <class T>
void check_ends(const Forest<T>& forest) {
  // Every node comes after those that refer to it, unless some refer to each other in a ring.
  const std::span inner(forest.nodes.data(), static_cast<size_t>(forest.first_leaf));
  std::vector<int32_t> references(inner.size());
  std::vector<TreePlace> ready;
  for (const TreeNode<T>& node : inner) {
    for (const TreePlace child : node.children) {
      if (child < forest.first_leaf) ++references[static_cast<size_t>(child)];
    }
  }
  for (size_t i = 0; i < references.size(); ++i) {
    if (references[i] == 0) ready.push_back(static_cast<TreePlace>(i));
  }
  size_t done = 0;
  for (; !ready.empty(); ++done) {
    const TreeNode<T>& node = inner[static_cast<size_t>(ready.back())];
    ready.pop_back();
    for (const TreePlace child : node.children) {
      if (child < forest.first_leaf && --references[static_cast<size_t>(child)] == 0) ready.push_back(child);
    }
  }
  require(done == inner.size(), ErrorCode::invalid_model,
          "the nodes of a tree refer to each other in a ring");
}

// Lets all nodes ask one question, if they can: x > s is the contrary of x <= s, and x >= s that of x < s,
// but for a NaN, of which neither holds.
template <class T>
void choose_question(Forest<T>& forest) {
  const std::span modes(forest.modes.data(), static_cast<size_t>(forest.first_leaf));
  const auto all_are = [&](TreeMode one, TreeMode contrary) {
    return std::ranges::all_of(modes, [&](TreeMode m) { return m == one || m == contrary; });
  };
  const bool all_leq = all_are(TreeMode::leq, TreeMode::gt);
  forest.question = all_leq                                ? TreeQuestion::leq
                    : all_are(TreeMode::lt, TreeMode::gte) ? TreeQuestion::lt
                                                           : TreeQuestion::mixed;
  if (forest.question == TreeQuestion::mixed) return;
  for (size_t i = 0; i < modes.size(); ++i) {
    TreeNode<T>& node = forest.nodes[i];
    if (modes[i] != (all_leq ? TreeMode::gt : TreeMode::gte) || std::isnan(node.split)) continue;
    std::swap(node.children[0], node.children[1]);
    node.flagged_feature ^= TreeNode<T>::kNanIsTrue;
  }
  forest.modes = {};
  forest.sets = {};
}

// Checks the nodes, and fills in what follows from them.
template <class T>
void finish_forest(Forest<T>& forest) {
  check_ends(forest);
  choose_question(forest);
  for (const TreeNode<T>& node : std::span(forest.nodes.data(), static_cast<size_t>(forest.first_leaf))) {
    forest.features = std::max(forest.features, int64_t{node.feature()} + 1);
    forest.asks_for_nan |= node.nan_is_true();
  }
}

}  // namespace

template <class T>
Forest<T> compile_named_nodes(const AttributeReader& attributes, std::string_view votes, int64_t targets) {
  const auto trees = attributes.ints("nodes_treeids"), ids = attributes.ints("nodes_nodeids"),
             features = attributes.ints("nodes_featureids"), yes = attributes.ints("nodes_truenodeids"),
             no = attributes.ints("nodes_falsenodeids"),
             missing = attributes.ints("nodes_missing_value_tracks_true");
  const auto modes = attributes.strings("nodes_modes");
  const auto splits = float_values<T>(attributes, "nodes_values");
  const size_t count = ids.size();
  require(count <= kMostNodes, ErrorCode::limit, "{} nodes", count);
  for (const auto& [name, length] : {std::pair{"nodes_treeids", trees.size()},
                                     {"nodes_featureids", features.size()},
                                     {"nodes_truenodeids", yes.size()},
                                     {"nodes_falsenodeids", no.size()},
                                     {"nodes_modes", modes.size()},
                                     {"nodes_values", splits.size()}})
    require_length(name, length, count, "nodes");
  if (!missing.empty()) require_length("nodes_missing_value_tracks_true", missing.size(), count, "nodes");

  NodeNames names(trees, ids);
  const auto is_leaf = [&](size_t i) { return modes[i] == "LEAF"; };
  std::vector<TreePlace> places(count);
  TreePlace next = 0;
  for (const bool leaves : {false, true}) {
    for (size_t i = 0; i < count; ++i) {
      if (is_leaf(i) == leaves) places[i] = next++;
    }
  }
  Forest<T> forest;
  forest.nodes.reserve(count);
  forest.modes.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    if (is_leaf(i)) continue;
    forest.nodes.push_back({splits[i],
                            flagged_feature(features[i], !missing.empty() && missing[i] != 0),
                            {places[static_cast<size_t>(names.find(trees[i], no[i]))],
                             places[static_cast<size_t>(names.find(trees[i], yes[i]))]}});
    forest.modes.push_back(mode_of(modes[i]));
  }
  for (const int32_t root : names.roots()) forest.roots.push_back(places[static_cast<size_t>(root)]);
  add_leaves(forest, count - forest.nodes.size());
  set_named_votes(forest, attributes, votes, targets, names, places);
  finish_forest(forest);
  return forest;
}

template <class T>
Forest<T> compile_indexed_nodes(const AttributeReader& attributes, int64_t targets) {
  const auto features = attributes.ints("nodes_featureids"), yes = attributes.ints("nodes_truenodeids"),
             no = attributes.ints("nodes_falsenodeids"), yes_leaf = attributes.ints("nodes_trueleafs"),
             no_leaf = attributes.ints("nodes_falseleafs"), roots = attributes.ints("tree_roots"),
             missing = attributes.ints("nodes_missing_value_tracks_true"),
             leaf_targets = attributes.ints("leaf_targetids");
  const Tensor& modes = attributes.tensor("nodes_modes");
  require(modes.type() == DataType::uint8, ErrorCode::invalid_model,
          "nodes_modes has elements of {}, not of uint8", to_string(modes.type()));
  const auto splits = tensor_values<T>(attributes.tensor("nodes_splits"), "nodes_splits");
  const auto weights = tensor_values<T>(attributes.tensor("leaf_weights"), "leaf_weights");
  const size_t count = features.size(), leaves = leaf_targets.size();
  require(count <= kMostNodes && leaves <= kMostNodes, ErrorCode::limit, "{} nodes, {} leaves", count,
          leaves);
  for (const auto& [name, length] : {std::pair{"nodes_truenodeids", yes.size()},
                                     {"nodes_falsenodeids", no.size()},
                                     {"nodes_trueleafs", yes_leaf.size()},
                                     {"nodes_falseleafs", no_leaf.size()},
                                     {"nodes_modes", static_cast<size_t>(modes.size())},
                                     {"nodes_splits", splits.size()}})
    require_length(name, length, count, "nodes");
  require_length("leaf_weights", weights.size(), leaves, "leaves");
  if (!missing.empty()) require_length("nodes_missing_value_tracks_true", missing.size(), count, "nodes");

  Forest<T> forest;
  forest.nodes.reserve(count + leaves);
  forest.modes.reserve(count + leaves);
  for (size_t i = 0; i < count; ++i) {
    const uint8_t mode = modes.values<uint8_t>()[i];
    require(mode <= static_cast<uint8_t>(TreeMode::member), ErrorCode::invalid_model, "nodes_modes has {}",
            mode);
    forest.nodes.push_back({splits[i],
                            flagged_feature(features[i], !missing.empty() && missing[i] != 0),
                            {place_of(no[i], no_leaf[i] != 0, count, leaves),
                             place_of(yes[i], yes_leaf[i] != 0, count, leaves)}});
    forest.modes.push_back(static_cast<TreeMode>(mode));
  }
  for (const int64_t root : roots) forest.roots.push_back(place_of(root, false, count, leaves));
  std::vector<std::pair<int32_t, Vote<T>>> votes(leaves);
  for (size_t i = 0; i < leaves; ++i)
    votes[i] = {static_cast<int32_t>(i), {target_of(leaf_targets[i], targets), weights[i]}};
  add_leaves(forest, leaves);
  set_votes(forest, votes);
  set_members(forest, attributes);
  finish_forest(forest);
  return forest;
}

template Forest<float> compile_named_nodes(const AttributeReader&, std::string_view, int64_t);
template Forest<double> compile_named_nodes(const AttributeReader&, std::string_view, int64_t);
template Forest<float> compile_indexed_nodes(const AttributeReader&, int64_t);
template Forest<double> compile_indexed_nodes(const AttributeReader&, int64_t);

}  // namespace plica::ml
