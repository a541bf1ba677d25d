// The activation functions of RNN, GRU and LSTM: https://onnx.ai/onnx/operators/onnx__LSTM.html
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace plica {

struct RecurrentActivation {
  enum class Kind {
    relu,
    tanh,
    sigmoid,
    affine,
    leaky_relu,
    thresholded_relu,
    scaled_tanh,
    hard_sigmoid,
    elu,
    softsign,
    softplus
  };
  Kind kind;
  float alpha = 0, beta = 0;

  // x = f(x) for `count` elements of float or double.
  template <class T>
  void apply(T* x, int64_t count) const;
};

// The functions of these names (in any case). A function with a parameter takes the next of the list, or its
// default when the list is used up. Throws invalid_model for a name that is none.
std::vector<RecurrentActivation> make_activations(const std::vector<std::string>& names,
                                                  const std::vector<float>& alphas,
                                                  const std::vector<float>& betas);

}  // namespace plica
