// Comparisons, logic on booleans, and operations on bits. An entry serves all versions of an operator that
// differ only in the element types they list: it takes those of the newest. Booleans are read as bytes, of
// which all but 0 are true: a file may hold any.
#include <functional>

#include "engine/core/fail.h"
#include "engine/core/vectorized.h"
#include "engine/ops/broadcast.h"
#include "engine/ops/elementwise.h"

namespace plica {
namespace {

constexpr auto kEqual = [](const auto& a, const auto& b) { return a == b; };
constexpr auto kGreater = [](auto a, auto b) { return a > b; };
constexpr auto kLess = [](auto a, auto b) { return a < b; };
constexpr auto kGreaterOrEqual = [](auto a, auto b) { return a >= b; };
constexpr auto kLessOrEqual = [](auto a, auto b) { return a <= b; };
constexpr auto kAnd = [](bool a, bool b) { return a && b; };
constexpr auto kOr = [](bool a, bool b) { return a || b; };
constexpr auto kXor = [](bool a, bool b) { return a != b; };

// out = op(a, b), as vector code: SSE2 alone has no comparisons of 64-bit integers.
template <class T, class Op>
void compare(const Broadcast& plan, const T* a, const T* b, bool* out, const Op& op) {
  plan.parallel_runs([&](int64_t at, const Broadcast::Offsets& offsets, int64_t count) {
    const int64_t step_a = count == 1 ? 1 : plan.step(0), step_b = count == 1 ? 1 : plan.step(1);
    vectorized([&, at, count, step_a, step_b] {
      apply_run(a + offsets[0], step_a, b + offsets[1], step_b, out + at, count, op);
    });
  });
}

template <auto kOp>
void evaluate_comparison(EvaluateContext& context) {
  const Tensor &a = context.input(0), &b = context.input(1);
  Tensor& out = context.output();
  const Broadcast plan = plan_binary(context);
  dispatch<NumericTypes>(a.type(), [&]<class T>(std::type_identity<T>) {
    using C = ComputeType<T>;
    compare(plan, a.data<T>(), b.data<T>(), out.mutable_data<bool>(),
            [](T x, T y) { return kOp(static_cast<C>(x), static_cast<C>(y)); });
  });
}

template <auto kOp>
void evaluate_logic(EvaluateContext& context) {
  const Tensor &a = context.input(0), &b = context.input(1);
  Tensor& out = context.output();
  apply_broadcast(plan_binary(context), static_cast<const uint8_t*>(a.raw()),
                  static_cast<const uint8_t*>(b.raw()), out.mutable_data<bool>(),
                  [](uint8_t x, uint8_t y) { return kOp(x != 0, y != 0); });
}

void evaluate_equal(EvaluateContext& context) {
  const Tensor &a = context.input(0), &b = context.input(1);
  if (a.type() == DataType::boolean) {
    evaluate_logic<[](bool x, bool y) { return x == y; }>(context);
  } else if (a.type() == DataType::string) {
    Tensor& out = context.output();
    apply_broadcast(plan_binary(context), a.data<std::string>(), b.data<std::string>(),
                    out.mutable_data<bool>(), kEqual);
  } else {
    evaluate_comparison<kEqual>(context);
  }
}

void evaluate_not(EvaluateContext& context) {
  const Tensor& in = context.input(0);
  const auto* x = static_cast<const uint8_t*>(in.raw());
  bool* y = context.output().mutable_data<bool>();
  for (int64_t i = 0; i < in.size(); ++i) y[i] = x[i] == 0;
}

template <class Op>
void evaluate_bitwise(EvaluateContext& context) {
  const Tensor &a = context.input(0), &b = context.input(1);
  Tensor& out = context.output();
  const Broadcast plan = plan_binary(context);
  dispatch<IntegerTypes>(out.type(), [&]<class T>(std::type_identity<T>) {
    apply_broadcast(plan, a.data<T>(), b.data<T>(), out.mutable_data<T>(),
                    [](T x, T y) { return static_cast<T>(Op{}(x, y)); });
  });
}

// A count that is negative or not below the number of bits leaves what the sign extension alone gives.
constexpr auto kShiftLeft = []<class T>(T x, T count) -> T {
  constexpr int kBits = sizeof(T) * 8;
  using U = WrapType<T>;
  return static_cast<U>(count) >= kBits || count < 0 ? T(0) : static_cast<T>(static_cast<U>(x) << count);
};
constexpr auto kShiftRight = []<class T>(T x, T count) -> T {
  constexpr int kBits = sizeof(T) * 8;
  if (count < 0 || static_cast<WrapType<T>>(count) >= kBits) return x < 0 ? static_cast<T>(-1) : T(0);
  return static_cast<T>(x >> count);
};

bool shifts_left(const AttributeReader& attributes) {
  const std::string direction = attributes.s("direction");
  require(direction == "LEFT" || direction == "RIGHT", ErrorCode::invalid_model,
          "direction is {}, it must be LEFT or RIGHT", quoted(direction));
  return direction == "LEFT";
}

void evaluate_shift(EvaluateContext& context) {
  const Tensor &a = context.input(0), &b = context.input(1);
  Tensor& out = context.output();
  const bool left = shifts_left(context.attributes());
  const Broadcast plan = plan_binary(context);
  dispatch<IntegerTypes>(out.type(), [&]<class T>(std::type_identity<T>) {
    apply_broadcast(plan, a.data<T>(), b.data<T>(), out.mutable_data<T>(),
                    [left](T x, T y) { return left ? kShiftLeft(x, y) : kShiftRight(x, y); });
  });
}

void infer_same_types(InferContext& context) {
  context.set_output(0, common_type(context, 0, 2), infer_binary_shape(context));
}
void infer_shift(InferContext& context) {
  shifts_left(context.attributes());
  infer_same_types(context);
}
void infer_comparison(InferContext& context) {
  common_type(context, 0, 2);
  context.set_output(0, DataType::boolean, infer_binary_shape(context));
}

OpDef binary(std::string_view name, int since, TypeSet types, void (*infer)(InferContext&),
             void (*evaluate)(EvaluateContext&)) {
  return {.name = name,
          .since = since,
          .min_inputs = 2,
          .max_inputs = 2,
          .input_types = {types},
          .infer = infer,
          .evaluate = evaluate};
}

// With the broadcasting of opset 1 to 6 before numpy's.
void add_comparison(std::vector<OpDef>& ops, std::string_view name, TypeSet types,
                    void (*evaluate)(EvaluateContext&)) {
  OpDef legacy = binary(name, 1, types, infer_comparison, evaluate);
  legacy.until = 6;
  legacy.attributes = {{"axis", AttributeType::int_, Optional{}},
                       {"broadcast", AttributeType::int_, int64_t{0}}};
  ops.push_back(std::move(legacy));
  ops.push_back(binary(name, 7, types, infer_comparison, evaluate));
}

}  // namespace

std::vector<OpDef> comparison_ops() {
  std::vector<OpDef> ops;
  add_comparison(ops, "Equal", types::kNumeric | types::kBool | types::kString, evaluate_equal);
  add_comparison(ops, "Greater", types::kNumeric, evaluate_comparison<kGreater>);
  add_comparison(ops, "Less", types::kNumeric, evaluate_comparison<kLess>);
  ops.push_back(
      binary("GreaterOrEqual", 12, types::kNumeric, infer_comparison, evaluate_comparison<kGreaterOrEqual>));
  ops.push_back(
      binary("LessOrEqual", 12, types::kNumeric, infer_comparison, evaluate_comparison<kLessOrEqual>));
  add_comparison(ops, "And", types::kBool, evaluate_logic<kAnd>);
  add_comparison(ops, "Or", types::kBool, evaluate_logic<kOr>);
  add_comparison(ops, "Xor", types::kBool, evaluate_logic<kXor>);
  ops.push_back(
      {.name = "Not", .input_types = {types::kBool}, .infer = infer_same, .evaluate = evaluate_not});
  ops.push_back(
      binary("BitwiseAnd", 18, types::kInteger, infer_same_types, evaluate_bitwise<std::bit_and<>>));
  ops.push_back(binary("BitwiseOr", 18, types::kInteger, infer_same_types, evaluate_bitwise<std::bit_or<>>));
  ops.push_back(
      binary("BitwiseXor", 18, types::kInteger, infer_same_types, evaluate_bitwise<std::bit_xor<>>));
  ops.push_back({.name = "BitwiseNot",
                 .since = 18,
                 .input_types = {types::kInteger},
                 .infer = infer_same,
                 .evaluate = evaluate_map<[]<class T>(T x) { return static_cast<T>(~x); }, IntegerTypes>});
  OpDef shift = binary("BitShift", 11, types::kInteger, infer_shift, evaluate_shift);
  shift.attributes = {{"direction", AttributeType::string, Required{}}};
  ops.push_back(std::move(shift));
  return ops;
}

}  // namespace plica
