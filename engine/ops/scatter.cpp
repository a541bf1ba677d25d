// The scatters copy the data and write updates into the copy, in the order of the updates.
#include <numeric>

#include "engine/core/dispatch.h"
#include "engine/core/fail.h"
#include "engine/ops/broadcast.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/indexing.h"
#include "engine/ops/infer.h"

namespace plica {
namespace {

enum class Reduction { none, add, mul, max, min };

// `max` and `min` came with opset 18, the attribute with 16.
Reduction reduction_of(const AttributeReader& attributes, const OpDef& def) {
  if (def.until < 16) return Reduction::none;
  const std::string name = attributes.s("reduction");
  if (name == "none") return Reduction::none;
  if (name == "add") return Reduction::add;
  if (name == "mul") return Reduction::mul;
  if (name == "max") return Reduction::max;
  if (name == "min") return Reduction::min;
  fail(ErrorCode::invalid_model, "reduction is {}, it must be none, add, mul, max or min", quoted(name));
}

template <class C>
C combine(Reduction reduction, C old, C update) {
  switch (reduction) {
    case Reduction::add:
      return static_cast<C>(WrapType<C>(old) + WrapType<C>(update));
    case Reduction::mul:
      return static_cast<C>(WrapType<C>(old) * WrapType<C>(update));
    case Reduction::max:
      return old > update || is_nan(old) ? old : update;
    case Reduction::min:
      return old < update || is_nan(old) ? old : update;
    case Reduction::none:
      break;
  }
  return update;
}

// Writes runs of `inner` neighbours: the i-th run of the updates goes to offset place(i).
template <class Place>
void scatter(const Tensor& updates, Tensor& out, int64_t runs, int64_t inner, Reduction reduction,
             const Place& place) {
  if (reduction == Reduction::none) {
    dispatch_by_size(out.type(), [&]<class T>(std::type_identity<T>) {
      const T* x = static_cast<const T*>(updates.raw());
      T* y = static_cast<T*>(out.mutable_raw());
      if (inner == 1) {
        for (int64_t i = 0; i < runs; ++i) y[place(i)] = x[i];
      } else {
        for (int64_t i = 0; i < runs; ++i) std::copy_n(x + i * inner, inner, y + place(i));
      }
    });
    return;
  }
  dispatch<NumericTypes>(out.type(), [&]<class T>(std::type_identity<T>) {
    using C = ComputeType<T>;
    const T* x = updates.data<T>();
    T* y = out.mutable_data<T>();
    for (int64_t i = 0; i < runs; ++i) {
      T* to = y + place(i);
      for (int64_t j = 0; j < inner; ++j) {
        to[j] =
            static_cast<T>(combine<C>(reduction, static_cast<C>(to[j]), static_cast<C>(x[i * inner + j])));
      }
    }
  });
}

Tensor& copy_data(EvaluateContext& context) {
  const Tensor& data = context.input(0);
  Tensor& out = context.allocate(0, data.type(), data.dims());
  if (data.type() == DataType::string) {
    std::ranges::copy(data.values<std::string>(), out.mutable_data<std::string>());
  } else if (out.raw() != data.raw()) {
    std::copy_n(static_cast<const std::byte*>(data.raw()), data.bytes(),
                static_cast<std::byte*>(out.mutable_raw()));
  }
  return out;
}

void check_types(const InferContext& context) {
  const Reduction reduction = reduction_of(context.attributes(), context.def());
  const DataType type = context.input_type(0);
  require(reduction == Reduction::none || type == DataType::undefined || types::kNumeric.contains(type),
          ErrorCode::unsupported, "a reduction of {} elements", to_string(type));
  const DataType update_type = context.input_type(2);
  require(type == update_type || type == DataType::undefined || update_type == DataType::undefined,
          ErrorCode::invalid_model, "the data is of type {}, the updates are of type {}", to_string(type),
          to_string(update_type));
}

// ---- ScatterElements (Scatter, before opset 11): out[i, indices[i, j, k], k] = updates[i, j, k] (for axis
// 1)

void infer_scatter_elements(InferContext& context) {
  check_types(context);
  const auto &data = context.input_shape(0), &indices = context.input_shape(1),
             &updates = context.input_shape(2);
  if (data && indices && updates) {
    require(data->rank() == indices->rank() && data->rank() == updates->rank(), ErrorCode::invalid_model,
            "data, indices and updates are of ranks {}, {} and {}", data->rank(), indices->rank(),
            updates->rank());
    const int axis = normalize_axis(context.attributes().i("axis"), data->rank());
    for (int i = 0; i < data->rank(); ++i) {
      const Dim& size = merge((*indices)[i], (*updates)[i]);
      require(i == axis || !size.is_known() || !(*data)[i].is_known() || size.value() <= (*data)[i].value(),
              ErrorCode::invalid_model, "the indices {} exceed the data {}", to_string(*indices),
              to_string(*data));
    }
  }
  context.same_as_input();
}

void evaluate_scatter_elements(EvaluateContext& context) {
  Tensor& out = copy_data(context);
  const Dims& dims = context.input(1).dims();
  const auto axis = static_cast<size_t>(normalize_axis(context.attributes().i("axis"), out.rank()));
  auto places = read_indices(context.input(1), out.dims()[axis]);
  if (places.empty()) return;
  const ElementRows rows(dims, out.dims(), axis);
  for (int64_t r = 0; r < rows.count(); ++r) {
    int64_t* row = places.data() + r * rows.length();
    const int64_t offset = rows.offset(r);
    rows.for_each(row, [&](int64_t i, int64_t place) { row[i] = offset + place; });
  }
  scatter(context.input(2), out, static_cast<int64_t>(places.size()), 1,
          reduction_of(context.attributes(), context.def()),
          [at = places.data()](int64_t i) { return at[i]; });
}

// ---- ScatterND: out[indices[i, 0], indices[i, 1], ..., ...] = updates[i, ...]

void infer_scatter_nd(InferContext& context) {
  check_types(context);
  const auto &data = context.input_shape(0), &indices = context.input_shape(1),
             &updates = context.input_shape(2);
  if (data && indices) {
    require(data->rank() > 0 && indices->rank() > 0, ErrorCode::invalid_model,
            "data and indices must be of rank 1 or more");
    const Dim& tuple = (*indices)[indices->rank() - 1];
    if (tuple.is_known()) {
      require(tuple.value() <= data->rank(), ErrorCode::invalid_model,
              "index tuples of {} do not fit data of rank {}", tuple.value(), data->rank());
      if (updates) {
        Shape expected;
        for (int i = 0; i + 1 < indices->rank(); ++i) expected.push_back((*indices)[i]);
        for (int i = static_cast<int>(tuple.value()); i < data->rank(); ++i) expected.push_back((*data)[i]);
        require(updates->rank() == expected.rank(), ErrorCode::invalid_model,
                "the updates are {}, expected {}", to_string(*updates), to_string(expected));
        for (int i = 0; i < expected.rank(); ++i) merge(expected[i], (*updates)[i]);
      }
    }
  }
  context.same_as_input();
}

void evaluate_scatter_nd(EvaluateContext& context) {
  Tensor& out = copy_data(context);
  const Tensor& indices = context.input(1);
  const Dims& dims = out.dims();
  const int64_t tuple = indices.dim(-1);
  const int64_t inner = std::accumulate(dims.begin() + tuple, dims.end(), int64_t{1}, std::multiplies<>());
  const int64_t runs =
      std::accumulate(indices.dims().begin(), indices.dims().end() - 1, int64_t{1}, std::multiplies<>());
  const Dims strides = strides_of(dims);
  const int64_t* index = indices.data<int64_t>();
  scatter(context.input(2), out, runs, inner, reduction_of(context.attributes(), context.def()),
          [&](int64_t i) {
            int64_t offset = 0;
            for (int64_t k = 0; k < tuple; ++k) {
              const auto d = static_cast<size_t>(k);
              offset += wrap_index(index[i * tuple + k], dims[d]) * strides[d];
            }
            return offset;
          });
}

}  // namespace

std::vector<OpDef> scatter_ops() {
  const AttributeDef axis{"axis", AttributeType::int_, int64_t{0}};
  const AttributeDef reduction{"reduction", AttributeType::string, std::string_view("none")};
  const OpDef elements{.name = "ScatterElements",
                       .min_inputs = 3,
                       .max_inputs = 3,
                       .input_types = {kMovableTypes, types::kIndex, kMovableTypes},
                       .infer = infer_scatter_elements,
                       .evaluate = evaluate_scatter_elements};
  const OpDef nd{.name = "ScatterND",
                 .min_inputs = 3,
                 .max_inputs = 3,
                 .input_types = {kMovableTypes, types::kInt64, kMovableTypes},
                 .infer = infer_scatter_nd,
                 .evaluate = evaluate_scatter_nd};
  std::vector<OpDef> ops;
  ops.push_back(for_versions(elements, 9, 10, {axis}));
  ops.back().name = "Scatter";  // its first name
  ops.push_back(for_versions(elements, 11, 15, {axis}));
  ops.push_back(for_versions(elements, 16, kLatestOpset, {axis, reduction}));
  ops.push_back(for_versions(nd, 11, 15, {}));
  ops.push_back(for_versions(nd, 16, kLatestOpset, {reduction}));
  return ops;
}

}  // namespace plica
