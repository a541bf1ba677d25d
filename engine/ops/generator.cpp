// Operators that make a tensor out of attributes or of scalars.
#include <cmath>

#include "engine/core/checked.h"
#include "engine/core/dispatch.h"
#include "engine/core/fail.h"
#include "engine/core/minifloat.h"
#include "engine/ops/cast.h"
#include "engine/ops/constant.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"

namespace plica {
namespace {

// Sets all elements to the first of `value`, of the same type.
void fill(Tensor& out, const Tensor& value) {
  if (out.size() == 0) return;
  if (const int bits = bits_of(out.type()); bits != 0 && bits < 8) {
    auto* bytes = static_cast<uint8_t*>(out.mutable_raw());
    std::fill_n(bytes, out.bytes(), uint8_t{0});
    const uint8_t code = load_packed(static_cast<const uint8_t*>(value.raw()), 0, bits);
    for (int64_t i = 0; i < out.size(); ++i) store_packed(bytes, i, bits, code);
    return;
  }
  dispatch_by_size(out.type(), [&]<class T>(std::type_identity<T>) {
    std::fill_n(static_cast<T*>(out.mutable_raw()), out.size(), *static_cast<const T*>(value.raw()));
  });
}

// ---- Constant

// The dense tensor of one in coordinate format: https://onnx.ai/onnx/repo-docs/IR.html (SparseTensorProto)
Tensor to_dense(const SparseTensor& sparse) {
  const int64_t count = sparse.values.size();
  const auto rank = static_cast<int64_t>(sparse.dims.size());
  const Dims& index_dims = sparse.indices.dims();
  const bool linear = index_dims.size() == 1 && index_dims[0] == count;
  require(linear || (index_dims.size() == 2 && index_dims[0] == count && index_dims[1] == rank),
          ErrorCode::invalid_model, "a sparse tensor of {} values and rank {} has indices of shape {}", count,
          rank, to_string(index_dims));
  constexpr int64_t kMostElements = int64_t{1} << 31;  // a short file must not claim all memory
  require(checked_elements(sparse.dims) <= kMostElements, ErrorCode::limit,
          "a sparse constant of {} elements", checked_elements(sparse.dims));
  Tensor dense = Tensor::zeros(sparse.values.type(), sparse.dims);
  const int64_t* index = sparse.indices.data<int64_t>();
  dispatch_by_size(dense.type(), [&]<class T>(std::type_identity<T>) {
    for (int64_t i = 0; i < count; ++i) {
      int64_t at = linear ? index[i] : 0;
      for (int64_t d = 0; d < rank && !linear; ++d) {
        const int64_t size = sparse.dims[static_cast<size_t>(d)], own = index[i * rank + d];
        require(own >= 0 && own < size, ErrorCode::invalid_model, "sparse index {} is out of range for {}",
                own, size);
        at = at * size + own;
      }
      require(at >= 0 && at < dense.size(), ErrorCode::invalid_model,
              "sparse index {} is out of range for {} elements", at, dense.size());
      static_cast<T*>(dense.mutable_raw())[at] = static_cast<const T*>(sparse.values.raw())[i];
    }
  });
  return dense;
}

Tensor constant_value(const Node& node) {
  require(node.attributes().size() == 1, ErrorCode::invalid_model, "a constant needs one value, it has {}",
          node.attributes().size());
  const Attribute& a = *node.attributes().begin();
  return std::visit(
      [&]<class T>(const T& value) -> Tensor {
        if constexpr (std::is_same_v<T, Tensor>) {
          return value;
        } else if constexpr (std::is_same_v<T, SparseTensor>) {
          return to_dense(value);
        } else if constexpr (std::is_same_v<T, float> || std::is_same_v<T, int64_t> ||
                             std::is_same_v<T, std::string>) {
          return Tensor::scalar(value);
        } else if constexpr (std::is_same_v<T, std::vector<float>> ||
                             std::is_same_v<T, std::vector<int64_t>> ||
                             std::is_same_v<T, std::vector<std::string>>) {
          return Tensor::of(value, {static_cast<int64_t>(value.size())});
        } else {
          fail(ErrorCode::invalid_model, "attribute {} is no value", quoted(a.name));
        }
      },
      a.value);
}

void infer_constant(InferContext& context) {
  const Tensor value = constant_value(context.node());
  require(value.defined(), ErrorCode::invalid_model, "the constant has no value");
  if (context.num_outputs() > 0) context.outputs()[0] = Facts::of(value);
}

void evaluate_constant(EvaluateContext& context) { context.share(0, constant_value(context.node())); }

// ---- ConstantOfShape

Tensor fill_value(const AttributeReader& attributes) {
  const Tensor* value = attributes.maybe_tensor("value");
  if (!value) return Tensor::scalar(0.0f);
  require(value->size() == 1, ErrorCode::invalid_model, "attribute 'value' has {} elements, it must have one",
          value->size());
  return *value;
}

void infer_constant_of_shape(InferContext& context) {
  std::optional<Shape> shape;
  if (const std::vector<Dim>* elements = context.input_elements(0)) {
    for (const Dim& d : *elements) {
      require(!d.is_known() || d.value() >= 0, ErrorCode::invalid_model, "a dimension of the shape is {}",
              d.value());
    }
    shape = Shape(*elements);
  } else if (const auto& input = context.input_shape(0);
             input && input->rank() == 1 && (*input)[0].is_known()) {
    constexpr int64_t kMostDims = 64;
    require((*input)[0].value() <= kMostDims, ErrorCode::limit, "a shape of {} dimensions",
            (*input)[0].value());
    shape = Shape(std::vector<Dim>(static_cast<size_t>((*input)[0].value())));
  }
  context.set_output(0, fill_value(context.attributes()).type(), std::move(shape));
}

void evaluate_constant_of_shape(EvaluateContext& context) {
  const Tensor value = fill_value(context.attributes());
  const auto dims = context.input(0).values<int64_t>();
  fill(context.allocate(0, value.type(), Dims(dims.begin(), dims.end())), value);
}

// ---- Range

// max(0, ceil((limit - start) / delta))
template <class T>
int64_t range_count(T start, T limit, T delta) {
  require(delta != 0, ErrorCode::invalid_argument, "the delta of a range is 0");
  if constexpr (std::is_integral_v<T>) {
    const __int128 span = static_cast<__int128>(limit) - start;
    const __int128 step = delta;
    if (span == 0 || (span < 0) != (step < 0)) return 0;
    const __int128 count = (span + step - (step < 0 ? -1 : 1)) / step;
    require(count <= std::numeric_limits<int64_t>::max(), ErrorCode::limit,
            "a range from {} to {} is too long", start, limit);
    return static_cast<int64_t>(count);
  } else {
    const double count = std::ceil((static_cast<double>(limit) - start) / delta);
    require(count < 0x1p53, ErrorCode::invalid_argument, "a range from {} to {} by {} has no length", start,
            limit, delta);
    return static_cast<int64_t>(std::max(count, 0.0));
  }
}

using RangeTypes = TypeList<int64_t, int32_t, int16_t, float, double, Float16, BFloat16>;

// Calls f(start, limit, delta), of the type they compute in and, first, of their own.
template <class F>
auto with_range(const Tensor& start, const Tensor& limit, const Tensor& delta, F&& f) {
  return dispatch<RangeTypes>(start.type(), [&]<class T>(std::type_identity<T> type) {
    using C = ComputeType<T>;
    return f(type, static_cast<C>(*start.data<T>()), static_cast<C>(*limit.data<T>()),
             static_cast<C>(*delta.data<T>()));
  });
}

int64_t range_count_of(const Tensor& start, const Tensor& limit, const Tensor& delta) {
  return with_range(start, limit, delta, [](auto, auto s, auto l, auto d) { return range_count(s, l, d); });
}

void infer_range(InferContext& context) {
  DataType type = DataType::undefined;
  for (int i = 0; i < 3; ++i) {
    const DataType own = context.input_type(i);
    require(type == DataType::undefined || own == DataType::undefined || own == type,
            ErrorCode::invalid_model, "the bounds have element types {} and {}", to_string(type),
            to_string(own));
    if (type == DataType::undefined) type = own;
    const auto& shape = context.input_shape(i);
    const auto dims = shape ? shape->known() : std::nullopt;
    require(!dims || checked_elements(*dims) == 1, ErrorCode::invalid_model,
            "input {} is of shape {}, it must be a scalar", i, shape ? to_string(*shape) : "");
  }
  Dim count;
  const Tensor *start = context.input_constant(0), *limit = context.input_constant(1),
               *delta = context.input_constant(2);
  const std::vector<Dim>* end = context.input_elements(1);
  if (start && limit && delta) {
    count = range_count_of(*start, *limit, *delta);
  } else if (context.input_ints(0) == std::vector<int64_t>{0} &&
             context.input_ints(2) == std::vector<int64_t>{1} && end && end->size() == 1) {
    if (const Dim& d = (*end)[0]; d.is_symbol()) count = d;
  }
  context.set_output(0, type, Shape{count});
}

void evaluate_range(EvaluateContext& context) {
  const Tensor &start = context.input(0), &limit = context.input(1), &delta = context.input(2);
  Tensor& out = context.allocate(0, start.type(), {range_count_of(start, limit, delta)});
  with_range(start, limit, delta, [&]<class T, class C>(std::type_identity<T>, C first, C, C step) {
    T* y = out.mutable_data<T>();
    for (int64_t i = 0; i < out.size(); ++i) {
      if constexpr (std::is_integral_v<T>) {
        y[i] = static_cast<T>(static_cast<uint64_t>(first) +
                              static_cast<uint64_t>(i) * static_cast<uint64_t>(step));
      } else {
        y[i] = static_cast<T>(static_cast<C>(first + static_cast<double>(i) * step));
      }
    }
  });
}

// ---- EyeLike

void infer_eye_like(InferContext& context) {
  DataType type = context.input_type(0);
  if (const auto number = context.attributes().maybe_i("dtype")) {
    const auto given = data_type_from_onnx(*number);
    require(given && (types::kNumeric | types::kBool).contains(*given), ErrorCode::invalid_model,
            "attribute 'dtype' is {}, which is no type for it", *number);
    type = *given;
  }
  const auto& shape = context.input_shape(0);
  require(!shape || shape->rank() == 2, ErrorCode::invalid_model, "the input is of rank {}, it must be 2",
          shape ? shape->rank() : 0);
  context.set_output(0, type, shape);
}

void evaluate_eye_like(EvaluateContext& context) {
  Tensor& out = context.output();
  const int64_t rows = out.dim(0), columns = out.dim(1), k = context.attributes().i("k");
  const Tensor one = cast_tensor(Tensor::scalar(int64_t{1}), out.type());
  fill(out, cast_tensor(Tensor::scalar(int64_t{0}), out.type()));
  if (k >= columns || k <= -rows) return;
  dispatch_by_size(out.type(), [&]<class T>(std::type_identity<T>) {
    T* y = static_cast<T*>(out.mutable_raw());
    for (int64_t row = std::max<int64_t>(0, -k); row < rows && row + k < columns; ++row) {
      y[row * columns + row + k] = *static_cast<const T*>(one.raw());
    }
  });
}

}  // namespace

std::vector<OpDef> generator_ops() {
  constexpr TypeSet kRangeTypes = types::kFloat | TypeSet{DataType::int16, DataType::int32, DataType::int64};
  const auto optional = [](std::string_view name, AttributeType type) {
    return AttributeDef{name, type, Optional{}};
  };
  const OpDef constant{.name = "Constant",
                       .min_inputs = 0,
                       .max_inputs = 0,
                       .infer = infer_constant,
                       .evaluate = evaluate_constant};
  const OpDef range{.name = "Range",
                    .min_inputs = 3,
                    .max_inputs = 3,
                    .input_types = {kRangeTypes},
                    .infer = infer_range,
                    .evaluate = evaluate_range};
  std::vector<OpDef> ops;
  ops.push_back(for_versions(constant, 1, 10, {{"value", AttributeType::tensor, Required{}}}));
  ops.push_back(for_versions(
      constant, 11, 11,
      {optional("value", AttributeType::tensor), optional("sparse_value", AttributeType::sparse_tensor)}));
  ops.push_back(for_versions(
      constant, 12, kLatestOpset,
      {optional("value", AttributeType::tensor), optional("sparse_value", AttributeType::sparse_tensor),
       optional("value_float", AttributeType::float_), optional("value_floats", AttributeType::floats),
       optional("value_int", AttributeType::int_), optional("value_ints", AttributeType::ints),
       optional("value_string", AttributeType::string), optional("value_strings", AttributeType::strings)}));
  ops.push_back({.name = "ConstantOfShape",
                 .since = 9,
                 .input_types = {types::kInt64},
                 .attributes = {optional("value", AttributeType::tensor)},
                 .infer = infer_constant_of_shape,
                 .evaluate = evaluate_constant_of_shape});
  ops.push_back(for_versions(range, 11, 26, {}));
  // Only for 16-bit floats, which always compute in float here.
  ops.push_back(for_versions(range, 27, kLatestOpset, {{"stash_type", AttributeType::int_, int64_t{1}}}));
  ops.push_back(
      {.name = "EyeLike",
       .since = 9,
       .input_types = {types::kNumeric | types::kBool},
       .attributes = {optional("dtype", AttributeType::int_), {"k", AttributeType::int_, int64_t{0}}},
       .infer = infer_eye_like,
       .evaluate = evaluate_eye_like});
  return ops;
}

}  // namespace plica
