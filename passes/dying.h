// Which nodes a patch leaves without a reader, found before it is applied.
#pragma once

#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "passes/patch.h"

namespace plica {

class DyingNodes {
 public:
  DyingNodes(const Patch& patch, const std::unordered_set<const Node*>& kept);

  // Each after the nodes that read it: the order in which they can be removed.
  const std::vector<Node*>& nodes() const { return nodes_; }
  bool contains(const Node* node) const { return dying_.contains(node); }
  bool is_edited(const Node* node) const { return edited_.contains(node); }
  // The read goes: its node dies (or one that encloses it), or the patch makes it read something else.
  bool drops(const Use& use) const;

 private:
  bool stays_in_use(const Value& value) const;
  void drop_read(Value& value);
  void drop_reads(const Node& node);
  void consider(Node* node);

  const std::unordered_set<const Node*>& kept_;
  std::unordered_set<const Node*> edited_, dying_;
  std::unordered_set<const Value*> replaced_, referenced_;
  std::unordered_map<const Node*, std::unordered_set<int>> edited_inputs_;
  std::unordered_map<const Value*, size_t> dropped_;     // reads that go
  std::unordered_map<const Node*, int> unread_outputs_;  // so many of the first: what is dropped stays so
  std::vector<Node*> nodes_, pending_;
};

}  // namespace plica
