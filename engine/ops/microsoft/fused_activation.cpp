#include "engine/ops/microsoft/fused_activation.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string_view>

#include "engine/core/fail.h"
#include "engine/ops/activation_functions.h"
#include "engine/ops/elementwise.h"

namespace plica {
namespace {

using Parameters = std::array<float, 2>;

struct Entry {
  std::string_view name;
  size_t parameters;
  Parameters defaults;
  void (*apply)(Tensor&, const Parameters&);
};

template <auto kOp>
void plain(Tensor& y, const Parameters&) {
  map_elements<FloatTypes>(y, y, kOp);
}

template <auto kOp>
void with_alpha(Tensor& y, const Parameters& p) {
  map_elements<FloatTypes>(y, y, [=]<class T>(T x) { return kOp(x, static_cast<T>(p[0])); });
}

template <auto kOp>
void with_two(Tensor& y, const Parameters& p) {
  map_elements<FloatTypes>(y, y,
                           [=]<class T>(T x) { return kOp(x, static_cast<T>(p[0]), static_cast<T>(p[1])); });
}

constexpr auto kTanh = []<class T>(T x) { return std::tanh(x); };
constexpr auto kClip = []<class T>(T x, T low, T high) { return x < low ? low : x > high ? high : x; };
constexpr auto kHardSigmoid = []<class T>(T x, T alpha, T beta) {
  const T y = alpha * x + beta;
  return y < 0 ? T(0) : y > 1 ? T(1) : y;
};
constexpr auto kSelu = []<class T>(T x, T alpha, T gamma) { return gamma * kElu(x, alpha); };

constexpr Entry kEntries[] = {
    {"Relu", 0, {}, plain<kRelu>},
    {"Tanh", 0, {}, plain<kTanh>},
    {"Sigmoid", 0, {}, plain<kSigmoid>},
    {"Softplus", 0, {}, plain<kSoftplus>},
    {"Softsign", 0, {}, plain<kSoftsign>},
    {"HardSwish", 0, {}, plain<kHardSwish>},
    {"Gelu", 0, {}, plain<kGelu>},
    {"LeakyRelu", 1, {0.01f}, with_alpha<kLeakyRelu>},
    {"Elu", 1, {1}, with_alpha<kElu>},
    {"Celu", 1, {1}, with_alpha<kCelu>},
    {"ThresholdedRelu", 1, {1}, with_alpha<kThresholdedRelu>},
    {"QuickGelu", 1, {1.702f}, with_alpha<kSwish>},
    {"Clip", 2, {std::numeric_limits<float>::lowest(), std::numeric_limits<float>::max()}, with_two<kClip>},
    {"HardSigmoid", 2, {0.2f, 0.5f}, with_two<kHardSigmoid>},
    {"Selu", 2, {1.67326319217681884765625f, 1.05070102214813232421875f}, with_two<kSelu>},
};

const Entry& find(const std::string& name) {
  for (const Entry& e : kEntries) {
    if (e.name == name) return e;
  }
  fail(ErrorCode::unsupported, "activation {} is not supported", quoted(name));
}

}  // namespace

void FusedActivation::validate() const {
  if (name.empty()) return;
  const Entry& entry = find(name);
  require(parameters.size() <= entry.parameters, ErrorCode::invalid_model, "{} parameters for activation {}",
          parameters.size(), name);
}

void FusedActivation::apply(Tensor& y) const {
  if (name.empty()) return;
  const Entry& entry = find(name);
  Parameters values = entry.defaults;
  std::copy(parameters.begin(), parameters.end(), values.begin());
  entry.apply(y, values);
}

}  // namespace plica
