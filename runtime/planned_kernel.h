// What plans compute operators with, for lists: those on float32, and the products of 8-bit integers.
#pragma once

#include <optional>
#include <string_view>

namespace plica {

enum class PlannedKernel {
  onednn,   // a primitive of oneDNN
  post_op,  // a post-op of the primitive before it, or one pass over memory with its neighbours
  own,      // a kernel of the runtime, or no step at all
};

// Nothing: the kernel of engine/ops, as for other element types.
std::optional<PlannedKernel> planned_kernel(std::string_view domain, std::string_view op_type);

}  // namespace plica
