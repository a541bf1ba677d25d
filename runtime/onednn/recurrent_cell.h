// The recurrent cells and directions that oneDNN has.
#pragma once

namespace plica {

enum class RecurrentCell { relu, tanh, sigmoid, lstm, gru, gru_linear_before_reset };
enum class RecurrentDirection { forward, reverse, both };

}  // namespace plica
