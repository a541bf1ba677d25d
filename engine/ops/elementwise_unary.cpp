// Functions of one element. An entry serves all versions of an operator that differ only in the element types
// they list: it takes those of the newest.
#include <cmath>

#include "engine/ops/activation_functions.h"
#include "engine/ops/elementwise.h"

namespace plica {
namespace {

using FloatAndSigned = JoinLists<FloatTypes, SignedTypes>;

constexpr auto kNegate = []<class T>(T x) {
  return static_cast<T>(WrapType<T>(0) - static_cast<WrapType<T>>(x));
};
// 0 - x would lose the sign of zero.
constexpr auto kNeg = []<class T>(T x) {
  if constexpr (std::is_floating_point_v<T>)
    return -x;
  else
    return kNegate(x);
};
constexpr auto kAbs = []<class T>(T x) {
  if constexpr (std::is_floating_point_v<T>)
    return std::abs(x);
  else if constexpr (std::is_signed_v<T>)
    return x < 0 ? kNegate(x) : x;
  else
    return x;
};
constexpr auto kSign = []<class T>(T x) {
  if constexpr (std::is_floating_point_v<T>) {
    if (x != x) return x;
  }
  return static_cast<T>(static_cast<int>(x > T(0)) - static_cast<int>(x < T(0)));
};

struct Entry {
  std::string_view name;
  int since;
  TypeSet types;
  void (*evaluate)(EvaluateContext&);
};

const Entry kEntries[] = {
    {"Neg", 1, types::kFloat | types::kSigned, evaluate_map<kNeg, FloatAndSigned>},
    {"Abs", 1, types::kNumeric, evaluate_map<kAbs, NumericTypes>},
    {"Sign", 9, types::kNumeric, evaluate_map<kSign, NumericTypes>},
    {"Sqrt", 1, types::kFloat, evaluate_map<[](auto x) { return std::sqrt(x); }>},
    {"Exp", 1, types::kFloat, evaluate_map<kExp>},
    {"Log", 1, types::kFloat, evaluate_map<[](auto x) { return std::log(x); }>},
    {"Reciprocal", 1, types::kFloat, evaluate_map<[](auto x) { return 1 / x; }>},
    {"Floor", 1, types::kFloat, evaluate_map<[](auto x) { return std::floor(x); }>},
    {"Ceil", 1, types::kFloat, evaluate_map<[](auto x) { return std::ceil(x); }>},
    // Halves to even, which is the rounding mode that a C++ program starts with.
    {"Round", 11, types::kFloat, evaluate_map<[](auto x) { return std::nearbyint(x); }>},
    {"Erf", 9, types::kFloat, evaluate_map<[](auto x) { return std::erf(x); }>},
    {"Sin", 7, types::kFloat, evaluate_map<[](auto x) { return std::sin(x); }>},
    {"Cos", 7, types::kFloat, evaluate_map<[](auto x) { return std::cos(x); }>},
    {"Tan", 7, types::kFloat, evaluate_map<[](auto x) { return std::tan(x); }>},
    {"Asin", 7, types::kFloat, evaluate_map<[](auto x) { return std::asin(x); }>},
    {"Acos", 7, types::kFloat, evaluate_map<[](auto x) { return std::acos(x); }>},
    {"Atan", 7, types::kFloat, evaluate_map<[](auto x) { return std::atan(x); }>},
    {"Sinh", 9, types::kFloat, evaluate_map<[](auto x) { return std::sinh(x); }>},
    {"Cosh", 9, types::kFloat, evaluate_map<[](auto x) { return std::cosh(x); }>},
    {"Tanh", 1, types::kFloat, evaluate_map<kTanh>},
    {"Asinh", 9, types::kFloat, evaluate_map<[](auto x) { return std::asinh(x); }>},
    {"Acosh", 9, types::kFloat, evaluate_map<[](auto x) { return std::acosh(x); }>},
    {"Atanh", 9, types::kFloat, evaluate_map<[](auto x) { return std::atanh(x); }>},
};

}  // namespace

std::vector<OpDef> unary_ops() {
  std::vector<OpDef> ops;
  for (const Entry& e : kEntries) {
    OpDef def{.name = e.name,
              .since = e.since,
              .input_types = {e.types},
              .infer = infer_same,
              .evaluate = e.evaluate};
    if (e.since == 1) {
      add_since_1(ops, std::move(def));
    } else {
      ops.push_back(std::move(def));
    }
  }
  return ops;
}

}  // namespace plica
