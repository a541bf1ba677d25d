// Scalers, encoders and maps of ai.onnx.ml.
#include "tests/engine/ops/op_test.h"

namespace plica::test {
namespace {

Tensor run_ml(const std::string& op, int64_t opset, const std::vector<Tensor>& inputs,
              const NamedAttributes& attributes = {}) {
  return run(op, opset, inputs, attributes, "ai.onnx.ml");
}

std::string type_ml(const std::string& op, const std::vector<Facts>& inputs,
                    const NamedAttributes& attributes = {}, int64_t opset = 1) {
  return inferred_type(op, opset, inputs, attributes, "ai.onnx.ml");
}

Tensor texts(Dims dims, const std::vector<std::string>& values) {
  return Tensor::of(values, std::move(dims));
}
using Floats = std::vector<float>;
using Ints = std::vector<int64_t>;
using Strings = std::vector<std::string>;

TEST(Ml, BinarizerComparesWithTheThreshold) {
  const Tensor x = floats({4}, {0.5, 0.6, -1, kNan});
  EXPECT_TENSOR(run_ml("Binarizer", 1, {x}, {{"threshold", 0.5f}}), floats({4}, {0, 1, 0, 0}));
  EXPECT_TENSOR(run_ml("Binarizer", 1, {ints({2}, {0, 1})}), ints({2}, {0, 1}));
  EXPECT_EQ(type_ml("Binarizer", {typed(DataType::float64, Shape{symbol("N"), 2})}), "float64[N, 2]");
}

TEST(Ml, ImputerReplacesByFeature) {
  const Tensor x = floats({2, 2}, {kNan, 1, 2, kNan});
  const NamedAttributes nan = {{"imputed_value_floats", Floats{7, 8}}, {"replaced_value_float", kNan}};
  EXPECT_TENSOR(run_ml("Imputer", 1, {x}, nan), floats({2, 2}, {7, 1, 2, 8}));
  EXPECT_TENSOR(run_ml("Imputer", 1, {floats({3}, {0, 1, 0})}, {{"imputed_value_floats", Floats{5}}}),
                floats({3}, {5, 1, 5}));
  const NamedAttributes one = {{"imputed_value_int64s", Ints{9}}, {"replaced_value_int64", int64_t{1}}};
  EXPECT_TENSOR(run_ml("Imputer", 1, {ints({3}, {1, 2, 1})}, one), ints({3}, {9, 2, 9}));
  expect_error(
      [&] {
        run_ml("Imputer", 1, {floats({1, 3}, {1, 2, 3})}, nan);
      },
      ErrorCode::invalid_model, "2 values for 3 features");
  expect_error([&] { run_ml("Imputer", 1, {ints({1}, {1})}, nan); }, ErrorCode::invalid_model,
               "imputed_value_int64s is missing");
  const Tensor small = Tensor::vector<int32_t>({0});
  expect_error(
      [&] {
        run_ml("Imputer", 1, {small}, {{"imputed_value_int64s", Ints{int64_t{1} << 40}}});
      },
      ErrorCode::invalid_model, "does not fit int32");
}

TEST(Ml, NormalizerDividesRows) {
  const Tensor x = floats({3, 2}, {3, -4, 0, 0, 1, 1});
  EXPECT_TENSOR(run_ml("Normalizer", 1, {x}), floats({3, 2}, {1, -4 / 3., 0, 0, 1, 1}));
  EXPECT_TENSOR(run_ml("Normalizer", 1, {x}, {{"norm", std::string("L1")}}),
                floats({3, 2}, {3 / 7., -4 / 7., 0, 0, .5, .5}));
  EXPECT_TENSOR(run_ml("Normalizer", 1, {x}, {{"norm", std::string("L2")}}),
                floats({3, 2}, {.6, -.8, 0, 0, std::sqrt(.5), std::sqrt(.5)}));
  EXPECT_TENSOR(run_ml("Normalizer", 1, {ints({2}, {2, 8})}), floats({2}, {.25, 1}));
  EXPECT_TENSOR(run_ml("Normalizer", 1, {floats({0, 2}, {})}), floats({0, 2}, {}));
  expect_error(
      [&] {
        run_ml("Normalizer", 1, {x}, {{"norm", std::string("L3")}});
      },
      ErrorCode::invalid_model, "norm");
}

TEST(Ml, ScalerShiftsAndScales) {
  const Tensor x = floats({2, 3}, {1, 2, 3, 4, 5, 6});
  const NamedAttributes each = {{"offset", Floats{1, 0, 2}}, {"scale", Floats{2}}};
  EXPECT_TENSOR(run_ml("Scaler", 1, {x}, each), floats({2, 3}, {0, 4, 2, 6, 10, 8}));
  expect_error(
      [&] {
        run_ml("Scaler", 1, {floats({1, 2}, {1, 2})}, each);
      },
      ErrorCode::invalid_model, "3 values for 2 features");
  expect_error([&] { run_ml("Scaler", 1, {x}); }, ErrorCode::invalid_model, "offset is missing");
}

TEST(Ml, ArrayFeatureExtractorTakesColumns) {
  const Tensor x = floats({2, 3}, {1, 2, 3, 4, 5, 6});
  EXPECT_TENSOR(run_ml("ArrayFeatureExtractor", 1, {x, ints({1, 2}, {2, 0})}), floats({2, 2}, {3, 1, 6, 4}));
  // A vector is a row.
  EXPECT_TENSOR(run_ml("ArrayFeatureExtractor", 1, {texts({2}, {"a", "b"}), ints({1}, {1})}),
                texts({1, 1}, {"b"}));
  expect_error(
      [&] {
        run_ml("ArrayFeatureExtractor", 1, {x, ints({1}, {3})});
      },
      ErrorCode::invalid_argument, "index 3 is out of range");
  EXPECT_EQ(type_ml("ArrayFeatureExtractor", {typed(DataType::string, Shape{symbol("N"), 4}),
                                              typed(DataType::int64, Shape{1, symbol("K")})}),
            "string[N, K]");
}

TEST(Ml, FeatureVectorizerCutsAndFills) {
  const Tensor a = floats({2, 2}, {1, 2, 3, 4}), b = ints({2, 1}, {5, 6});
  EXPECT_TENSOR(run_ml("FeatureVectorizer", 1, {a, b}, {{"inputdimensions", Ints{1, 2}}}),
                floats({2, 3}, {1, 5, 0, 3, 6, 0}));
  EXPECT_TENSOR(run_ml("FeatureVectorizer", 1, {a, b}), floats({2, 3}, {1, 2, 5, 3, 4, 6}));
  expect_error(
      [&] {
        run_ml("FeatureVectorizer", 1, {a, b}, {{"inputdimensions", Ints{2}}});
      },
      ErrorCode::invalid_model, "1 numbers for 2 inputs");
  expect_error(
      [&] {
        run_ml("FeatureVectorizer", 1, {a, ints({3, 1}, {1, 2, 3})});
      },
      ErrorCode::invalid_model, "differ");
}

TEST(Ml, OneHotEncoderKnowsItsCategories) {
  const NamedAttributes numbers = {{"cats_int64s", Ints{4, 7}}};
  EXPECT_TENSOR(run_ml("OneHotEncoder", 1, {floats({3}, {7, 4.9, 1})}, numbers),
                floats({3, 2}, {0, 1, 1, 0, 0, 0}));
  const NamedAttributes strict = {{"cats_strings", Strings{"a", "b"}}, {"zeros", int64_t{0}}};
  EXPECT_TENSOR(run_ml("OneHotEncoder", 1, {texts({1, 1}, {"b"})}, strict), floats({1, 1, 2}, {0, 1}));
  expect_error([&] { run_ml("OneHotEncoder", 1, {texts({1}, {"c"})}, strict); }, ErrorCode::invalid_argument,
               "no category");
  expect_error([&] { run_ml("OneHotEncoder", 1, {texts({1}, {"c"})}, numbers); }, ErrorCode::invalid_model,
               "the categories are integers");
}

TEST(Ml, CategoryMapperMapsBothWays) {
  const NamedAttributes pairs = {{"cats_strings", Strings{"x", "y"}}, {"cats_int64s", Ints{10, 20}}};
  EXPECT_TENSOR(run_ml("CategoryMapper", 1, {texts({2}, {"y", "?"})}, pairs), ints({2}, {20, -1}));
  EXPECT_TENSOR(run_ml("CategoryMapper", 1, {ints({2}, {10, 0})}, pairs), texts({2}, {"x", "_Unused"}));
  expect_error(
      [&] {
        run_ml("CategoryMapper", 1, {ints({1}, {0})}, {{"cats_strings", Strings{"x"}}});
      },
      ErrorCode::invalid_model, "parallel");
}

TEST(Ml, LabelEncoderOfEachVersion) {
  const NamedAttributes first = {{"classes_strings", Strings{"x", "y"}}};
  EXPECT_TENSOR(run_ml("LabelEncoder", 1, {texts({2}, {"y", "?"})}, first), ints({2}, {1, -1}));
  EXPECT_TENSOR(run_ml("LabelEncoder", 1, {ints({2}, {0, 2})}, first), texts({2}, {"x", "_Unused"}));
  const NamedAttributes second = {{"keys_floats", Floats{kNan, 0}},
                                  {"values_strings", Strings{"nan", "zero"}}};
  EXPECT_TENSOR(run_ml("LabelEncoder", 2, {floats({3}, {-0., kNan, 1})}, second),
                texts({3}, {"zero", "nan", "_Unused"}));
  const NamedAttributes fourth = {{"keys_tensor", Tensor::vector<int16_t>({1, 2, 1})},
                                  {"values_tensor", Tensor::vector<double>({.5, 1.5, 2.5})},
                                  {"default_tensor", Tensor::scalar(-1.0)}};
  // The last of equal keys counts.
  EXPECT_TENSOR(run_ml("LabelEncoder", 4, {Tensor::vector<int16_t>({1, 2, 3})}, fourth),
                Tensor::vector<double>({2.5, 1.5, -1}));
  expect_error([&] { run_ml("LabelEncoder", 2, {ints({1}, {1})}, fourth); }, ErrorCode::invalid_model,
               "keys_tensor");
  expect_error([&] { run_ml("LabelEncoder", 4, {ints({1}, {1})}, fourth); }, ErrorCode::invalid_model,
               "the keys are of type int16, the input int64");
  expect_error(
      [&] {
        run_ml("LabelEncoder", 2, {ints({1}, {1})},
               {{"keys_int64s", Ints{1, 2}}, {"values_int64s", Ints{1}}});
      },
      ErrorCode::invalid_model, "2 keys, but 1 values");
  EXPECT_EQ(type_ml("LabelEncoder", {typed(DataType::float32, Shape{symbol("N")})}, second, 2), "string[N]");
}

Tensor map_of(Tensor keys, Tensor values) {
  return Tensor::container(DataType::map, {std::move(keys), std::move(values)});
}

TEST(Ml, CastMapOrdersByKey) {
  const Tensor map = map_of(Tensor::vector<int64_t>({3, 1}), Tensor::vector({1.5f, 2.5f}));
  EXPECT_TENSOR(run_ml("CastMap", 1, {map}), floats({1, 2}, {2.5, 1.5}));
  EXPECT_TENSOR(run_ml("CastMap", 1, {map}, {{"cast_to", std::string("TO_INT64")}}), ints({1, 2}, {2, 1}));
  const NamedAttributes sparse = {{"map_form", std::string("SPARSE")}, {"max_map", int64_t{5}}};
  EXPECT_TENSOR(run_ml("CastMap", 1, {map}, sparse), floats({1, 5}, {0, 2.5, 0, 1.5, 0}));
  const NamedAttributes narrow = {{"map_form", std::string("SPARSE")}, {"max_map", int64_t{3}}};
  expect_error([&] { run_ml("CastMap", 1, {map}, narrow); }, ErrorCode::invalid_argument, "out of range");
  const Tensor words = map_of(Tensor::vector<int64_t>({2}), texts({1}, {"12"}));
  EXPECT_TENSOR(run_ml("CastMap", 1, {words}, {{"cast_to", std::string("TO_INT64")}}), ints({1, 1}, {12}));
  expect_error([&] { run_ml("CastMap", 1, {map_of(texts({1}, {"k"}), texts({1}, {"v"}))}); },
               ErrorCode::invalid_model, "keys");
}

TEST(Ml, DictVectorizerFollowsItsVocabulary) {
  const Tensor map = map_of(texts({3}, {"c", "a", "unseen"}), Tensor::vector<double>({3, 1, 9}));
  EXPECT_TENSOR(run_ml("DictVectorizer", 1, {map}, {{"string_vocabulary", Strings{"a", "b", "c"}}}),
                tensor(DataType::float64, {1, 3}, {1, 0, 3}));
  expect_error(
      [&] {
        run_ml("DictVectorizer", 1, {map}, {{"int64_vocabulary", Ints{1}}});
      },
      ErrorCode::invalid_model, "the vocabulary of int64");
  expect_error([&] { run_ml("DictVectorizer", 1, {map}); }, ErrorCode::invalid_model, "vocabulary");
}

TEST(Ml, ZipMapGivesAMapForEachRow) {
  const NamedAttributes labels = {{"classlabels_strings", Strings{"a", "b"}}};
  const Tensor maps = run_ml("ZipMap", 1, {floats({2, 2}, {1, 2, 3, 4})}, labels);
  ASSERT_EQ(maps.type(), DataType::sequence);
  ASSERT_EQ(maps.size(), 2);
  const Tensor& second = maps.elements()[1];
  ASSERT_EQ(second.type(), DataType::map);
  EXPECT_TENSOR(second.elements()[0], texts({2}, {"a", "b"}));
  EXPECT_TENSOR(second.elements()[1], floats({2}, {3, 4}));
  EXPECT_EQ(run_ml("ZipMap", 1, {floats({0, 2}, {})}, labels).size(), 0);
  const Type type =
      infer("ZipMap", 1, {typed(DataType::float32, Shape{symbol("N"), 2})}, labels, "ai.onnx.ml").type;
  ASSERT_EQ(type.kind, Type::Kind::sequence);
  EXPECT_EQ(type.inner->kind, Type::Kind::map);
  EXPECT_EQ(type.inner->key, DataType::string);
  EXPECT_EQ(type.inner->inner->element, DataType::float32);
  expect_error(
      [&] {
        run_ml("ZipMap", 1, {floats({1, 3}, {1, 2, 3})}, labels);
      },
      ErrorCode::invalid_model, "2 labels for rows of 3");
}

}  // namespace
}  // namespace plica::test
