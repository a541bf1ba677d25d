// ArgMax and ArgMin. NaN counts as the extreme, as in numpy.
#include <algorithm>
#include <array>

#include "engine/core/dispatch.h"
#include "engine/core/fail.h"
#include "engine/core/parallel.h"
#include "engine/core/vectorized.h"
#include "engine/ops/axis_split.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/extreme.h"
#include "engine/ops/infer.h"
#include "engine/ops/reduction.h"

namespace plica {
namespace {

void infer_arg(InferContext& context) {
  const auto& shape = context.input_shape(0);
  const bool keep = context.attributes().i("keepdims") != 0;
  if (!shape) return context.set_output(0, DataType::int64, std::nullopt);
  // A scalar has the one element 0 along an axis that it has not.
  if (shape->rank() == 0) return context.set_output(0, DataType::int64, Shape{});
  const int axis = normalize_axis(context.attributes().i("axis"), shape->rank());
  Shape out;
  for (int i = 0; i < shape->rank(); ++i) {
    if (i != axis) {
      out.push_back((*shape)[i]);
    } else if (keep) {
      out.push_back(1);
    }
  }
  const Dim& length = (*shape)[axis];
  require(!length.is_known() || length.value() != 0, ErrorCode::invalid_model,
          "axis {} is empty, it has no extreme", axis);
  context.set_output(0, DataType::int64, std::move(out));
}

// kBetter(x, y): x is strictly more extreme than y.
template <auto kBetter, bool kMax>
void evaluate_arg(EvaluateContext& context) {
  constexpr int64_t kColumns = 64;
  const Tensor& in = context.input(0);
  const bool last = context.def().since >= 12 && context.attributes().i("select_last_index") != 0;
  const int axis = in.rank() == 0 ? 0 : normalize_axis(context.attributes().i("axis"), in.rank());
  const auto [outer, length, inner] = split_at(in.dims(), axis);
  int64_t* out = context.output().mutable_data<int64_t>();
  if (outer * inner == 0) return;
  const int64_t parts = (inner + kColumns - 1) / kColumns;
  dispatch<NumericTypes>(
      in.type(), [&, outer = outer, length = length, inner = inner]<class T>(std::type_identity<T>) {
        using C = ComputeType<T>;
        const T* x = in.data<T>();
        if constexpr (std::is_floating_point_v<T>) {
          if (inner == 1) {
            parallel_for(outer, std::max<int64_t>(1, 8192 / length), [&](int64_t begin, int64_t end) {
              for (int64_t row = begin; row < end; ++row) {
                const T* from = x + row * length;
                vectorized(
                    [=] { out[row] = find_extreme(from, length, extreme_of_row<kMax>(from, length), last); });
              }
            });
            return;
          }
        }
        parallel_for(outer * parts, std::max<int64_t>(1, 8192 / (length * std::min(inner, kColumns))),
                     [&](int64_t begin, int64_t end) {
                       for (int64_t p = begin; p < end; ++p) {
                         const int64_t o = p / parts, column = p % parts * kColumns;
                         const int64_t columns = std::min(kColumns, inner - column);
                         const T* from = x + o * length * inner + column;
                         std::array<C, kColumns> best;
                         std::array<int64_t, kColumns> index{};
                         std::copy_n(from, columns, best.begin());
                         for (int64_t k = 1; k < length; ++k) {
                           for (int64_t j = 0; j < columns; ++j) {
                             const C value = static_cast<C>(from[k * inner + j]);
                             const auto c = static_cast<size_t>(j);
                             if (kBetter(value, best[c]) || (last && !kBetter(best[c], value))) {
                               best[c] = value;
                               index[c] = k;
                             }
                           }
                         }
                         std::copy_n(index.begin(), columns, out + o * inner + column);
                       }
                     });
      });
}

constexpr auto kGreater = [](auto x, auto y) { return x > y || (is_nan(x) && !is_nan(y)); };
constexpr auto kLess = [](auto x, auto y) { return x < y || (is_nan(x) && !is_nan(y)); };

void add(std::vector<OpDef>& ops, std::string_view name, void (*evaluate)(EvaluateContext&)) {
  OpDef def{.name = name,
            .until = 11,
            .input_types = {types::kNumeric},
            .attributes = {{"axis", AttributeType::int_, int64_t{0}},
                           {"keepdims", AttributeType::int_, int64_t{1}}},
            .infer = infer_arg,
            .evaluate = evaluate};
  ops.push_back(def);
  def.since = 12;
  def.until = kLatestOpset;
  def.attributes.push_back({"select_last_index", AttributeType::int_, int64_t{0}});
  ops.push_back(std::move(def));
}

}  // namespace

std::vector<OpDef> arg_ops() {
  std::vector<OpDef> ops;
  add(ops, "ArgMax", evaluate_arg<kGreater, true>);
  add(ops, "ArgMin", evaluate_arg<kLess, false>);
  return ops;
}

}  // namespace plica
