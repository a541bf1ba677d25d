// The equation of Einsum: "ij,jk->ik", with ellipsis, repeated and implicit labels.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace plica {

// Labels are numbers: letters their character codes, the dims of an ellipsis kEllipsisLabel, kEllipsisLabel +
// 1, ... from the left.
using EinsumLabel = int;
inline constexpr EinsumLabel kEllipsisLabel = 256;

struct EinsumTerm {
  std::string letters;             // without the ellipsis
  std::optional<size_t> ellipsis;  // how many letters stand before it

  // The label of every dimension when the ellipsis stands for `count` dims.
  std::vector<EinsumLabel> labels(int count) const;
};

struct EinsumEquation {
  std::vector<EinsumTerm> inputs;
  EinsumTerm output;
};

// Throws invalid_model for an equation that is malformed or has not one term for each of the operands.
EinsumEquation parse_einsum(std::string_view equation, int operands);

}  // namespace plica
