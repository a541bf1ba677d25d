// Arithmetic of two or more broadcast operands. Integers wrap around; what has no value (division by zero) is
// an Error. An entry serves all versions of an operator that differ only in the element types they list: it
// takes those of the newest.
#include <cmath>
#include <limits>

#include "engine/core/fail.h"
#include "engine/ops/broadcast.h"
#include "engine/ops/cast.h"
#include "engine/ops/elementwise.h"

namespace plica {
namespace {

// ---- the functions of two elements, on the types that elements compute in

constexpr auto kAdd = []<class T>(T a, T b) { return static_cast<T>(WrapType<T>(a) + WrapType<T>(b)); };
constexpr auto kSub = []<class T>(T a, T b) { return static_cast<T>(WrapType<T>(a) - WrapType<T>(b)); };
constexpr auto kMul = []<class T>(T a, T b) { return static_cast<T>(WrapType<T>(a) * WrapType<T>(b)); };

constexpr auto kDiv = []<class T>(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    require(b != 0, ErrorCode::invalid_argument, "integer division by zero");
    if constexpr (std::is_signed_v<T>) {
      require(b != -1 || a != std::numeric_limits<T>::min(), ErrorCode::invalid_argument,
              "the quotient {} / -1 does not fit {}", +a, to_string(data_type_of<T>));
    }
    return static_cast<T>(a / b);
  } else {
    return a / b;
  }
};

// The sign of the divisor, as in Python.
constexpr auto kFloorMod = []<class T>(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    require(b != 0, ErrorCode::invalid_argument, "integer modulo by zero");
    if constexpr (std::is_signed_v<T>) {
      if (b == -1) return T(0);
      const T r = static_cast<T>(a % b);
      return r != 0 && (r < 0) != (b < 0) ? static_cast<T>(r + b) : r;
    } else {
      return static_cast<T>(a % b);
    }
  } else {
    const T r = std::fmod(a, b);
    if (r == 0) return std::copysign(r, b);
    return (r < 0) != (b < 0) ? r + b : r;
  }
};

// The sign of the dividend, as in C.
constexpr auto kTruncatedMod = []<class T>(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    require(b != 0, ErrorCode::invalid_argument, "integer modulo by zero");
    if constexpr (std::is_signed_v<T>) {
      if (b == -1) return T(0);
    }
    return static_cast<T>(a % b);
  } else {
    return std::fmod(a, b);
  }
};

// NaN wins, as in numpy.
constexpr auto kMax = []<class T>(T a, T b) { return a > b || is_nan(a) ? a : b; };
constexpr auto kMin = []<class T>(T a, T b) { return a < b || is_nan(a) ? a : b; };

template <class T>
T integer_power(T base, int64_t exponent) {
  if (exponent < 0) {
    require(base != 0, ErrorCode::invalid_argument, "zero to the power {}", exponent);
    if (base == 1) return 1;
    if (base == -1) return exponent % 2 == 0 ? 1 : -1;
    return 0;
  }
  WrapType<T> result = 1, square = static_cast<WrapType<T>>(base);
  for (uint64_t e = static_cast<uint64_t>(exponent); e != 0; e >>= 1, square *= square) {
    if (e & 1) result *= square;
  }
  return static_cast<T>(result);
}

// ---- kernels

template <class Types, auto kOp>
void combine(const Broadcast& plan, const Tensor& a, const Tensor& b, Tensor& out) {
  dispatch<Types>(out.type(), [&]<class T>(std::type_identity<T>) {
    using C = ComputeType<T>;
    apply_broadcast(plan, a.data<T>(), b.data<T>(), out.mutable_data<T>(),
                    [](T x, T y) { return static_cast<T>(kOp(static_cast<C>(x), static_cast<C>(y))); });
  });
}

template <auto kOp>
void evaluate_binary(EvaluateContext& context) {
  combine<NumericTypes, kOp>(plan_binary(context), context.input(0), context.input(1), context.output());
}

void evaluate_mod(EvaluateContext& context) {
  if (context.attributes().i("fmod") != 0) {
    evaluate_binary<kTruncatedMod>(context);
  } else {
    evaluate_binary<kFloorMod>(context);
  }
}

// Folds the operands from the left, in the output.
template <auto kOp, class Types>
void evaluate_variadic(EvaluateContext& context) {
  Tensor& out = context.output();
  if (context.num_inputs() == 1) {
    context.share(0, context.input(0));
    return;
  }
  const Tensor* left = &context.input(0);
  for (int i = 1; i < context.num_inputs(); ++i) {
    const Tensor& right = context.input(i);
    // The first step may give dims smaller than the output's: it then repeats them.
    combine<Types, kOp>(Broadcast(out.dims(), {left->dims(), right.dims()}), *left, right, out);
    left = &out;
  }
}

void evaluate_mean(EvaluateContext& context) {
  evaluate_variadic<kAdd, FloatTypes>(context);
  const int count = context.num_inputs();
  if (count > 1)
    map_elements<FloatTypes>(context.output(), context.output(),
                             [count](auto x) { return x / static_cast<decltype(x)>(count); });
}

// The exponent is brought to the type that the base computes in; an integer base takes an integer or a
// double.
void evaluate_pow(EvaluateContext& context) {
  const Tensor& base = context.input(0);
  const Tensor& power = context.input(1);
  const Broadcast plan = plan_binary(context);
  Tensor& out = context.output();
  dispatch<JoinLists<FloatTypes, TypeList<int32_t, int64_t>>>(base.type(), [&]<class T>(
                                                                               std::type_identity<T>) {
    using C = ComputeType<T>;
    const auto run = [&]<class E>(std::type_identity<E>, const auto& op) {
      const Tensor exponent = cast_tensor(power, data_type_of<E>);
      apply_broadcast(plan, base.data<T>(), exponent.data<E>(), out.mutable_data<T>(), op);
    };
    if constexpr (!std::is_integral_v<T>) {
      const bool square = power.size() == 1 && *cast_tensor(power, DataType::float64).data<double>() == 2;
      if (square) {
        map_elements<TypeList<T>>(base, out, [](C x) { return x * x; });
      } else {
        run(std::type_identity<C>{}, [](T x, C y) { return static_cast<T>(std::pow(static_cast<C>(x), y)); });
      }
    } else if (is_floating(power.type())) {
      run(std::type_identity<double>{},
          [](T x, double y) { return to_integer<T>(std::pow(static_cast<double>(x), y)); });
    } else {
      run(std::type_identity<int64_t>{}, [](T x, int64_t y) { return integer_power(x, y); });
    }
  });
}

// ---- inference

// What an operator gives for two elements of shape tensors; unknown when it can't be said, or does not fit.
using CombineDims = Dim (*)(const Dim&, const Dim&);

template <auto kOverflows>
Dim combine_known(const Dim& a, const Dim& b) {
  int64_t r;
  return kOverflows(a.value(), b.value(), &r) ? Dim() : Dim(r);
}
Dim add_dims(const Dim& a, const Dim& b) {
  if (a.is_known() && b.is_known())
    return combine_known<[](int64_t x, int64_t y, int64_t* r) { return __builtin_add_overflow(x, y, r); }>(a,
                                                                                                           b);
  if (a.is_known() && a.value() == 0) return b;
  return b.is_known() && b.value() == 0 ? a : Dim();
}
Dim subtract_dims(const Dim& a, const Dim& b) {
  if (a.is_known() && b.is_known())
    return combine_known<[](int64_t x, int64_t y, int64_t* r) { return __builtin_sub_overflow(x, y, r); }>(a,
                                                                                                           b);
  if (a.same_as(b)) return 0;
  return b.is_known() && b.value() == 0 ? a : Dim();
}
Dim multiply_dims(const Dim& a, const Dim& b) {
  if (a.is_known() && b.is_known())
    return combine_known<[](int64_t x, int64_t y, int64_t* r) { return __builtin_mul_overflow(x, y, r); }>(a,
                                                                                                           b);
  if (a.is_known()) return a.value() == 0 ? Dim(0) : a.value() == 1 ? b : Dim();
  if (b.is_known()) return b.value() == 0 ? Dim(0) : b.value() == 1 ? a : Dim();
  return {};
}
Dim divide_dims(const Dim& a, const Dim& b) {
  if (b.is_known() && b.value() == 1) return a;
  if (!a.is_known() || !b.is_known() || b.value() == 0 || b.value() == -1) return {};
  return a.value() / b.value();
}

// Elements of rank 0 or 1; one of a single element is repeated.
void infer_elements(InferContext& context, DataType type, CombineDims combine) {
  const std::vector<Dim>*a = context.input_elements(0), *b = context.input_elements(1);
  if (!a || !b) return;
  const size_t size = a->size() == 1 ? b->size() : a->size();
  if (b->size() != size && b->size() != 1) return;
  std::vector<Dim> elements;
  for (size_t i = 0; i < size; ++i) {
    Dim d = combine((*a)[a->size() == 1 ? 0 : i], (*b)[b->size() == 1 ? 0 : i]);
    if (type == DataType::int32 && d.is_known() && d.value() != static_cast<int32_t>(d.value())) d = Dim();
    elements.push_back(std::move(d));
  }
  context.set_output_elements(0, std::move(elements));
}

void infer_binary(InferContext& context) {
  context.set_output(0, common_type(context, 0, 2), infer_binary_shape(context));
}

template <CombineDims kCombine>
void infer_arithmetic(InferContext& context) {
  infer_binary(context);
  infer_elements(context, common_type(context, 0, 2), kCombine);
}

void infer_pow(InferContext& context) {
  context.set_output(0, context.input_type(0), infer_binary_shape(context));
}

void infer_mod(InferContext& context) {
  const int64_t fmod = context.attributes().i("fmod");
  require(fmod == 0 || fmod == 1, ErrorCode::invalid_model, "fmod is {}, it must be 0 or 1", fmod);
  infer_binary(context);
}

void infer_variadic(InferContext& context) {
  std::vector<const std::optional<Shape>*> shapes;
  for (int i = 0; i < context.num_inputs(); ++i) shapes.push_back(&context.input_shape(i));
  context.set_output(0, common_type(context, 0, context.num_inputs()), broadcast_shapes(shapes));
}

// ---- the table

void add_binary(std::vector<OpDef>& ops, std::string_view name, std::vector<TypeSet> types,
                void (*infer)(InferContext&), void (*evaluate)(EvaluateContext&)) {
  OpDef def{.name = name,
            .since = 7,
            .min_inputs = 2,
            .max_inputs = 2,
            .input_types = std::move(types),
            .infer = infer,
            .evaluate = evaluate};
  OpDef legacy = def;
  legacy.since = 1;
  legacy.until = 6;
  legacy.attributes = {{"axis", AttributeType::int_, Optional{}},
                       {"broadcast", AttributeType::int_, int64_t{0}},
                       kConsumedInputs};
  ops.push_back(std::move(legacy));
  ops.push_back(std::move(def));
}

void add_variadic(std::vector<OpDef>& ops, std::string_view name, TypeSet types,
                  void (*evaluate)(EvaluateContext&)) {
  add_since_1(ops, {.name = name,
                    .max_inputs = kUnlimited,
                    .input_types = {types},
                    .infer = infer_variadic,
                    .evaluate = evaluate});
}

}  // namespace

std::vector<OpDef> arithmetic_ops() {
  std::vector<OpDef> ops;
  add_binary(ops, "Add", {types::kNumeric}, infer_arithmetic<add_dims>, evaluate_binary<kAdd>);
  add_binary(ops, "Sub", {types::kNumeric}, infer_arithmetic<subtract_dims>, evaluate_binary<kSub>);
  add_binary(ops, "Mul", {types::kNumeric}, infer_arithmetic<multiply_dims>, evaluate_binary<kMul>);
  add_binary(ops, "Div", {types::kNumeric}, infer_arithmetic<divide_dims>, evaluate_binary<kDiv>);
  add_binary(ops, "Pow", {types::kFloat | types::kIndex, types::kNumeric}, infer_pow, evaluate_pow);
  ops.push_back({.name = "Mod",
                 .since = 10,
                 .min_inputs = 2,
                 .max_inputs = 2,
                 .input_types = {types::kNumeric},
                 .attributes = {{"fmod", AttributeType::int_, int64_t{0}}},
                 .infer = infer_mod,
                 .evaluate = evaluate_mod});
  add_variadic(ops, "Max", types::kNumeric, evaluate_variadic<kMax, NumericTypes>);
  add_variadic(ops, "Min", types::kNumeric, evaluate_variadic<kMin, NumericTypes>);
  add_variadic(ops, "Sum", types::kFloat, evaluate_variadic<kAdd, FloatTypes>);
  add_variadic(ops, "Mean", types::kFloat, evaluate_mean);
  return ops;
}

}  // namespace plica
