// What the operators of the domain ai.onnx.ml share, and the parts of their table (ml.cpp).
// https://onnx.ai/onnx/operators/index.html#ai-onnx-ml
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/core/fail.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/op_def.h"

namespace plica::ml {

inline constexpr std::string_view kDomain = "ai.onnx.ml";
inline constexpr TypeSet kNumbers = {DataType::float32, DataType::float64, DataType::int64, DataType::int32};

// ---- the parts of the family, each in a file of its own name
std::vector<OpDef> scaling_ops();         // Binarizer, Imputer, Normalizer, Scaler
std::vector<OpDef> feature_ops();         // ArrayFeatureExtractor, FeatureVectorizer, OneHotEncoder
std::vector<OpDef> label_ops();           // CategoryMapper, LabelEncoder
std::vector<OpDef> map_ops();             // CastMap, DictVectorizer, ZipMap
std::vector<OpDef> linear_model_ops();    // LinearClassifier, LinearRegressor
std::vector<OpDef> support_vector_ops();  // SVMClassifier, SVMRegressor
std::vector<OpDef> tree_ensemble_ops();   // TreeEnsemble, TreeEnsembleClassifier, TreeEnsembleRegressor

// ---- attributes; lists that are left out are empty
inline AttributeDef ints(std::string_view name) {
  return {name, AttributeType::ints, std::vector<int64_t>{}};
}
inline AttributeDef floats(std::string_view name) {
  return {name, AttributeType::floats, std::vector<float>{}};
}
inline AttributeDef strings(std::string_view name) {
  return {name, AttributeType::strings, std::vector<std::string>{}};
}

// ---- a batch: rows of features; a vector is a single row
struct Rows {
  int64_t count;
  int64_t features;
};

inline Rows rows_of(const Dims& dims) { return dims.size() == 1 ? Rows{1, dims[0]} : Rows{dims[0], dims[1]}; }

// The number of rows, and of features, of an input as far as they are known. Throws invalid_model when it is
// neither a vector nor a matrix.
struct RowDims {
  Dim count;
  Dim features;
};

inline RowDims infer_rows(const std::optional<Shape>& shape) {
  if (!shape) return {};
  require(shape->rank() == 1 || shape->rank() == 2, ErrorCode::invalid_model,
          "the input has rank {}, it must be a vector or a matrix", shape->rank());
  return shape->rank() == 1 ? RowDims{1, (*shape)[0]} : RowDims{(*shape)[0], (*shape)[1]};
}

// Throws invalid_model when the rows are known not to have as many features as the model.
inline void require_features(const Dim& features, int64_t expected) {
  require(!features.is_known() || features.value() == expected, ErrorCode::invalid_model,
          "rows of {} features, the model has {}", features.is_known() ? features.value() : 0, expected);
}

}  // namespace plica::ml
