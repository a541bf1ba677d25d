// Since opset 13 these work along one axis; before, on the input coerced to two dims at `axis`, that is along
// all axes from it.
#include "engine/ops/softmax.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "engine/core/dispatch.h"
#include "engine/core/parallel.h"
#include "engine/ops/axis_split.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"

namespace plica {
namespace {

bool coerces(const OpDef& def) { return def.until < 13; }

// Coerced, all axes may come before: a rank-1 input with the default axis 1.
int softmax_axis(const AttributeReader& attributes, const OpDef& def, int rank) {
  const int64_t axis = attributes.i("axis");
  if (rank == 0 || (coerces(def) && axis == rank)) return rank;
  return normalize_axis(axis, rank);
}

AxisSplit split_of(const EvaluateContext& context) {
  const Dims& dims = context.input(0).dims();
  AxisSplit s =
      split_at(dims, softmax_axis(context.attributes(), context.def(), static_cast<int>(dims.size())));
  if (coerces(context.def())) {
    s.length *= s.inner;
    s.inner = 1;
  }
  return s;
}

void infer_softmax(InferContext& context) {
  context.same_as_input();
  if (const auto& shape = context.input_shape(0))
    softmax_axis(context.attributes(), context.def(), shape->rank());
}

// Calls f(x, y, columns) for parts of `columns` neighbouring slices (at most kColumns) whose elements along
// the axis are `inner` apart.
constexpr int64_t kColumns = 64;

template <class F>
void for_each_part(const Tensor& in, Tensor& out, const AxisSplit& s, F&& f) {
  if (in.size() == 0) return;
  const int64_t parts = (s.inner + kColumns - 1) / kColumns;
  dispatch<FloatTypes>(in.type(), [&]<class T>(std::type_identity<T>) {
    const T* x = in.data<T>();
    T* y = out.mutable_data<T>();
    const int64_t work = s.length * std::min(s.inner, kColumns);
    parallel_for(s.outer * parts, std::max<int64_t>(1, 8192 / work), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t column = i % parts * kColumns;
        const int64_t offset = i / parts * s.length * s.inner + column;
        f(x + offset, y + offset, std::min(kColumns, s.inner - column));
      }
    });
  });
}

// exp(x - max) / sum, or x - max - log(sum): https://onnx.ai/onnx/operators/onnx__Softmax.html
// Softmax's function body there is Sub, Exp, ReduceSum, Div of the element type; of 16-bit floats, the suite
// holds results to it. Here, LogSoftmax rounds once.
template <bool kLog>
void evaluate_softmax(EvaluateContext& context) {
  const AxisSplit s = split_of(context);
  for_each_part(context.input(0), context.output(), s, [&]<class T>(const T* x, T* y, int64_t columns) {
    using C = ComputeType<T>;
    std::array<C, kColumns> largest;
    std::array<double, kColumns> sum{};
    std::copy_n(x, columns, largest.begin());
    for (int64_t k = 1; k < s.length; ++k) {
      const T* row = x + k * s.inner;
      for (int64_t j = 0; j < columns; ++j) largest[j] = std::max(largest[j], static_cast<C>(row[j]));
    }
    // (inf - inf is NaN, as the formula says.)
    for (int64_t k = 0; k < s.length; ++k) {
      const T* row = x + k * s.inner;
      T* result = y + k * s.inner;
      for (int64_t j = 0; j < columns; ++j) {
        const C shifted = static_cast<C>(row[j]) - largest[j];
        if constexpr (kLog) {
          sum[j] += std::exp(shifted);
        } else {
          const T power = static_cast<T>(std::exp(static_cast<C>(static_cast<T>(shifted))));
          sum[j] += static_cast<C>(power);
          result[j] = power;
        }
      }
    }
    std::array<C, kColumns> last;
    for (int64_t j = 0; j < columns; ++j) {
      if constexpr (kLog)
        last[j] = static_cast<C>(std::log(sum[j]));
      else if constexpr (std::is_same_v<T, C>)
        last[j] = static_cast<C>(1 / sum[j]);
      else
        last[j] = static_cast<C>(static_cast<T>(static_cast<C>(sum[j])));
    }
    for (int64_t k = 0; k < s.length; ++k) {
      const T* row = x + k * s.inner;
      T* result = y + k * s.inner;
      for (int64_t j = 0; j < columns; ++j) {
        if constexpr (kLog)
          result[j] = static_cast<T>(static_cast<C>(row[j]) - largest[j] - last[j]);
        else if constexpr (std::is_same_v<T, C>)
          result[j] *= last[j];
        else
          result[j] = static_cast<T>(static_cast<C>(result[j]) / last[j]);
      }
    }
  });
}

// 1 at the first of the largest elements, 0 elsewhere.
void evaluate_hardmax(EvaluateContext& context) {
  const AxisSplit s = split_of(context);
  for_each_part(context.input(0), context.output(), s, [&]<class T>(const T* x, T* y, int64_t columns) {
    using C = ComputeType<T>;
    for (int64_t j = 0; j < columns; ++j) {
      int64_t best = 0;
      for (int64_t k = 1; k < s.length; ++k) {
        if (static_cast<C>(x[k * s.inner + j]) > static_cast<C>(x[best * s.inner + j])) best = k;
      }
      for (int64_t k = 0; k < s.length; ++k) y[k * s.inner + j] = static_cast<T>(k == best ? 1.0f : 0.0f);
    }
  });
}

void add(std::vector<OpDef>& ops, std::string_view name, void (*evaluate)(EvaluateContext&)) {
  OpDef def{.name = name,
            .until = 12,
            .input_types = {types::kFloat},
            .attributes = {{"axis", AttributeType::int_, int64_t{1}}},
            .infer = infer_softmax,
            .evaluate = evaluate};
  ops.push_back(def);
  def.since = 13;
  def.until = kLatestOpset;
  def.attributes = {{"axis", AttributeType::int_, int64_t{-1}}};
  ops.push_back(std::move(def));
}

}  // namespace

void add_softmax_ops(std::vector<OpDef>& ops) {
  add(ops, "Softmax", evaluate_softmax<false>);
  add(ops, "LogSoftmax", evaluate_softmax<true>);
  add(ops, "Hardmax", evaluate_hardmax);
}

}  // namespace plica
