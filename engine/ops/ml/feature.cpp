// ArrayFeatureExtractor, FeatureVectorizer and OneHotEncoder: features chosen, joined, and spread over
// categories.
#include <algorithm>

#include "engine/core/checked.h"
#include "engine/core/dispatch.h"
#include "engine/core/parallel.h"
#include "engine/ops/cast.h"
#include "engine/ops/ml/lookup.h"
#include "engine/ops/ml/ml.h"

namespace plica::ml {
namespace {

// ---- ArrayFeatureExtractor: z[..., i] = x[..., y[i]]

void infer_array_feature_extractor(InferContext& context) {
  const auto &x = context.input_shape(0), &y = context.input_shape(1);
  std::optional<Shape> shape;
  if (x) {
    require(x->rank() > 0, ErrorCode::invalid_model, "a scalar has no features");
    // A vector is a row: the output has rank 2, as other implementations have it.
    shape = x->rank() == 1 ? Shape{1} : Shape(std::vector<Dim>(x->begin(), x->end() - 1));
    Dim count;
    if (y) {
      count = 1;
      for (const Dim& d : *y) count = multiply(count, d);
    }
    shape->push_back(count);
  }
  context.set_output(0, context.input_type(0), std::move(shape));
}

void evaluate_array_feature_extractor(EvaluateContext& context) {
  const Tensor& x = context.input(0);
  const auto indices = context.input(1).values<int64_t>();
  const int64_t length = x.dim(-1), rows = length == 0 ? 0 : x.size() / length;
  const auto count = static_cast<int64_t>(indices.size());
  for (const int64_t i : indices) {
    require(i >= 0 && i < length, ErrorCode::invalid_argument, "index {} is out of range for {} features", i,
            length);
  }
  Tensor& out = context.output();
  dispatch_by_size(x.type(), [&]<class T>(std::type_identity<T>) {
    const T* from = static_cast<const T*>(x.raw());
    T* to = static_cast<T*>(out.mutable_raw());
    parallel_for(rows, 16384 / std::max<int64_t>(1, count) + 1, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        for (int64_t i = 0; i < count; ++i) {
          to[r * count + i] = from[r * length + indices[static_cast<size_t>(i)]];
        }
      }
    });
  });
}

// ---- FeatureVectorizer: the columns of all inputs side by side, each cut or filled with zeros to its given
// width

// The width of input i in the output.
Dim width_of(const std::vector<int64_t>& widths, int i, const Dim& features) {
  return widths.empty() ? features : Dim(widths[static_cast<size_t>(i)]);
}

void infer_feature_vectorizer(InferContext& context) {
  const auto widths = context.attributes().ints("inputdimensions");
  require(widths.empty() || static_cast<int>(widths.size()) == context.num_inputs(), ErrorCode::invalid_model,
          "inputdimensions has {} numbers for {} inputs", widths.size(), context.num_inputs());
  Dim rows, columns = 0;
  for (int i = 0; i < context.num_inputs(); ++i) {
    const RowDims dims = infer_rows(context.input_shape(i));
    const Dim width = width_of(widths, i, dims.features);
    require(!width.is_known() || width.value() >= 0, ErrorCode::invalid_model,
            "inputdimensions has a negative number");
    rows = merge(rows, dims.count);
    columns = add(columns, width);
  }
  context.set_output(0, DataType::float32, Shape{rows, columns});
}

void evaluate_feature_vectorizer(EvaluateContext& context) {
  const auto widths = context.attributes().ints("inputdimensions");
  Tensor& out = context.output();
  const int64_t columns = out.dim(1);
  float* to = out.mutable_data<float>();
  for (int i = 0; i < context.num_inputs(); ++i) {
    const Tensor x = cast_tensor(context.input(i), DataType::float32);
    const Rows rows = rows_of(x.dims());
    const int64_t width = width_of(widths, i, rows.features).value(), kept = std::min(width, rows.features);
    for (int64_t r = 0; r < rows.count; ++r) {
      float* cells = to + r * columns;
      std::copy_n(x.data<float>() + r * rows.features, kept, cells);
      std::fill(cells + kept, cells + width, 0.0f);
    }
    to += width;
  }
}

// ---- OneHotEncoder: y[..., c] = x[...] is category c

struct Categories : Vocabulary {
  explicit Categories(const AttributeReader& attributes)
      : Vocabulary(attributes, "cats_int64s", "cats_strings", "categories") {}
};

void infer_one_hot_encoder(InferContext& context) {
  const auto& categories = context.prepared<Categories>();
  const DataType type = context.input_type(0);
  const bool of_strings = categories.type() == DataType::string;
  require(type == DataType::undefined || (type == DataType::string) == of_strings, ErrorCode::invalid_model,
          "the categories are {}, the input is of type {}", of_strings ? "strings" : "integers",
          to_string(type));
  std::optional<Shape> shape = context.input_shape(0);
  if (shape) shape->push_back(categories.size());
  context.set_output(0, DataType::float32, std::move(shape));
}

template <class T>
void encode_one_hot(const Tensor& x, const Vocabulary& categories, bool zeros, Tensor& out) {
  float* to = out.mutable_data<float>();
  std::fill_n(to, out.size(), 0.0f);
  for (const T& value : x.values<T>()) {
    const int64_t place = categories.find(value);
    require(place >= 0 || zeros, ErrorCode::invalid_argument,
            "the input has an element that is no category, and zeros is 0");
    if (place >= 0) to[place] = 1;
    to += categories.size();
  }
}

void evaluate_one_hot_encoder(EvaluateContext& context) {
  const Tensor& x = context.input(0);
  const auto& categories = context.prepared<Categories>();
  const bool zeros = context.attributes().i("zeros") != 0;
  if (x.type() == DataType::string) {
    encode_one_hot<std::string>(x, categories, zeros, context.output());
  } else {
    encode_one_hot<int64_t>(cast_tensor(x, DataType::int64), categories, zeros, context.output());
  }
}

}  // namespace

std::vector<OpDef> feature_ops() {
  return {{.name = "ArrayFeatureExtractor",
           .min_inputs = 2,
           .max_inputs = 2,
           .input_types = {kNumbers | types::kString, types::kInt64},
           .infer = infer_array_feature_extractor,
           .evaluate = evaluate_array_feature_extractor},
          {.name = "FeatureVectorizer",
           .max_inputs = kUnlimited,
           .input_types = {kNumbers},
           .attributes = {ints("inputdimensions")},
           .infer = infer_feature_vectorizer,
           .evaluate = evaluate_feature_vectorizer},
          {.name = "OneHotEncoder",
           .input_types = {kNumbers | types::kString},
           .attributes = {ints("cats_int64s"),
                          strings("cats_strings"),
                          {"zeros", AttributeType::int_, int64_t{1}}},
           .infer = infer_one_hot_encoder,
           .evaluate = evaluate_one_hot_encoder,
           .prepare = prepare_as<Categories>}};
}

}  // namespace plica::ml
