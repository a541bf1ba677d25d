// Rules that fold a channel affine into the linear operator before it: the algebra is absorb_at_output's
// (linear_op.h).
#include "engine/core/fail.h"
#include "passes/constants.h"
#include "passes/fold/channel_affine.h"
#include "passes/fold/linear_op.h"
#include "passes/rules.h"

namespace plica {

RuleResult fold_batch_norm_into_linear(const Node& node, const RuleContext& context) {
  if (!node.is("BatchNormalization") || !node.has_input(0) || !node.has_output(0)) return NoMatch{};
  auto affine = batch_norm_affine(node, context);
  if (auto* skip = std::get_if<Skip>(&affine)) return *std::move(skip);
  auto linear = find_linear_op(*node.input(0), node, context);
  if (auto* skip = std::get_if<Skip>(&linear)) return *std::move(skip);
  const LinearOp& op = std::get<LinearOp>(linear);
  if (op.kind == LinearOp::Kind::matmul && op.output_axis.rank != 2) {
    // The channels of a batch norm are axis 1, those of a MatMul the last.
    if (op.output_axis.rank < 0) {
      return Skip{fmt::format("the rank of its input, computed by {}, is not known", describe(*op.core)),
                  "give the model's inputs shapes, or run shape inference", op.core};
    }
    return Skip{fmt::format("it normalizes axis 1, but the channels of {} are its last axis of {}",
                            describe(*op.core), op.output_axis.rank),
                "", op.core};
  }
  RuleResult result = absorb_at_output(op, std::get<ChannelAffine>(affine), node, context);
  if (Patch* patch = std::get_if<Patch>(&result)) patch->note(op.core, kFoldedKey, label_of(node));
  return result;
}

RuleResult fold_arithmetic_into_linear(const Node& node, const RuleContext& context) {
  const bool add = node.is("Add") || node.is("Sub"), mul = node.is("Mul") || node.is("Div");
  if ((!add && !mul) || node.num_inputs() != 2 || !node.has_output(0)) return NoMatch{};
  for (const int operand : {0, 1}) {
    const Value* input = node.input(operand);
    if (!input || !input->producer()) continue;
    // The cheap question first: most arithmetic has no constant operand.
    if (std::holds_alternative<Skip>(constant_input(node, 1 - operand, "constant", context))) continue;
    auto linear = find_linear_op(*input, node, context);
    const LinearOp* op = std::get_if<LinearOp>(&linear);
    if (!op) return NoMatch{};
    const auto affine = arithmetic_affine(node, operand, op->output_axis, context);
    const auto* a = std::get_if<ChannelAffine>(&affine);
    if (!a) return NoMatch{};
    // An Add behind a MatMul is its bias, and stays.
    if (op->kind == LinearOp::Kind::matmul && !op->add && add && (node.is("Add") || operand == 0))
      return NoMatch{};
    RuleResult result = absorb_at_output(*op, *a, node, context);
    return std::holds_alternative<Skip>(result) ? RuleResult(NoMatch{}) : std::move(result);
  }
  return NoMatch{};
}

}  // namespace plica
