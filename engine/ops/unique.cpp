// Unique: https://onnx.ai/onnx/operators/onnx__Unique.html
#include <algorithm>
#include <cmath>
#include <complex>
#include <numeric>

#include "engine/core/dispatch.h"
#include "engine/ops/axis_split.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/indexing.h"
#include "engine/ops/infer.h"

namespace plica {
namespace {

void infer_unique(InferContext& context) {
  const DataType type = context.input_type(0);
  const auto& in = context.input_shape(0);
  const int64_t sorted = context.attributes().i("sorted");
  require(sorted == 0 || sorted == 1, ErrorCode::invalid_model, "sorted is {}, it must be 0 or 1", sorted);
  const auto axis = context.attributes().maybe_i("axis");
  std::optional<Shape> values;
  Dim positions;  // elements, or slices along the axis
  if (!axis) {
    values = Shape{Dim()};
    positions = in ? Dim(1) : Dim();
    if (in) {
      for (const Dim& d : *in) positions = multiply(positions, d);
    }
  } else if (in) {
    const int at = normalize_axis(*axis, in->rank());
    values = *in;
    positions = (*in)[at];
    (*values)[at] = Dim();
  }
  context.set_output(0, type, values);
  context.set_output(1, DataType::int64, Shape{Dim()});
  context.set_output(2, DataType::int64, Shape{positions});
  context.set_output(3, DataType::int64, Shape{Dim()});
}

// A total order in which equal elements are neighbours: NaN is equal to itself and last, complex numbers are
// ordered by their real parts first.
template <class T>
int compare(const T& a, const T& b) {
  if constexpr (std::is_same_v<T, std::string>) {
    return a.compare(b);
  } else if constexpr (std::is_same_v<T, std::complex<float>> || std::is_same_v<T, std::complex<double>>) {
    const int real = compare(a.real(), b.real());
    return real ? real : compare(a.imag(), b.imag());
  } else {
    using C = ComputeType<T>;
    const C x = static_cast<C>(a), y = static_cast<C>(b);
    if constexpr (std::is_floating_point_v<C>) {
      if (std::isnan(x) || std::isnan(y))
        return static_cast<int>(std::isnan(x)) - static_cast<int>(std::isnan(y));
    }
    return x < y ? -1 : x > y ? 1 : 0;
  }
}

// The distinct ones of `count` rows, each by its first position, in the order of output; and which of them
// every row is.
struct Distinct {
  std::vector<int64_t> first, counts, of_row;
};

template <class T>
Distinct find_distinct(const T* rows, int64_t count, int64_t length, bool sorted) {
  const auto compare_rows = [&](int64_t a, int64_t b) {
    const T *x = rows + a * length, *y = rows + b * length;
    for (int64_t i = 0; i < length; ++i) {
      if (const int order = compare(x[i], y[i])) return order;
    }
    return 0;
  };
  std::vector<int64_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](int64_t a, int64_t b) { return compare_rows(a, b) < 0; });
  Distinct out;
  out.of_row.resize(order.size());
  for (size_t i = 0; i < order.size(); ++i) {
    if (i == 0 || compare_rows(order[i - 1], order[i]) != 0) {
      out.first.push_back(order[i]);
      out.counts.push_back(0);
    }
    ++out.counts.back();
    out.of_row[static_cast<size_t>(order[i])] = static_cast<int64_t>(out.first.size()) - 1;
  }
  if (sorted) return out;
  // By first position instead.
  std::vector<int64_t> by_first(out.first.size()), place(out.first.size());
  std::iota(by_first.begin(), by_first.end(), 0);
  std::ranges::sort(by_first, {}, [&](int64_t i) { return out.first[static_cast<size_t>(i)]; });
  Distinct moved{{}, {}, std::move(out.of_row)};
  for (size_t i = 0; i < by_first.size(); ++i) {
    const auto from = static_cast<size_t>(by_first[i]);
    place[from] = static_cast<int64_t>(i);
    moved.first.push_back(out.first[from]);
    moved.counts.push_back(out.counts[from]);
  }
  for (int64_t& row : moved.of_row) row = place[static_cast<size_t>(row)];
  return moved;
}

void evaluate_unique(EvaluateContext& context) {
  const Tensor& in = context.input(0);
  const bool sorted = context.attributes().i("sorted") != 0;
  const auto axis = context.attributes().maybe_i("axis");
  // Without an axis, every element is a slice.
  Dims dims = axis ? in.dims() : Dims{in.size()};
  const int at = axis ? normalize_axis(*axis, in.rank()) : 0;
  const AxisSplit split = split_at(dims, at);
  const int64_t length = split.outer * split.inner;
  using Types =
      JoinLists<NumericAndBoolTypes, TypeList<std::string, std::complex<float>, std::complex<double>>>;
  dispatch<Types>(in.type(), [&]<class T>(std::type_identity<T>) {
    const T* x = in.data<T>();
    // The slices one after the other.
    Tensor moved;
    const T* rows = x;
    if (split.outer != 1) {
      moved = Tensor(in.type(), {in.size()});
      T* to = moved.mutable_data<T>();
      for (int64_t i = 0; i < split.length && length > 0; ++i) {
        for (int64_t o = 0; o < split.outer; ++o)
          to = std::copy_n(x + (o * split.length + i) * split.inner, split.inner, to);
      }
      rows = moved.data<T>();
    }
    const Distinct distinct = find_distinct(rows, split.length, length, sorted);
    const auto count = static_cast<int64_t>(distinct.first.size());
    dims[static_cast<size_t>(at)] = count;
    Tensor& values = context.allocate(0, in.type(), dims);
    if (values.size() > 0) {
      T* y = values.mutable_data<T>();
      for (int64_t o = 0; o < split.outer; ++o) {
        for (const int64_t i : distinct.first)
          y = std::copy_n(x + (o * split.length + i) * split.inner, split.inner, y);
      }
    }
    int i = 1;
    for (const auto* list : {&distinct.first, &distinct.of_row, &distinct.counts}) {
      if (i < context.num_outputs() && context.has_output(i))
        std::ranges::copy(*list, context.allocate(i, DataType::int64, {static_cast<int64_t>(list->size())})
                                     .mutable_data<int64_t>());
      ++i;
    }
  });
}

}  // namespace

std::vector<OpDef> unique_ops() {
  return {
      {.name = "Unique",
       .since = 11,
       .max_outputs = 4,
       .input_types = {types::kNumeric | types::kBool | types::kString | types::kComplex},
       .attributes = {{"axis", AttributeType::int_, Optional{}}, {"sorted", AttributeType::int_, int64_t{1}}},
       .infer = infer_unique,
       .evaluate = evaluate_unique}};
}

}  // namespace plica
