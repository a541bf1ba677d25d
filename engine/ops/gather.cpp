#include <numeric>

#include "engine/core/dispatch.h"
#include "engine/core/fail.h"
#include "engine/core/parallel.h"
#include "engine/ops/cast.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/indexing.h"
#include "engine/ops/infer.h"

namespace plica {
namespace {

int64_t product(Dims::const_iterator begin, Dims::const_iterator end) {
  return std::accumulate(begin, end, int64_t{1}, std::multiplies<>());
}

// Copies `count` elements; shorter than memmove's call for the common single one.
template <class T>
void copy_run(const T* from, int64_t count, T* to) {
  if (count == 1) {
    *to = *from;
  } else {
    std::copy_n(from, count, to);
  }
}

// ---- Gather: out[a, i, c] = data[a, indices[i], c]

void infer_gather(InferContext& context) {
  const DataType type = context.input_type(0);
  const auto& data = context.input_shape(0);
  const auto& indices = context.input_shape(1);
  if (!data) return context.set_output(0, type, std::nullopt);
  require(data->rank() > 0, ErrorCode::invalid_model, "a scalar has no axis to gather from");
  const int axis = normalize_axis(context.attributes().i("axis"), data->rank());
  if (!indices) return context.set_output(0, type, std::nullopt);
  Shape out;
  for (int i = 0; i < axis; ++i) out.push_back((*data)[i]);
  for (const Dim& d : *indices) out.push_back(d);
  for (int i = axis + 1; i < data->rank(); ++i) out.push_back((*data)[i]);
  const int rank = out.rank();
  context.set_output(0, type, std::move(out));
  // Of a shape.
  const auto* elements = context.input_elements(0);
  const auto chosen = context.input_ints(1);
  if (!elements || !chosen || data->rank() != 1 || rank > 1) return;
  std::vector<Dim> result;
  for (const int64_t i : *chosen)
    result.push_back((*elements)[static_cast<size_t>(wrap_index(i, static_cast<int64_t>(elements->size())))]);
  context.set_output_elements(0, std::move(result));
}

void evaluate_gather(EvaluateContext& context) {
  const Tensor& data = context.input(0);
  const auto axis = normalize_axis(context.attributes().i("axis"), data.rank());
  const Dims& dims = data.dims();
  const int64_t length = dims[static_cast<size_t>(axis)];
  const auto indices = read_indices(context.input(1), length);
  const int64_t outer = product(dims.begin(), dims.begin() + axis);
  const int64_t inner = product(dims.begin() + axis + 1, dims.end());
  const auto count = static_cast<int64_t>(indices.size());
  Tensor& out = context.output();
  dispatch_by_size(data.type(), [&]<class T>(std::type_identity<T>) {
    const T* x = static_cast<const T*>(data.raw());
    T* y = static_cast<T*>(out.mutable_raw());
    parallel_for(outer * count, std::max<int64_t>(1, 32768 / std::max<int64_t>(inner, 1)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) {
                     copy_run(x + (i / count * length + indices[static_cast<size_t>(i % count)]) * inner,
                              inner, y + i * inner);
                   }
                 });
  });
}

// ---- GatherElements: out[i, j, k] = data[i, indices[i, j, k], k] (for axis 1)

void infer_gather_elements(InferContext& context) {
  const auto& data = context.input_shape(0);
  const auto& indices = context.input_shape(1);
  if (data && indices) {
    require(data->rank() == indices->rank(), ErrorCode::invalid_model,
            "the data is of rank {}, the indices are of rank {}", data->rank(), indices->rank());
    const int axis = normalize_axis(context.attributes().i("axis"), data->rank());
    for (int i = 0; i < data->rank(); ++i) {
      const Dim &have = (*data)[i], &want = (*indices)[i];
      require(i == axis || !have.is_known() || !want.is_known() || want.value() <= have.value(),
              ErrorCode::invalid_model, "the indices {} exceed the data {}", to_string(*indices),
              to_string(*data));
    }
  }
  context.set_output(0, context.input_type(0), indices);
}

void evaluate_gather_elements(EvaluateContext& context) {
  const Tensor& data = context.input(0);
  const Dims& dims = context.input(1).dims();
  const auto axis = static_cast<size_t>(normalize_axis(context.attributes().i("axis"), data.rank()));
  const Tensor indices = cast_tensor(context.input(1), DataType::int64);
  const int64_t size = data.dims()[axis];
  Tensor& out = context.output();
  if (out.size() == 0) return;
  dispatch_by_size(data.type(), [&]<class T>(std::type_identity<T>) {
    const T* x = static_cast<const T*>(data.raw());
    T* y = static_cast<T*>(out.mutable_raw());
    const int64_t* index = indices.data<int64_t>();
    const ElementRows rows(dims, data.dims(), axis);
    parallel_for(rows.count(), std::max<int64_t>(1, 16384 / rows.length()), [&](int64_t begin, int64_t end) {
      std::vector<int64_t> wrapped;
      for (int64_t r = begin; r < end; ++r) {
        const T* from = x + rows.offset(r);
        T* to = y + r * rows.length();
        std::span row(index + r * rows.length(), static_cast<size_t>(rows.length()));
        if (!are_in_range(row, size)) row = wrapped = wrap_indices(row, size);
        rows.for_each(row.data(), [from, to](int64_t i, int64_t offset) { to[i] = from[offset]; });
      }
    });
  });
}

// ---- GatherND: out[b, i, ...] = data[b, indices[b, i, 0], indices[b, i, 1], ..., ...]

int64_t batch_dims(const AttributeReader& attributes, const OpDef& def) {
  return def.since >= 12 ? attributes.i("batch_dims") : 0;
}

void infer_gather_nd(InferContext& context) {
  const DataType type = context.input_type(0);
  const auto& data = context.input_shape(0);
  const auto& indices = context.input_shape(1);
  const int64_t batch = batch_dims(context.attributes(), context.def());
  require(batch >= 0, ErrorCode::invalid_model, "batch_dims is {}", batch);
  if (!data || !indices) return context.set_output(0, type, std::nullopt);
  require(data->rank() > 0 && indices->rank() > 0, ErrorCode::invalid_model,
          "data and indices must be of rank 1 or more");
  require(batch < std::min(data->rank(), indices->rank()), ErrorCode::invalid_model,
          "batch_dims {} is not below the ranks {} and {}", batch, data->rank(), indices->rank());
  for (int i = 0; i < batch; ++i) merge((*data)[i], (*indices)[i]);
  const Dim& last = (*indices)[indices->rank() - 1];
  if (!last.is_known()) return context.set_output(0, type, std::nullopt);
  require(last.value() >= 1 && batch + last.value() <= data->rank(), ErrorCode::invalid_model,
          "index tuples of {} do not fit data of rank {} with {} batch dims", last.value(), data->rank(),
          batch);
  Shape out;
  for (int i = 0; i + 1 < indices->rank(); ++i) out.push_back((*indices)[i]);
  for (int i = static_cast<int>(batch + last.value()); i < data->rank(); ++i) out.push_back((*data)[i]);
  context.set_output(0, type, std::move(out));
}

void evaluate_gather_nd(EvaluateContext& context) {
  const Tensor &data = context.input(0), &indices = context.input(1);
  const Dims& dims = data.dims();
  const int64_t batch = batch_dims(context.attributes(), context.def());
  const int64_t tuple = indices.dim(-1);
  const int64_t batches = product(dims.begin(), dims.begin() + batch);
  const int64_t batch_size = product(dims.begin() + batch, dims.end());
  const int64_t inner = product(dims.begin() + batch + tuple, dims.end());
  const Dims strides = strides_of(dims);
  const int64_t tuples = indices.size() / tuple;
  const int64_t* index = indices.data<int64_t>();
  Tensor& out = context.output();
  dispatch_by_size(data.type(), [&]<class T>(std::type_identity<T>) {
    const T* x = static_cast<const T*>(data.raw());
    T* y = static_cast<T*>(out.mutable_raw());
    for (int64_t i = 0; i < tuples; ++i) {
      int64_t offset = i / (tuples / batches) * batch_size;
      for (int64_t k = 0; k < tuple; ++k) {
        const auto d = static_cast<size_t>(batch + k);
        offset += wrap_index(index[i * tuple + k], dims[d]) * strides[d];
      }
      copy_run(x + offset, inner, y + i * inner);
    }
  });
}

}  // namespace

std::vector<OpDef> gather_ops() {
  const AttributeDef axis{"axis", AttributeType::int_, int64_t{0}};
  std::vector<OpDef> ops;
  ops.push_back({.name = "Gather",
                 .min_inputs = 2,
                 .max_inputs = 2,
                 .input_types = {kMovableTypes, types::kIndex},
                 .attributes = {axis},
                 .infer = infer_gather,
                 .evaluate = evaluate_gather});
  ops.push_back({.name = "GatherElements",
                 .since = 11,
                 .min_inputs = 2,
                 .max_inputs = 2,
                 .input_types = {kMovableTypes, types::kIndex},
                 .attributes = {axis},
                 .infer = infer_gather_elements,
                 .evaluate = evaluate_gather_elements});
  OpDef nd{.name = "GatherND",
           .since = 11,
           .until = 11,
           .min_inputs = 2,
           .max_inputs = 2,
           .input_types = {kMovableTypes, types::kInt64},
           .infer = infer_gather_nd,
           .evaluate = evaluate_gather_nd};
  ops.push_back(nd);
  nd.since = 12;
  nd.until = kLatestOpset;
  nd.attributes = {{"batch_dims", AttributeType::int_, int64_t{0}}};
  ops.push_back(std::move(nd));
  return ops;
}

}  // namespace plica
