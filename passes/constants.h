// Constants as rules see them.
#pragma once

#include <string_view>
#include <variant>
#include <vector>

#include "passes/rule.h"

namespace plica {

struct Constant {
  Tensor tensor;
  const Value* root;  // the initializer or Constant that holds it, behind any Identity
};

// Input `index` of the node when it can never change: an initializer that no caller can override or a
// Constant, of this graph or an enclosing one, also behind Identity and Casts to its own type. Otherwise why
// it is not constant; `role` is what the user calls it.
std::variant<Constant, Skip> constant_input(const Node& node, int index, std::string_view role,
                                            const RuleContext& context);

// float32, float64, float16, bfloat16: what folding computes with.
bool is_foldable_type(DataType type);

// The elements as doubles, exactly. The type must be foldable.
std::vector<double> to_doubles(const Tensor& tensor);

// The attributes of a node in a model function may stand for the function's.
bool has_attribute_references(const Node& node);

}  // namespace plica
