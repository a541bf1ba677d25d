// CumSum and CumProd along one axis.
#include <algorithm>
#include <array>

#include "engine/core/checked.h"
#include "engine/core/dispatch.h"
#include "engine/core/fail.h"
#include "engine/core/parallel.h"
#include "engine/ops/axis_split.h"
#include "engine/ops/cast.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/instruction_set.h"
#include "engine/ops/reduction.h"

namespace plica {
namespace {

void infer_cumulative(InferContext& context) {
  const auto& axis_shape = context.input_shape(1);
  const auto axis_dims = axis_shape ? axis_shape->known() : std::nullopt;
  require(!axis_dims || checked_elements(*axis_dims) == 1, ErrorCode::invalid_model,
          "the axis is of shape {}, it must be a scalar", axis_shape ? to_string(*axis_shape) : "");
  const auto axis = context.input_ints(1);
  if (const auto& shape = context.input_shape(0); shape && axis && axis->size() == 1) {
    normalize_axis((*axis)[0], shape->rank());
  }
  context.same_as_input();
}

constexpr int64_t kColumns = 128;

// Along the axis, `step` elements apart, for `columns` neighbours. There is no product to be added: results
// are the same by any instructions.
template <auto kOp, class S, class C, class T>
[[gnu::always_inline]] inline void accumulate(const T* x, T* y, int64_t n, int64_t step, int64_t columns,
                                              bool exclusive) {
  std::array<S, kColumns> running;
  std::fill_n(running.begin(), columns, kOp.template start<S>());
  for (int64_t k = 0; k < n; ++k) {
    const T* from = x + k * step;
    T* to = y + k * step;
    for (int64_t j = 0; j < columns; ++j) {
      const S before = running[j], after = kOp(before, static_cast<S>(static_cast<C>(from[j])));
      running[j] = after;
      to[j] = static_cast<T>(static_cast<C>(exclusive ? before : after));
    }
  }
}

// kOp(running, x); running is a double for floating-point types.
template <auto kOp>
void evaluate_cumulative(EvaluateContext& context) {
  const Tensor& in = context.input(0);
  Tensor& out = context.output();
  const Tensor axis_tensor = cast_tensor(context.input(1), DataType::int64);
  const int axis = normalize_axis(*axis_tensor.data<int64_t>(), in.rank());
  const bool exclusive = context.attributes().i("exclusive") != 0;
  const bool reverse = context.attributes().i("reverse") != 0;
  const AxisSplit split = split_at(in.dims(), axis);
  const int64_t outer = split.outer, n = split.length, inner = split.inner;
  if (in.size() == 0) return;
  dispatch<JoinLists<FloatTypes, TypeList<int32_t, int64_t, uint32_t, uint64_t>>>(
      in.type(), [&]<class T>(std::type_identity<T>) {
        using C = ComputeType<T>;
        using S = std::conditional_t<std::is_integral_v<C>, C, double>;
        const T* x = in.data<T>();
        T* y = out.mutable_data<T>();
        const int64_t step = reverse ? -inner : inner;
        // By columns of neighbours, which are summed together.
        const int64_t parts = (inner + kColumns - 1) / kColumns;
        const int64_t work = n * std::min(inner, kColumns);
        parallel_for(outer * parts, std::max<int64_t>(1, 8192 / work), [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) {
            const int64_t column = i % parts * kColumns;
            const int64_t columns = std::min(kColumns, inner - column);
            const int64_t at = i / parts * n * inner + column + (reverse ? (n - 1) * inner : 0);
            for_best_instruction_set([=](auto) __attribute__((always_inline)) {
              accumulate<kOp, S, C>(x + at, y + at, n, step, columns, exclusive);
            });
          }
        });
      });
}

struct Plus {
  template <class S>
  static constexpr S start() {
    return 0;
  }
  template <class S>
  S operator()(S a, S b) const {
    return static_cast<S>(WrapType<S>(a) + WrapType<S>(b));
  }
};
struct Times {
  template <class S>
  static constexpr S start() {
    return 1;
  }
  template <class S>
  S operator()(S a, S b) const {
    return static_cast<S>(WrapType<S>(a) * WrapType<S>(b));
  }
};

}  // namespace

std::vector<OpDef> cumulative_ops() {
  constexpr TypeSet kTypes = types::kFloat | types::kIndex | TypeSet{DataType::uint32, DataType::uint64};
  OpDef sum{.name = "CumSum",
            .since = 11,
            .min_inputs = 2,
            .max_inputs = 2,
            .input_types = {kTypes, types::kIndex},
            .attributes = {{"exclusive", AttributeType::int_, int64_t{0}},
                           {"reverse", AttributeType::int_, int64_t{0}}},
            .infer = infer_cumulative,
            .evaluate = evaluate_cumulative<Plus{}>};
  OpDef product = sum;
  product.name = "CumProd";
  product.since = 26;
  product.evaluate = evaluate_cumulative<Times{}>;
  return {sum, product};
}

}  // namespace plica
