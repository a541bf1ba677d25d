// Cast, CastLike, BitCast, and the tests for special values IsNaN and IsInf.
#include <array>
#include <cmath>

#include "engine/core/fail.h"
#include "engine/ops/cast.h"
#include "engine/ops/elementwise.h"

namespace plica {
namespace {

constexpr TypeSet kCastable =
    types::kNumeric | types::kBool | types::kString | types::kFloat8 | types::kPacked;

DataType castable(DataType type) {
  require(kCastable.contains(type), ErrorCode::invalid_model, "a cast to {} is not possible",
          to_string(type));
  return type;
}

// Opset 1 to 5 wrote the type's name in TensorProto.DataType.
DataType type_from_name(const std::string& name) {
  struct Name {
    std::string_view name;
    DataType type;
  };
  static constexpr std::array kNames = {
      Name{"FLOAT", DataType::float32},   Name{"UINT8", DataType::uint8},    Name{"INT8", DataType::int8},
      Name{"UINT16", DataType::uint16},   Name{"INT16", DataType::int16},    Name{"INT32", DataType::int32},
      Name{"INT64", DataType::int64},     Name{"STRING", DataType::string},  Name{"BOOL", DataType::boolean},
      Name{"FLOAT16", DataType::float16}, Name{"DOUBLE", DataType::float64}, Name{"UINT32", DataType::uint32},
      Name{"UINT64", DataType::uint64},
  };
  for (const Name& n : kNames) {
    if (n.name == name) return n.type;
  }
  fail(ErrorCode::invalid_model, "attribute 'to' is {}, which is no element type", quoted(name));
}

DataType type_from_number(int64_t number) {
  const auto type = data_type_from_onnx(number);
  require(type.has_value(), ErrorCode::invalid_model, "attribute 'to' is {}, which is no element type",
          number);
  return *type;
}

DataType cast_target(const AttributeReader& attributes, const OpDef& def) {
  return castable(def.until <= 5 ? type_from_name(attributes.s("to")) : type_from_number(attributes.i("to")));
}

CastOptions cast_options(const AttributeReader& attributes, const OpDef& def) {
  CastOptions options;
  if (def.since >= 19) options.saturate = attributes.i("saturate") != 0;
  if (def.since >= 24) {
    const std::string mode = attributes.s("round_mode");
    if (mode == "down") {
      options.rounding = E8M0Rounding::down;
    } else if (mode == "nearest") {
      options.rounding = E8M0Rounding::nearest;
    } else {
      require(mode == "up", ErrorCode::invalid_model, "round_mode is {}, it must be up, down or nearest",
              quoted(mode));
    }
  }
  return options;
}

void infer_cast_to(InferContext& context, DataType type) {
  cast_options(context.attributes(), context.def());
  context.set_output(0, type, context.input_shape(0));
  const std::vector<Dim>* elements = context.input_elements(0);
  if (!elements) return;
  if (type == DataType::int64) {
    context.set_output_elements(0, *elements);
  } else if (type == DataType::int32) {
    std::vector<Dim> fitting = *elements;
    for (Dim& d : fitting) {
      if (d.is_known() && d.value() != static_cast<int32_t>(d.value())) d = Dim();
    }
    context.set_output_elements(0, std::move(fitting));
  }
}

void infer_cast(InferContext& context) {
  infer_cast_to(context, cast_target(context.attributes(), context.def()));
}

void infer_cast_like(InferContext& context) {
  const DataType type = context.input_type(1);
  infer_cast_to(context, type == DataType::undefined ? type : castable(type));
}

void evaluate_cast(EvaluateContext& context) {
  const Tensor& in = context.input(0);
  if (in.type() == context.output().type()) return context.share(0, in);
  cast_elements(in, context.output(), cast_options(context.attributes(), context.def()));
}

void infer_bit_cast(InferContext& context) {
  const DataType to = type_from_number(context.attributes().i("to"));
  const DataType from = context.input_type(0);
  require(from == DataType::undefined || bits_of(from) == bits_of(to), ErrorCode::invalid_model,
          "{} cannot be read as {}: their sizes differ", to_string(from), to_string(to));
  require(to != DataType::string, ErrorCode::invalid_model, "bits cannot be read as strings");
  context.set_output(0, to, context.input_shape(0));
}

void evaluate_bit_cast(EvaluateContext& context) {
  const Tensor& in = context.input(0);
  std::copy_n(static_cast<const std::byte*>(in.raw()), in.bytes(),
              static_cast<std::byte*>(context.output().mutable_raw()));
}

// ---- IsNaN, IsInf

template <class Test>
void test_elements(EvaluateContext& context, const Test& test) {
  const Tensor& in = context.input(0);
  // All but double are exact in float.
  const Tensor wide = in.type() == DataType::float64 ? in : cast_tensor(in, DataType::float32);
  bool* out = context.output().mutable_data<bool>();
  dispatch<TypeList<float, double>>(wide.type(), [&]<class T>(std::type_identity<T>) {
    const T* x = wide.data<T>();
    for (int64_t i = 0; i < wide.size(); ++i) out[i] = test(x[i]);
  });
}

void infer_test(InferContext& context) { context.set_output(0, DataType::boolean, context.input_shape(0)); }

void evaluate_is_nan(EvaluateContext& context) {
  test_elements(context, [](auto x) { return std::isnan(x); });
}

void evaluate_is_inf(EvaluateContext& context) {
  const bool negative = context.attributes().i("detect_negative") != 0;
  const bool positive = context.attributes().i("detect_positive") != 0;
  test_elements(context, [=](auto x) { return std::isinf(x) && (x < 0 ? negative : positive); });
}

}  // namespace

std::vector<OpDef> cast_ops() {
  const AttributeDef to{"to", AttributeType::int_, Required{}};
  const AttributeDef saturate{"saturate", AttributeType::int_, int64_t{1}};
  const AttributeDef round_mode{"round_mode", AttributeType::string, std::string_view("up")};
  const OpDef cast{
      .name = "Cast", .input_types = {kCastable}, .infer = infer_cast, .evaluate = evaluate_cast};
  const OpDef cast_like{.name = "CastLike",
                        .min_inputs = 2,
                        .max_inputs = 2,
                        .input_types = {kCastable},
                        .infer = infer_cast_like,
                        .evaluate = evaluate_cast};
  std::vector<OpDef> ops;
  ops.push_back(for_versions(cast, 1, 5, {{"to", AttributeType::string, Required{}}}));
  ops.push_back(for_versions(cast, 6, 18, {to}));
  ops.push_back(for_versions(cast, 19, 23, {to, saturate}));
  ops.push_back(for_versions(cast, 24, kLatestOpset, {to, saturate, round_mode}));
  ops.push_back(for_versions(cast_like, 15, 18, {}));
  ops.push_back(for_versions(cast_like, 19, 23, {saturate}));
  ops.push_back(for_versions(cast_like, 24, kLatestOpset, {saturate, round_mode}));
  ops.push_back({.name = "BitCast",
                 .since = 26,
                 .attributes = {to},
                 .infer = infer_bit_cast,
                 .evaluate = evaluate_bit_cast});
  ops.push_back({.name = "IsNaN",
                 .since = 9,
                 .input_types = {types::kFloat | types::kFloat8},
                 .infer = infer_test,
                 .evaluate = evaluate_is_nan});
  ops.push_back({.name = "IsInf",
                 .since = 10,
                 .input_types = {types::kFloat | types::kFloat8},
                 .attributes = {{"detect_negative", AttributeType::int_, int64_t{1}},
                                {"detect_positive", AttributeType::int_, int64_t{1}}},
                 .infer = infer_test,
                 .evaluate = evaluate_is_inf});
  return ops;
}

}  // namespace plica
