// What the table and the kernels of RNN, GRU and LSTM share.
#pragma once

#include <limits>
#include <vector>

#include "engine/ops/evaluate.h"
#include "engine/ops/recurrent_activation.h"

namespace plica {

enum class CellKind { rnn, gru, lstm };

struct RecurrentOptions {
  CellKind kind;
  int gates;       // matrices stacked in W and R: RNN 1, GRU 3 (zrh), LSTM 4 (iofc)
  int functions;   // activation functions of one direction
  int directions;  // 1 or 2
  bool first_is_reverse;
  bool batch_first;                  // layout 1
  bool input_forget = false;         // LSTM
  bool linear_before_reset = false;  // GRU
  float clip = std::numeric_limits<float>::infinity();
  std::vector<RecurrentActivation> activations;  // of all directions
};

// Throws invalid_model.
RecurrentOptions recurrent_options(const AttributeReader& attributes, const OpDef& def);

void evaluate_recurrent(EvaluateContext& context);

}  // namespace plica
