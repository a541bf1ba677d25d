// GlobalMaxPool, GlobalAveragePool, GlobalLpPool: over all spatial axes, which stay with size 1.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "engine/core/dispatch.h"
#include "engine/core/parallel.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/pooling.h"

namespace plica {
namespace {

void infer_global_pool(InferContext& context) {
  std::optional<Shape> out = context.input_shape(0);
  if (out) {
    require(out->rank() >= 2, ErrorCode::invalid_model, "the input has rank {}, at least 2 is needed",
            out->rank());
    for (int i = 2; i < out->rank(); ++i) (*out)[i] = 1;
  }
  context.set_output(0, context.input_type(0), std::move(out));
}

// Folds a row in parts that vectorize: op(part, x) for all elements, then join(part, part).
template <class A, class T, class Op, class Join>
A fold_row(const T* x, int64_t count, A start, const Op& op, const Join& join) {
  constexpr int64_t kParts = 8;
  A parts[kParts];
  std::fill_n(parts, kParts, start);
  int64_t i = 0;
  for (; i + kParts <= count; i += kParts) {
    for (int64_t j = 0; j < kParts; ++j) parts[j] = op(parts[j], static_cast<ComputeType<T>>(x[i + j]));
  }
  for (; i < count; ++i) parts[i % kParts] = op(parts[i % kParts], static_cast<ComputeType<T>>(x[i]));
  return std::accumulate(parts + 1, parts + kParts, parts[0], join);
}

// y = reduce(row, length) for each channel of each sample.
template <class Reduce>
void pool_rows(EvaluateContext& context, const Reduce& reduce) {
  const Tensor& x = context.input(0);
  Tensor& y = context.output();
  if (y.size() == 0) return;
  const int64_t length =
      std::accumulate(x.dims().begin() + 2, x.dims().end(), int64_t{1}, std::multiplies<>());
  dispatch<FloatTypes>(x.type(), [&]<class T>(std::type_identity<T>) {
    const T* from = x.data<T>();
    T* to = y.mutable_data<T>();
    parallel_for(y.size(), std::max<int64_t>(1, 32768 / std::max<int64_t>(length, 1)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t row = begin; row < end; ++row)
                     to[row] = static_cast<T>(reduce(from + row * length, length));
                 });
  });
}

void evaluate_global_max(EvaluateContext& context) {
  pool_rows(context, []<class T>(const T* row, int64_t length) {
    using C = ComputeType<T>;
    const auto larger = [](C a, C b) { return b > a || b != b ? b : a; };  // NaN stays
    return fold_row<C>(row, length, -std::numeric_limits<C>::infinity(), larger, larger);
  });
}

template <class T, class Term>
double sum_of(const T* row, int64_t length, const Term& term) {
  return fold_row<double>(
      row, length, 0.0, [&](double sum, auto v) { return sum + term(static_cast<double>(v)); },
      std::plus<>());
}

// Results leave in the type that T computes in: rounding from double goes by way of it.
template <class T>
using Result = ComputeType<T>;

void evaluate_global_average(EvaluateContext& context) {
  pool_rows(context, []<class T>(const T* row, int64_t length) {
    return static_cast<Result<T>>(sum_of(row, length, [](double v) { return v; }) /
                                  static_cast<double>(length));
  });
}

double lp_order(const AttributeReader& attributes, const OpDef& def) {
  const double p = def.until < 2 ? attributes.f("p") : static_cast<double>(attributes.i("p"));
  require(p > 0, ErrorCode::invalid_model, "p is {}, it must be positive", p);
  return p;
}

void infer_global_lp(InferContext& context) {
  lp_order(context.attributes(), context.def());
  infer_global_pool(context);
}

// (sum |x|^p)^(1/p)
void evaluate_global_lp(EvaluateContext& context) {
  const double p = lp_order(context.attributes(), context.def());
  pool_rows(context, [p]<class T>(const T* row, int64_t length) {
    if (p == 1) return static_cast<Result<T>>(sum_of(row, length, [](double v) { return std::abs(v); }));
    if (p == 2) return static_cast<Result<T>>(std::sqrt(sum_of(row, length, [](double v) { return v * v; })));
    return static_cast<Result<T>>(
        std::pow(sum_of(row, length, [p](double v) { return std::pow(std::abs(v), p); }), 1 / p));
  });
}

}  // namespace

std::vector<OpDef> global_pool_ops() {
  std::vector<OpDef> ops;
  ops.push_back({.name = "GlobalMaxPool",
                 .input_types = {types::kFloat},
                 .infer = infer_global_pool,
                 .evaluate = evaluate_global_max});
  ops.push_back({.name = "GlobalAveragePool",
                 .input_types = {types::kFloat},
                 .infer = infer_global_pool,
                 .evaluate = evaluate_global_average});
  OpDef lp{.name = "GlobalLpPool",
           .until = 1,
           .input_types = {types::kFloat},
           .attributes = {{"p", AttributeType::float_, 2.0f}},
           .infer = infer_global_lp,
           .evaluate = evaluate_global_lp};
  ops.push_back(lp);
  lp.since = 2;
  lp.until = kLatestOpset;
  lp.attributes = {{"p", AttributeType::int_, int64_t{2}}};
  ops.push_back(lp);
  return ops;
}

}  // namespace plica
