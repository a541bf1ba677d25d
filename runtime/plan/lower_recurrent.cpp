// RNN, GRU and LSTM: https://onnx.ai/onnx/operators/onnx__LSTM.html
#include <limits>

#include "engine/core/checked.h"
#include "engine/ops/recurrent.h"
#include "engine/ops/table.h"
#include "runtime/plan/lowerer.h"

namespace plica {
namespace {

using Function = RecurrentActivation::Kind;

// The cell with these functions, the same in all directions.
std::optional<RecurrentCell> cell_of(const RecurrentOptions& options) {
  const auto all = [&](std::initializer_list<Function> functions) {
    for (size_t i = 0; i < options.activations.size(); ++i) {
      if (options.activations[i].kind != functions.begin()[i % functions.size()]) return false;
    }
    return true;
  };
  switch (options.kind) {
    case CellKind::rnn:
      if (all({Function::tanh})) return RecurrentCell::tanh;
      if (all({Function::relu})) return RecurrentCell::relu;
      if (all({Function::sigmoid})) return RecurrentCell::sigmoid;
      break;
    case CellKind::gru:
      if (all({Function::sigmoid, Function::tanh}))
        return options.linear_before_reset ? RecurrentCell::gru_linear_before_reset : RecurrentCell::gru;
      break;
    case CellKind::lstm:
      if (all({Function::sigmoid, Function::tanh, Function::tanh})) return RecurrentCell::lstm;
      break;
  }
  return std::nullopt;
}

// All sequences have `steps` steps.
bool are_equally_long(const Lowerer& l, size_t lengths, int64_t steps) {
  if (!l.has_input(lengths)) return true;
  const Tensor* t = l.constant(lengths);
  return t && std::ranges::all_of(t->values<int32_t>(), [&](int32_t length) { return length == steps; });
}

}  // namespace

void lower_recurrent(Lowerer& l) {
  constexpr size_t kLengths = 4;
  for (size_t i = 0; i < l.op.inputs.size(); ++i) {
    if (!l.has_input(i) || i == kLengths) continue;
    if (l.in(i).type != DataType::float32) return;
    if ((i < 4 || i == 7) && i != 0 && !l.constant(i)) return;
  }
  const bool no_result = std::ranges::all_of(l.op.outputs, [](int v) { return v < 0; });
  if (no_result || l.empty(l.op.inputs.size())) return;
  const RecurrentOptions options = recurrent_options(l.attributes, op_of(l.node));
  const auto cell = cell_of(options);
  if (!cell || options.input_forget || options.clip < std::numeric_limits<float>::infinity()) return;
  const Dims& x = l.in(0).dims;
  if (!are_equally_long(l, kLengths, x[options.batch_first ? 1 : 0])) return;
  // oneDNN counts the gates of all steps in 32 bits.
  const int64_t gates = l.in(1).dims[0] * l.in(1).dims[1];
  if (checked_mul(checked_mul(x[0], x[1]), gates) > std::numeric_limits<int32_t>::max()) return;
  l.op.params = RecurrentParams{*cell,
                                options.directions == 2    ? RecurrentDirection::both
                                : options.first_is_reverse ? RecurrentDirection::reverse
                                                           : RecurrentDirection::forward,
                                options.batch_first};
}

}  // namespace plica
