#include "engine/ops/recurrent_activation.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <optional>
#include <string_view>

#include "engine/core/fail.h"
#include "engine/ops/fast_math.h"
#include "engine/ops/instruction_set.h"

namespace plica {
namespace {

using Kind = RecurrentActivation::Kind;

struct Known {
  std::string_view name;
  Kind kind;
  std::optional<float> alpha, beta;  // the default of a parameter that it has
};

constexpr Known kKnown[] = {
    {"relu", Kind::relu, {}, {}},
    {"tanh", Kind::tanh, {}, {}},
    {"sigmoid", Kind::sigmoid, {}, {}},
    {"affine", Kind::affine, 1.0f, 0.0f},
    {"leakyrelu", Kind::leaky_relu, 0.01f, {}},
    {"thresholdedrelu", Kind::thresholded_relu, 1.0f, {}},
    {"scaledtanh", Kind::scaled_tanh, 1.0f, 1.0f},
    {"hardsigmoid", Kind::hard_sigmoid, 0.2f, 0.5f},
    {"elu", Kind::elu, 1.0f, {}},
    {"softsign", Kind::softsign, {}, {}},
    {"softplus", Kind::softplus, {}, {}},
};

const Known& find_activation(const std::string& name) {
  std::string lower = name;
  std::ranges::transform(lower, lower.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const auto* it = std::ranges::find(kKnown, lower, &Known::name);
  require(it != std::end(kKnown), ErrorCode::invalid_model, "activation {} is not known", quoted(name));
  return *it;
}

template <class T, class F>
void map(T* x, int64_t count, const F& f) {
  for_best_instruction_set([ =, &f ]<int kBytes>(VectorBytes<kBytes>) __attribute__((always_inline)) {
    for (int64_t i = 0; i < count; ++i) x[i] = f(x[i]);
  });
}

}  // namespace

#define PLICA_MAP(expression) \
  return map(                 \
      x, count, [=](T v) __attribute__((always_inline))->T { return expression; })

template <class T>
void RecurrentActivation::apply(T* x, int64_t count) const {
  const T a = static_cast<T>(alpha), b = static_cast<T>(beta);
  switch (kind) {
    case Kind::relu:
      PLICA_MAP(v < 0 ? T(0) : v);
    case Kind::tanh:
      PLICA_MAP(fast_tanh(v));
    case Kind::sigmoid:
      PLICA_MAP(fast_sigmoid(v));
    case Kind::affine:
      PLICA_MAP(a * v + b);
    case Kind::leaky_relu:
      PLICA_MAP(v < 0 ? a * v : v);
    case Kind::thresholded_relu:
      PLICA_MAP(v < a ? T(0) : v);
    case Kind::scaled_tanh:
      PLICA_MAP(a * fast_tanh(b * v));
    case Kind::hard_sigmoid:
      PLICA_MAP(std::min(std::max(a * v + b, T(0)), T(1)));
    case Kind::elu:
      PLICA_MAP(v < 0 ? a * std::expm1(v) : v);
    case Kind::softsign:
      PLICA_MAP(v / (T(1) + std::abs(v)));
    case Kind::softplus:
      PLICA_MAP(std::max(v, T(0)) + std::log1p(std::exp(-std::abs(v))));
  }
}

#undef PLICA_MAP

template void RecurrentActivation::apply(float*, int64_t) const;
template void RecurrentActivation::apply(double*, int64_t) const;

std::vector<RecurrentActivation> make_activations(const std::vector<std::string>& names,
                                                  const std::vector<float>& alphas,
                                                  const std::vector<float>& betas) {
  std::vector<RecurrentActivation> result;
  size_t alpha = 0, beta = 0;
  const auto next = [](const std::optional<float>& otherwise, const std::vector<float>& list, size_t& at) {
    if (!otherwise) return 0.0f;
    return at < list.size() ? list[at++] : *otherwise;
  };
  for (const std::string& name : names) {
    const Known& known = find_activation(name);
    RecurrentActivation activation{known.kind};
    activation.alpha = next(known.alpha, alphas, alpha);
    activation.beta = next(known.beta, betas, beta);
    result.push_back(activation);
  }
  return result;
}

}  // namespace plica
