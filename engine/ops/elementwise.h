// What the elementwise families share: maps over one tensor, and the parts of the table in elementwise.cpp.
#pragma once

#include <vector>

#include "engine/core/dispatch.h"
#include "engine/core/parallel.h"
#include "engine/core/tensor.h"
#include "engine/core/vectorized.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/op_def.h"

namespace plica {

// out[i] = op(in[i]) for the types of the list; op takes and gives the type that T computes in.
template <class Types, class Op>
void map_elements(const Tensor& in, Tensor& out, const Op& op) {
  constexpr int64_t kGrain = 16384;
  dispatch<Types>(in.type(), [&]<class T>(std::type_identity<T>) {
    using C = ComputeType<T>;
    const T* x = in.data<T>();
    T* y = out.mutable_data<T>();
    parallel_for(in.size(), kGrain, [=, &op](int64_t begin, int64_t end) {
      vectorized([=, &op] {
        for (int64_t i = begin; i < end; ++i) y[i] = static_cast<T>(op(static_cast<C>(x[i])));
      });
    });
  });
}

// The kernel of an operator that is a function of one element: kOp is a captureless lambda.
template <auto kOp, class Types = FloatTypes>
void evaluate_map(EvaluateContext& context) {
  map_elements<Types>(context.input(0), context.output(), kOp);
}

inline void infer_same(InferContext& context) { context.same_as_input(); }

// The attribute that opset 1 had on many operators, without a meaning for their result.
inline const AttributeDef kConsumedInputs{"consumed_inputs", AttributeType::ints, Optional{}};

// The entries of an operator whose opset 1 to 5 only added `consumed_inputs`; `def.since` is 1.
inline void add_since_1(std::vector<OpDef>& ops, OpDef def) {
  OpDef first = def;
  first.until = 5;
  first.attributes.push_back(kConsumedInputs);
  ops.push_back(std::move(first));
  def.since = 6;
  ops.push_back(std::move(def));
}

template <class T>
bool is_nan(T x) {
  if constexpr (std::is_floating_point_v<T>)
    return x != x;
  else
    return false;
}

// Signed and small integers wrap around as two's complement, without undefined behaviour, when computed in
// this type.
template <class T>
using WrapType = typename std::conditional_t<
    !std::is_integral_v<T>, std::type_identity<T>,
    std::conditional_t<(sizeof(T) < 4), std::type_identity<uint32_t>, std::make_unsigned<T>>>::type;

// ---- the parts of the family, each in a file of its own name
std::vector<OpDef> unary_ops();       // elementwise_unary.cpp: Neg, Sqrt, Sin, ...
std::vector<OpDef> arithmetic_ops();  // elementwise_arithmetic.cpp: Add, Pow, Max, ...
std::vector<OpDef> comparison_ops();  // elementwise_comparison.cpp: Equal, And, BitShift, ...
std::vector<OpDef> select_ops();      // elementwise_select.cpp: Where, Clip, PRelu
std::vector<OpDef> cast_ops();        // elementwise_cast.cpp: Cast, CastLike, BitCast, IsNaN, IsInf

}  // namespace plica
