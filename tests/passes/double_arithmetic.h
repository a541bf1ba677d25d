// Elementwise arithmetic on float64 tensors.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>

#include "engine/core/fail.h"
#include "engine/core/tensor.h"

namespace plica::testing {

template <class F>
inline Tensor map(const Tensor& a, const F& f) {
  Tensor out(DataType::float64, a.dims());
  for (int64_t i = 0; i < a.size(); ++i) out.mutable_data<double>()[i] = f(a.data<double>()[i]);
  return out;
}
template <class F>
inline Tensor zip(const Tensor& a, const Tensor& b, const F& f) {
  require(a.dims() == b.dims(), ErrorCode::internal, "dims differ");
  Tensor out(DataType::float64, a.dims());
  for (int64_t i = 0; i < a.size(); ++i)
    out.mutable_data<double>()[i] = f(a.data<double>()[i], b.data<double>()[i]);
  return out;
}
inline Tensor add(const Tensor& a, const Tensor& b) { return zip(a, b, std::plus<>()); }
inline Tensor negated(const Tensor& a) { return map(a, std::negate<>()); }
inline Tensor zeros_like(const Tensor& a) { return Tensor::zeros(DataType::float64, a.dims()); }
inline Tensor absolute(const Tensor& a) {
  return map(a, [](double v) { return std::abs(v); });
}
inline Tensor times(const Tensor& a, double f) {
  return map(a, [f](double v) { return f * v; });
}
inline bool all_zero(const Tensor& a) {
  return std::ranges::all_of(a.values<double>(), [](double v) { return v == 0; });
}
inline double largest(const Tensor& a) {
  double m = 0;
  for (double v : a.values<double>()) m = std::max(m, v);
  return m;
}

}  // namespace plica::testing
