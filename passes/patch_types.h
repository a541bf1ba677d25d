// The types that a patch would give, inferred before it is applied: its new and edited nodes are built in a
// scratch graph.
#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "passes/facts.h"
#include "passes/patch.h"

namespace plica {

// The outermost graph around this one: the model's main graph, or a function's.
const Graph& root_of(const Graph& graph);

class PatchTypes {
 public:
  // Throws what infer_node throws when a new or edited node does not hold together.
  PatchTypes(const ModelGraph& model, const ModelFacts& facts, const Patch& patch);

  const Facts& of(const Operand& operand) const { return *find(operand); }  // not for one left out
  const Facts& made(size_t i) const { return made_[i]; }
  // Edited and carried nodes, each once, after those among them that they read.
  const std::vector<Node*>& edited() const { return edited_; }
  // The outputs of those nodes, by what they will be.
  const std::unordered_map<const Value*, Facts>& outputs() const { return outputs_; }
  // One of those outputs holds something else afterwards.
  bool redefined(const Value* value) const { return outputs_.contains(value) && !kept_.contains(value); }

 private:
  // What is inferred: an edited or carried node, or a new one.
  struct Item {
    Node* node;
    int made;
  };
  struct Changes {
    std::vector<const Patch::InputEdit*> inputs;
    std::vector<const Patch::AttributeEdit*> attributes;
    bool known = false;
  };

  const Facts* find(const Operand& operand) const;
  void await(Node* node);
  bool is_known(const Item& item) const;
  std::vector<Operand> operands_of(const Item& item, const Patch& patch) const;
  void infer_after_operands(const Item& first, const Patch& patch);
  std::vector<Operand> inputs_after(const Node& node) const;
  void infer_edited(const Node& node, const std::vector<Operand>& operands);
  std::vector<Facts> infer(const std::string& op_type, const std::string& domain,
                           const Attributes& attributes, const std::vector<Operand>& operands, int outputs);

  std::string next_name() { return std::to_string(names_++); }

  const ModelFacts& facts_;
  Graph scratch_;
  int64_t names_ = 0;                                 // in use there
  std::unordered_map<const Node*, Changes> changes_;  // to edited and carried nodes
  std::vector<Node*> awaited_;                        // these nodes, as the patch has them
  std::vector<bool> made_known_;
  std::vector<Node*> edited_;
  std::vector<Facts> made_;
  std::unordered_map<const Value*, Facts> outputs_;
  std::unordered_set<const Value*> kept_;
};

}  // namespace plica
