// CategoryMapper and LabelEncoder: each element is looked up among keys and gives the value of the same
// place, or a default.
#include <algorithm>
#include <numeric>
#include <variant>

#include "engine/core/checked.h"
#include "engine/core/dispatch.h"
#include "engine/core/parallel.h"
#include "engine/ops/ml/lookup.h"
#include "engine/ops/ml/ml.h"

namespace plica::ml {
namespace {

using LabelTypes = TypeList<std::string, int64_t, float, int32_t, int16_t, double>;
constexpr TypeSet kLabelTypes = {DataType::string, DataType::int64, DataType::float32};

using AnyLookup = std::variant<Lookup<std::string>, Lookup<int64_t>, Lookup<float>, Lookup<int32_t>,
                               Lookup<int16_t>, Lookup<double>>;

// Keys and values are of rank 1 and of one length, the default has one element.
struct Mapping {
  Tensor keys;
  Tensor values;
  Tensor fallback;
  AnyLookup lookup;  // refers to the keys' strings

  Mapping(Tensor k, Tensor v, Tensor f)
      : keys(std::move(k)), values(std::move(v)), fallback(std::move(f)), lookup(lookup_of(keys)) {}

 private:
  static AnyLookup lookup_of(const Tensor& keys) {
    return dispatch<LabelTypes>(keys.type(), [&]<class K>(std::type_identity<K>) -> AnyLookup {
      return Lookup<K>(keys.values<K>());
    });
  }
};

template <class T>
Tensor one(T value) {
  return Tensor::of(std::vector<T>{std::move(value)}, {1});
}

template <class T>
Tensor list_of(const std::vector<T>& values) {
  return Tensor::of(values, {static_cast<int64_t>(values.size())});
}

// `prefix`_tensor, _strings, _int64s or _floats: exactly one of them, or of fewer where the version has
// fewer.
Tensor list_attribute(const AttributeReader& attributes, std::string_view prefix) {
  Tensor found;
  const auto take = [&](Tensor candidate) {
    // An empty list beside another one is as good as none.
    if (found.defined() && candidate.size() == 0) return;
    require(!found.defined() || found.size() == 0, ErrorCode::invalid_model,
            "there is more than one attribute {}_*", prefix);
    found = std::move(candidate);
  };
  const auto name = [&](std::string_view suffix) { return fmt::format("{}_{}", prefix, suffix); };
  if (attributes.defines(name("tensor"))) {
    if (const Tensor* t = attributes.maybe_tensor(name("tensor"))) {
      require(t->rank() == 1, ErrorCode::invalid_model, "{}_tensor has rank {}, it must be 1", prefix,
              t->rank());
      take(*t);
    }
  }
  if (attributes.has(name("strings"))) take(list_of(attributes.strings(name("strings"))));
  if (attributes.has(name("int64s"))) take(list_of(attributes.ints(name("int64s"))));
  if (attributes.has(name("floats"))) take(list_of(attributes.floats(name("floats"))));
  require(found.defined(), ErrorCode::invalid_model, "there is no attribute {}_*", prefix);
  return found;
}

Tensor default_of(const AttributeReader& attributes, DataType type) {
  if (attributes.defines("default_tensor")) {
    if (const Tensor* t = attributes.maybe_tensor("default_tensor")) {
      require(t->size() == 1 && t->type() == type, ErrorCode::invalid_model,
              "default_tensor is {}, it must be one element of {}", to_string(*t), to_string(type));
      return t->reshaped({1});
    }
  }
  switch (type) {
    case DataType::string:
      return one(attributes.s("default_string"));
    case DataType::int64:
      return one(attributes.i("default_int64"));
    case DataType::float32:
      return one(attributes.f("default_float"));
    case DataType::float64:
      return one(static_cast<double>(-0.0f));
    case DataType::int32:
      return one(int32_t{-1});
    case DataType::int16:
      return one(int16_t{-1});
    default:
      throw_type_unsupported(type);
  }
}

// Those that a node describes, each from keys of another type.
using Mappings = std::vector<Mapping>;

Mappings label_encoder_mapping(const AttributeReader& attributes) {
  Tensor keys = list_attribute(attributes, "keys"), values = list_attribute(attributes, "values");
  Tensor fallback = default_of(attributes, values.type());
  require(keys.size() == values.size(), ErrorCode::invalid_model, "{} keys, but {} values", keys.size(),
          values.size());
  Mappings mappings;
  mappings.emplace_back(std::move(keys), std::move(values), std::move(fallback));
  return mappings;
}

Mappings between(const AttributeReader& attributes, const Tensor& strings, const Tensor& ints) {
  Mappings mappings;
  mappings.emplace_back(strings, ints, one(attributes.i("default_int64")));
  mappings.emplace_back(ints, strings, one(attributes.s("default_string")));
  return mappings;
}

Mappings category_mapping(const AttributeReader& attributes) {
  const auto strings = attributes.strings("cats_strings");
  const auto ints = attributes.ints("cats_int64s");
  require(strings.size() == ints.size(), ErrorCode::invalid_model,
          "cats_strings has {} elements, cats_int64s {}, they must be parallel", strings.size(), ints.size());
  return between(attributes, list_of(strings), list_of(ints));
}

// Opset 1: the integers are the places of the strings.
Mappings class_mapping(const AttributeReader& attributes) {
  const auto strings = attributes.strings("classes_strings");
  std::vector<int64_t> places(strings.size());
  std::iota(places.begin(), places.end(), int64_t{0});
  return between(attributes, list_of(strings), list_of(places));
}

// What mappings_of makes of a node.
template <Mappings (*mappings_of)(const AttributeReader&)>
class Encoder {
 public:
  explicit Encoder(const AttributeReader& attributes) : mappings_(mappings_of(attributes)) {}

  const Mapping& from(DataType type) const {
    const auto it = std::ranges::find(mappings_, type, [](const Mapping& m) { return m.keys.type(); });
    require(it != mappings_.end(), ErrorCode::invalid_model, "the keys are of type {}, the input {}",
            to_string(mappings_.front().keys.type()), to_string(type));
    return *it;
  }

 private:
  Mappings mappings_;
};

template <Mappings (*mappings_of)(const AttributeReader&)>
void infer_mapping(InferContext& context) {
  const DataType type = context.input_type(0);
  if (type == DataType::undefined) return context.set_output(0, DataType::undefined, context.input_shape(0));
  const Mapping& m = context.prepared<Encoder<mappings_of>>().from(type);
  context.set_output(0, m.values.type(), context.input_shape(0));
}

template <Mappings (*mappings_of)(const AttributeReader&)>
void evaluate_mapping(EvaluateContext& context) {
  const Tensor& x = context.input(0);
  const Mapping& m = context.prepared<Encoder<mappings_of>>().from(x.type());
  std::vector<int64_t> places(static_cast<size_t>(x.size()));
  std::visit(
      [&]<class K>(const Lookup<K>& lookup) {
        const K* in = x.data<K>();
        parallel_for(x.size(), 4096, [&, in](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) places[static_cast<size_t>(i)] = lookup.find(in[i]);
        });
      },
      m.lookup);
  dispatch<LabelTypes>(m.values.type(), [&]<class V>(std::type_identity<V>) {
    const V *values = m.values.data<V>(), *fallback = m.fallback.data<V>();
    V* out = context.output().mutable_data<V>();
    for (const int64_t place : places) *out++ = place < 0 ? *fallback : values[place];
  });
}

template <Mappings (*mappings_of)(const AttributeReader&)>
OpDef mapping_op(std::string_view name, TypeSet input, std::vector<AttributeDef> attributes) {
  return {.name = name,
          .input_types = {input},
          .attributes = std::move(attributes),
          .infer = infer_mapping<mappings_of>,
          .evaluate = evaluate_mapping<mappings_of>,
          .prepare = prepare_as<Encoder<mappings_of>>};
}

}  // namespace

std::vector<OpDef> label_ops() {
  const AttributeDef default_string{"default_string", AttributeType::string, std::string_view("_Unused")},
      default_int64{"default_int64", AttributeType::int_, int64_t{-1}},
      default_float{"default_float", AttributeType::float_, -0.0f};
  const TypeSet first = {DataType::string, DataType::int64};
  const std::vector<AttributeDef> lists = {default_string,
                                           default_int64,
                                           default_float,
                                           strings("keys_strings"),
                                           ints("keys_int64s"),
                                           floats("keys_floats"),
                                           strings("values_strings"),
                                           ints("values_int64s"),
                                           floats("values_floats")};
  std::vector<AttributeDef> with_tensors = lists;
  for (const std::string_view name : {"keys_tensor", "values_tensor", "default_tensor"})
    with_tensors.push_back({name, AttributeType::tensor, Optional{}});
  const TypeSet fourth = kLabelTypes | TypeSet{DataType::int32, DataType::int16, DataType::float64};
  return {mapping_op<category_mapping>(
              "CategoryMapper", first,
              {strings("cats_strings"), ints("cats_int64s"), default_string, default_int64}),
          for_versions(mapping_op<class_mapping>("LabelEncoder", first, {}), 1, 1,
                       {strings("classes_strings"), default_string, default_int64}),
          for_versions(mapping_op<label_encoder_mapping>("LabelEncoder", kLabelTypes, {}), 2, 3, lists),
          for_versions(mapping_op<label_encoder_mapping>("LabelEncoder", fourth, {}), 4, kLatestOpset,
                       with_tensors)};
}

}  // namespace plica::ml
