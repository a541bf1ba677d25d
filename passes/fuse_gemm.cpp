// MatMul and the Add of its bias.
#include "passes/constants.h"
#include "passes/fold/affine_node.h"
#include "passes/match.h"
#include "passes/rules.h"

namespace plica {
namespace {

// Gemm broadcasts C to (rows, columns), never the product to C.
bool is_bias_of(const Tensor& bias, const Shape& product) {
  if (bias.rank() > 2) return false;
  for (int i = 0; i < bias.rank(); ++i) {
    const Dim& d = product[2 - bias.rank() + i];
    if (bias.dim(i) != 1 && !(d.is_known() && d.value() == bias.dim(i))) return false;
  }
  return true;
}

}  // namespace

// A B + c = Gemm(A, B, c) for matrices and a constant c. (Before opset 7 Gemm asked for an attribute to
// broadcast c.)
RuleResult fuse_matmul_add(const Node& node, const RuleContext& context) {
  constexpr int64_t kGemmBroadcasts = 7;
  if (!is_plain(node, "Add") || node.opset() < kGemmBroadcasts || !node.has_input(1)) return NoMatch{};
  for (const int x : {0, 1}) {
    const Node* matmul = sole_producer_of(node.input(x), "MatMul");
    if (!matmul || context.facts.rank_of(matmul->input(0)) != 2 ||
        context.facts.rank_of(matmul->input(1)) != 2)
      continue;
    const auto input = constant_input(node, 1 - x, "bias", context);
    const Constant* bias = std::get_if<Constant>(&input);
    const Type& product = context.facts.of(node.input(x)).type;
    constexpr TypeSet kTypes = {DataType::float32, DataType::float64, DataType::float16};
    if (!bias || rounds_sums(bias->tensor) || !product.shape || product.shape->rank() != 2 || !kTypes.contains(product.element) ||
        !is_bias_of(bias->tensor, *product.shape)) {
      continue;
    }
    Patch patch(node);
    Patch::NewNode made{.op_type = "Gemm",
                        .output_base_name = node.output(0)->name(),
                        .inputs = {matmul->input(0), matmul->input(1), node.input(1 - x)},
                        .before = &node,
                        .like = matmul};
    patch.replace(node.output(0), patch.add_node(std::move(made)));
    return patch;
  }
  return NoMatch{};
}

}  // namespace plica
