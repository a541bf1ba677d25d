// CastMap, DictVectorizer and ZipMap: maps to tensors, and back. A map is a tensor of two tensors of rank 1,
// its keys and its values (engine/core/tensor.h).
#include <algorithm>
#include <numeric>

#include "engine/core/dispatch.h"
#include "engine/ops/cast.h"
#include "engine/ops/ml/class_labels.h"
#include "engine/ops/ml/lookup.h"
#include "engine/ops/ml/ml.h"

namespace plica::ml {
namespace {

const Tensor& keys_of(const Tensor& map) { return map.elements()[0]; }
const Tensor& values_of(const Tensor& map) { return map.elements()[1]; }

// The element types of a map's keys and values, as far as they are known.
struct MapTypes {
  DataType key = DataType::undefined, value = DataType::undefined;
};

MapTypes map_types(const Facts& facts) {
  if (facts.constant.defined()) {
    require(facts.constant.type() == DataType::map && facts.constant.size() == 2, ErrorCode::invalid_model,
            "the input is {}, it must be a map", to_string(facts.constant));
    return {keys_of(facts.constant).type(), values_of(facts.constant).type()};
  }
  const Type& type = facts.type;
  const bool maybe_map =
      type.kind == Type::Kind::map || type.kind == Type::Kind::unknown || type.element == DataType::map;
  require(maybe_map, ErrorCode::invalid_model, "the input is {}, it must be a map", to_string(type));
  return {type.key, type.inner ? type.inner->element : DataType::undefined};
}

// Throws invalid_argument when the tensor, which a caller may have made, is no map.
const Tensor& checked_map(const Tensor& map) {
  require(map.type() == DataType::map && map.size() == 2 && keys_of(map).size() == values_of(map).size(),
          ErrorCode::invalid_argument, "the input is {}, or has not as many values as keys", to_string(map));
  return map;
}

// ---- CastMap: the values in the order of their keys, or each at the place that its key says

DataType cast_map_type(const AttributeReader& attributes) {
  const std::string name = attributes.s("cast_to");
  if (name == "TO_FLOAT") return DataType::float32;
  if (name == "TO_STRING") return DataType::string;
  if (name == "TO_INT64") return DataType::int64;
  fail(ErrorCode::invalid_model, "cast_to is {}, it must be TO_FLOAT, TO_STRING or TO_INT64", quoted(name));
}

bool is_sparse(const AttributeReader& attributes) {
  const std::string name = attributes.s("map_form");
  require(name == "DENSE" || name == "SPARSE", ErrorCode::invalid_model,
          "map_form is {}, it must be DENSE or SPARSE", quoted(name));
  return name == "SPARSE";
}

void infer_cast_map(InferContext& context) {
  const MapTypes types = map_types(context.input(0));
  require(types.key == DataType::undefined || types.key == DataType::int64, ErrorCode::invalid_model,
          "the map's keys are of {}, they must be of int64", to_string(types.key));
  require(types.value == DataType::undefined || types.value == DataType::float32 ||
              types.value == DataType::string,
          ErrorCode::invalid_model, "the map's values are of {}", to_string(types.value));
  // A map makes one row.
  Dim length;
  if (is_sparse(context.attributes())) {
    const int64_t most = context.attributes().i("max_map");
    require(most > 0, ErrorCode::invalid_model, "max_map is {}", most);
    length = most;
  }
  context.set_output(0, cast_map_type(context.attributes()), Shape{1, length});
}

void evaluate_cast_map(EvaluateContext& context) {
  const Tensor& map = checked_map(context.input(0));
  const auto keys = keys_of(map).values<int64_t>();
  const Tensor values = cast_tensor(values_of(map), cast_map_type(context.attributes()));
  const bool sparse = is_sparse(context.attributes());
  const int64_t length = sparse ? context.attributes().i("max_map") : static_cast<int64_t>(keys.size());
  std::vector<size_t> order(keys.size());
  std::iota(order.begin(), order.end(), size_t{0});
  if (!sparse) std::ranges::stable_sort(order, {}, [&](size_t i) { return keys[i]; });
  Tensor& out = context.allocate(0, values.type(), {1, length});
  dispatch<TypeList<float, int64_t, std::string>>(values.type(), [&]<class T>(std::type_identity<T>) {
    const T* in = values.data<T>();
    T* to = out.mutable_data<T>();
    std::fill_n(to, length, T{});
    for (size_t place = 0; place < order.size(); ++place) {
      const int64_t key = keys[order[place]];
      require(!sparse || (key >= 0 && key < length), ErrorCode::invalid_argument,
              "the key {} is out of range for max_map {}", key, length);
      to[sparse ? static_cast<size_t>(key) : place] = in[order[place]];
    }
  });
}

// ---- DictVectorizer: y[0, i] = x[vocabulary[i]], or zero. Keys beyond the vocabulary are left out, as a
// vectorizer's training leaves features out that it has not seen; the output is one row, as other
// implementations have it.

struct DictVocabulary : Vocabulary {
  explicit DictVocabulary(const AttributeReader& attributes)
      : Vocabulary(attributes, "int64_vocabulary", "string_vocabulary", "the vocabulary") {}
};

void infer_dict_vectorizer(InferContext& context) {
  const auto& vocabulary = context.prepared<DictVocabulary>();
  const MapTypes types = map_types(context.input(0));
  require(types.key == DataType::undefined || types.key == vocabulary.type(), ErrorCode::invalid_model,
          "the map's keys are of {}, the vocabulary of {}", to_string(types.key),
          to_string(vocabulary.type()));
  context.set_output(0, types.value, Shape{1, vocabulary.size()});
}

template <class K>
void vectorize(const Tensor& map, const Vocabulary& vocabulary, Tensor& out) {
  const auto keys = keys_of(map).values<K>();
  dispatch<TypeList<int64_t, float, double, std::string>>(out.type(), [&]<class V>(std::type_identity<V>) {
    const V* values = values_of(map).template data<V>();
    V* to = out.mutable_data<V>();
    std::fill_n(to, out.size(), V{});
    for (size_t i = 0; i < keys.size(); ++i) {
      if (const int64_t place = vocabulary.find(keys[i]); place >= 0) to[place] = values[i];
    }
  });
}

void evaluate_dict_vectorizer(EvaluateContext& context) {
  const Tensor& map = checked_map(context.input(0));
  const auto& vocabulary = context.prepared<DictVocabulary>();
  Tensor& out = context.allocate(0, values_of(map).type(), {1, vocabulary.size()});
  if (vocabulary.type() == DataType::string) {
    vectorize<std::string>(map, vocabulary, out);
  } else {
    vectorize<int64_t>(map, vocabulary, out);
  }
}

// ---- ZipMap: a map for each row, from labels to the row's elements

struct ZipLabels : ClassLabels {
  explicit ZipLabels(const AttributeReader& attributes)
      : ClassLabels(attributes, "classlabels_int64s", "classlabels_strings") {}
};

void infer_zip_map(InferContext& context) {
  const auto& labels = context.prepared<ZipLabels>();
  const RowDims rows = infer_rows(context.input_shape(0));
  require(!rows.features.is_known() || rows.features.value() == static_cast<int64_t>(labels.size()),
          ErrorCode::invalid_model, "{} labels for rows of {}", labels.size(), to_string(rows.features));
  Type map;
  map.kind = Type::Kind::map;
  map.key = labels.type();
  map.inner = std::make_shared<const Type>(Type::tensor(DataType::float32));
  context.set_output(0, Type::sequence(std::move(map)));
}

void evaluate_zip_map(EvaluateContext& context) {
  const auto& labels = context.prepared<ZipLabels>();
  const Tensor& x = context.input(0);
  const Rows rows = rows_of(x.dims());
  std::vector<int32_t> all(labels.size());
  std::iota(all.begin(), all.end(), 0);
  Tensor keys(labels.type(), {rows.features});
  labels.write(all, keys);
  std::vector<Tensor> maps;
  maps.reserve(static_cast<size_t>(rows.count));
  for (int64_t r = 0; r < rows.count; ++r) {
    const auto row =
        x.values<float>().subspan(static_cast<size_t>(r * rows.features), static_cast<size_t>(rows.features));
    maps.push_back(Tensor::container(DataType::map, {keys, Tensor::of(row, {rows.features})}));
  }
  context.output() = Tensor::container(DataType::sequence, std::move(maps));
}

}  // namespace

std::vector<OpDef> map_ops() {
  return {{.name = "CastMap",
           .input_types = {types::kMap},
           .attributes = {{"cast_to", AttributeType::string, std::string_view("TO_FLOAT")},
                          {"map_form", AttributeType::string, std::string_view("DENSE")},
                          {"max_map", AttributeType::int_, int64_t{1}}},
           .infer = infer_cast_map,
           .evaluate = evaluate_cast_map},
          {.name = "DictVectorizer",
           .input_types = {types::kMap},
           .attributes = {ints("int64_vocabulary"), strings("string_vocabulary")},
           .infer = infer_dict_vectorizer,
           .evaluate = evaluate_dict_vectorizer,
           .prepare = prepare_as<DictVocabulary>},
          {.name = "ZipMap",
           .input_types = {{DataType::float32}},
           .attributes = {ints("classlabels_int64s"), strings("classlabels_strings")},
           .infer = infer_zip_map,
           .evaluate = evaluate_zip_map,
           .prepare = prepare_as<ZipLabels>}};
}

}  // namespace plica::ml
