#include "runtime/kernels/pointwise_pass.h"

#include <algorithm>

#include "runtime/kernels/pointwise_functions.h"

namespace plica {
namespace {

template <class S, class F>
PLICA_INLINE void for_each_vector(float* y, const float* x, int64_t count, F f) {
  int64_t i = 0;
  for (; i + S::kLanes <= count; i += S::kLanes) {
    typename S::Vec v;
    S::load(v, x + i);
    f(v, i, S::kLanes);
    S::store(y + i, v);
  }
  if (i < count) {
    float lanes[S::kLanes] = {};
    std::copy_n(x + i, count - i, lanes);
    typename S::Vec v;
    S::load(v, lanes);
    f(v, i, count - i);
    S::store(lanes, v);
    std::copy_n(lanes, count - i, y + i);
  }
}

template <class S, Unary kFunction>
PLICA_INLINE void unary_pass(float* y, const float* x, int64_t count, float a, float b) {
  for_each_vector<S>(
      y, x, count, [=](typename S::Vec & v, int64_t, int64_t) __attribute__((always_inline)) {
        simd::apply<S, kFunction>(v, a, b);
      });
}

template <class S, Binary kFunction>
PLICA_INLINE void binary_pass(float* y, const float* x, int64_t count, const PassOperand& other,
                              bool reversed) {
  const auto combine = [reversed](typename S::Vec & v, typename S::Vec & o) __attribute__((always_inline)) {
    if (reversed) {
      simd::apply<S, kFunction>(o, v);
      v = o;
    } else {
      simd::apply<S, kFunction>(v, o);
    }
  };
  if (!other.elements) {
    const float scalar = other.scalar;
    for_each_vector<S>(
        y, x, count, [&](typename S::Vec & v, int64_t, int64_t) __attribute__((always_inline)) {
          typename S::Vec o;
          S::fill(o, scalar);
          combine(v, o);
        });
    return;
  }
  const float* elements = other.elements;
  for_each_vector<S>(
      y, x, count, [&](typename S::Vec & v, int64_t i, int64_t left) __attribute__((always_inline)) {
        typename S::Vec o;
        if (left == S::kLanes) {
          S::load(o, elements + i);
        } else {
          float lanes[S::kLanes] = {};
          std::copy_n(elements + i, left, lanes);
          S::load(o, lanes);
        }
        combine(v, o);
      });
}

template <class S>
PLICA_INLINE void pass_body(const PointOp& op, float* y, const float* x, int64_t count,
                            const PassOperand& other) {
  if (op.is_unary) {
    const float a = op.a, b = op.b;
    switch (op.unary) {
      case Unary::linear:
        return unary_pass<S, Unary::linear>(y, x, count, a, b);
      case Unary::relu:
        return unary_pass<S, Unary::relu>(y, x, count, a, b);
      case Unary::leaky_relu:
        return unary_pass<S, Unary::leaky_relu>(y, x, count, a, b);
      case Unary::elu:
        return unary_pass<S, Unary::elu>(y, x, count, a, b);
      case Unary::celu:
        return unary_pass<S, Unary::celu>(y, x, count, a, b);
      case Unary::thresholded_relu:
        return unary_pass<S, Unary::thresholded_relu>(y, x, count, a, b);
      case Unary::clip:
        return unary_pass<S, Unary::clip>(y, x, count, a, b);
      case Unary::sigmoid:
        return unary_pass<S, Unary::sigmoid>(y, x, count, a, b);
      case Unary::tanh:
        return unary_pass<S, Unary::tanh>(y, x, count, a, b);
      case Unary::hard_sigmoid:
        return unary_pass<S, Unary::hard_sigmoid>(y, x, count, a, b);
      case Unary::hard_swish:
        return unary_pass<S, Unary::hard_swish>(y, x, count, a, b);
      case Unary::swish:
        return unary_pass<S, Unary::swish>(y, x, count, a, b);
      case Unary::exp:
        return unary_pass<S, Unary::exp>(y, x, count, a, b);
      case Unary::log:
        return unary_pass<S, Unary::log>(y, x, count, a, b);
      case Unary::sqrt:
        return unary_pass<S, Unary::sqrt>(y, x, count, a, b);
      case Unary::abs:
        return unary_pass<S, Unary::abs>(y, x, count, a, b);
      case Unary::sign:
        return unary_pass<S, Unary::sign>(y, x, count, a, b);
      case Unary::floor:
        return unary_pass<S, Unary::floor>(y, x, count, a, b);
      case Unary::ceil:
        return unary_pass<S, Unary::ceil>(y, x, count, a, b);
      case Unary::round:
        return unary_pass<S, Unary::round>(y, x, count, a, b);
      case Unary::square:
        return unary_pass<S, Unary::square>(y, x, count, a, b);
      case Unary::reciprocal:
        return unary_pass<S, Unary::reciprocal>(y, x, count, a, b);
      case Unary::sin:
        return unary_pass<S, Unary::sin>(y, x, count, a, b);
      case Unary::cos:
        return unary_pass<S, Unary::cos>(y, x, count, a, b);
      case Unary::erf:
        return unary_pass<S, Unary::erf>(y, x, count, a, b);
      case Unary::gelu:
        return unary_pass<S, Unary::gelu>(y, x, count, a, b);
      case Unary::gelu_tanh:
        return unary_pass<S, Unary::gelu_tanh>(y, x, count, a, b);
      case Unary::soft_plus:
        return unary_pass<S, Unary::soft_plus>(y, x, count, a, b);
      case Unary::soft_sign:
        return unary_pass<S, Unary::soft_sign>(y, x, count, a, b);
      case Unary::mish:
        return unary_pass<S, Unary::mish>(y, x, count, a, b);
    }
  }
  switch (op.binary) {
    case Binary::add:
      return binary_pass<S, Binary::add>(y, x, count, other, op.reversed);
    case Binary::sub:
      return binary_pass<S, Binary::sub>(y, x, count, other, op.reversed);
    case Binary::mul:
      return binary_pass<S, Binary::mul>(y, x, count, other, op.reversed);
    case Binary::div:
      return binary_pass<S, Binary::div>(y, x, count, other, op.reversed);
    case Binary::min:
      return binary_pass<S, Binary::min>(y, x, count, other, op.reversed);
    case Binary::max:
      return binary_pass<S, Binary::max>(y, x, count, other, op.reversed);
    case Binary::prelu:
      return binary_pass<S, Binary::prelu>(y, x, count, other, op.reversed);
  }
}

PLICA_FOR_EACH_ISA(pass,
                   (const PointOp& op, float* y, const float* x, int64_t count, const PassOperand& other),
                   (op, y, x, count, other))

}  // namespace

void pointwise_pass(const PointOp& op, float* y, const float* x, int64_t count, const PassOperand& other) {
  pass(op, y, x, count, other);
}

}  // namespace plica
