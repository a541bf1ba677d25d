// TensorProto <-> Tensor: every element type, raw and typed, and every way to be wrong.
#include <gmock/gmock.h>

#include "engine/core/file.h"
#include "engine/onnx/tensor_data.h"
#include "tests/engine/onnx/messages_for_tests.h"

namespace plica {
namespace {

struct Case {
  DataType type;
  size_t bytes_for_5;  // that 5 elements take
  int entries_for_5;   // of the typed field
};

// From onnx.proto's comments on TensorProto: the field that each type has, in entries.
const Case kCases[] = {
    {DataType::float32, 20, 5},       {DataType::uint8, 5, 5},          {DataType::int8, 5, 5},
    {DataType::uint16, 10, 5},        {DataType::int16, 10, 5},         {DataType::int32, 20, 5},
    {DataType::int64, 40, 5},         {DataType::boolean, 5, 5},        {DataType::float16, 10, 5},
    {DataType::float64, 40, 5},       {DataType::uint32, 20, 5},        {DataType::uint64, 40, 5},
    {DataType::complex64, 40, 10},    {DataType::complex128, 80, 10},   {DataType::bfloat16, 10, 5},
    {DataType::float8e4m3fn, 5, 5},   {DataType::float8e4m3fnuz, 5, 5}, {DataType::float8e5m2, 5, 5},
    {DataType::float8e5m2fnuz, 5, 5}, {DataType::uint4, 3, 3},          {DataType::int4, 3, 3},
    {DataType::float4e2m1, 3, 3},     {DataType::float8e8m0, 5, 5},     {DataType::uint2, 2, 2},
    {DataType::int2, 2, 2},
};

// Bytes that are valid for any type (bool: 0 and 1; floats: no NaN that a conversion could change).
std::string some_bytes(DataType type, size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i) {
    out += static_cast<char>(type == DataType::boolean ? i % 2 : (i * 37 + 200) % 251);
  }
  return out;
}

Tensor take(TensorProto proto) {
  TensorSources none{ExternalFiles(std::filesystem::path())};
  return take_tensor(proto, none);
}

TEST(TensorData, EveryTypeThroughRawAndTypedFields) {
  EXPECT_EQ(std::size(kCases), static_cast<size_t>(kDataTypeCount - 2));  // and string
  for (const Case& c : kCases) {
    SCOPED_TRACE(std::string(to_string(c.type)));
    const std::string raw = some_bytes(c.type, c.bytes_for_5);
    TensorProto proto;
    proto.set_data_type(static_cast<int>(c.type));
    proto.add_dims(5);
    proto.set_raw_data(raw);

    TensorSources none{ExternalFiles(std::filesystem::path())};
    TensorProto left = proto;
    const Tensor tensor = take_tensor(left, none);
    EXPECT_EQ(left.ByteSizeLong(), 0u);
    EXPECT_EQ(tensor.type(), c.type);
    EXPECT_EQ(tensor.dims(), Dims{5});
    ASSERT_EQ(tensor.bytes(), raw.size());
    EXPECT_EQ(std::memcmp(tensor.raw(), raw.data(), raw.size()), 0);
    put_tensor(tensor, left);
    EXPECT_EQ(left.SerializeAsString(), proto.SerializeAsString());

    // Out through the typed field, and in again.
    TensorProto typed;
    typed.add_int32_data(0);  // the sign for it
    put_tensor(tensor, typed);
    EXPECT_FALSE(typed.has_raw_data());
    const int entries = typed.float_data_size() + typed.int32_data_size() + typed.int64_data_size() +
                        typed.double_data_size() + typed.uint64_data_size();
    EXPECT_EQ(entries, c.entries_for_5);
    left = typed;
    const Tensor again = take_tensor(left, none);
    EXPECT_TRUE(again.identical_to(tensor));
    put_tensor(again, left);
    EXPECT_EQ(left.SerializeAsString(), typed.SerializeAsString());

    for (int difference : {-1, 1}) {
      TensorProto wrong = proto;
      wrong.mutable_raw_data()->resize(raw.size() + static_cast<size_t>(difference));
      expect_error(error_of([&] { take(wrong); }), ErrorCode::invalid_model, "bytes of raw data");
      wrong = typed;
      wrong.set_dims(
          0, c.type == DataType::uint2 || c.type == DataType::int2 ? 5 + 4 * difference : 5 + 2 * difference);
      expect_error(error_of([&] { take(wrong); }), ErrorCode::invalid_model, "entries");
    }
  }
}

TEST(TensorData, PackedElementsComeLowBitsFirst) {
  TensorProto proto;
  proto.set_data_type(TensorProto::INT4);
  proto.add_dims(3);
  proto.add_int32_data(0x21);
  proto.add_int32_data(0x0f);
  const Tensor t = take(proto);
  ASSERT_EQ(t.bytes(), 2u);
  EXPECT_EQ(static_cast<const uint8_t*>(t.raw())[0], 0x21);
  EXPECT_EQ(static_cast<const uint8_t*>(t.raw())[1], 0x0f);
}

TEST(TensorData, Strings) {
  TensorProto proto;
  proto.set_data_type(TensorProto::STRING);
  proto.add_dims(2);
  proto.add_string_data(std::string("a\0b", 3));
  proto.add_string_data("\xff");
  const Tensor t = take(proto);
  EXPECT_EQ(t.values<std::string>()[0], std::string("a\0b", 3));
  TensorProto out;
  put_tensor(t, out);
  EXPECT_EQ(out.SerializeAsString(), proto.SerializeAsString());
  proto.set_raw_data("abc");
  expect_error(error_of([&] { take(proto); }), ErrorCode::invalid_model, "both raw and typed");
  proto.clear_string_data();
  expect_error(error_of([&] { take(proto); }), ErrorCode::invalid_model, "entries");
}

TEST(TensorData, EmptyAndScalar) {
  for (bool raw : {false, true}) {
    TensorProto proto;
    proto.set_data_type(TensorProto::FLOAT);
    proto.add_dims(0);
    proto.add_dims(int64_t{1} << 40);
    if (raw) proto.set_raw_data("");
    EXPECT_EQ(take(proto).dims(), (Dims{0, int64_t{1} << 40}));
  }
  TensorProto scalar;
  scalar.set_data_type(TensorProto::INT64);
  scalar.add_int64_data(-7);
  EXPECT_EQ(take(scalar).rank(), 0);
  EXPECT_EQ(*take(scalar).data<int64_t>(), -7);
}

TEST(TensorData, BoolsAreNormalized) {
  TensorProto proto;
  proto.set_data_type(TensorProto::BOOL);
  proto.add_dims(3);
  proto.set_raw_data(std::string("\x00\x01\xff", 3));
  const Tensor t = take(proto);
  EXPECT_THAT(std::vector<int>(t.values<bool>().begin(), t.values<bool>().end()),
              testing::ElementsAre(0, 1, 1));
}

TEST(TensorData, LargeRawDataAreMovedNotCopied) {
  TensorProto proto;
  proto.set_data_type(TensorProto::FLOAT);
  proto.add_dims(1000);
  proto.set_raw_data(std::string(4000, 'x'));
  const void* data = proto.raw_data().data();
  TensorSources none{ExternalFiles(std::filesystem::path())};
  const Tensor t = take_tensor(proto, none);
  EXPECT_EQ(t.raw(), data);
  EXPECT_EQ(t.values<float>().back(), t.values<float>().front());
}

TEST(TensorData, Hostile) {
  const auto tensor = [](int type, std::initializer_list<int64_t> dims) {
    TensorProto proto;
    proto.set_data_type(type);
    for (int64_t d : dims) proto.add_dims(d);
    return proto;
  };
  const int64_t big = int64_t{1} << 32, huge = int64_t{1} << 62;
  using enum ErrorCode;
  expect_error(error_of([&] { take(tensor(0, {1})); }), invalid_model, "0 is not an element type");
  expect_error(error_of([&] { take(tensor(999, {1})); }), invalid_model, "999 is not an element type");
  expect_error(error_of([&] { take(tensor(-1, {1})); }), invalid_model, "not an element type");
  expect_error(error_of([&] { take(tensor(TensorProto::FLOAT6E2M3, {1})); }), unsupported, "6-bit");
  expect_error(error_of([&] { take(tensor(1, {-1})); }), invalid_model, "negative dimension -1");
  expect_error(error_of([&] { take(tensor(1, {big, big})); }), limit, "too large");
  expect_error(error_of([&] { take(tensor(1, {INT64_MAX, 2})); }), limit, "too large");
  expect_error(error_of([&] { take(tensor(1, {huge})); }), limit, "too large");  // elements fit, bytes do not
  expect_error(error_of([&] { take(tensor(1, {0, huge, huge})); }), limit, "too large");
  expect_error(error_of([&] { take(tensor(1, {huge / 4})); }), invalid_model,
               "entries");  // no data: not allocated
  expect_error(error_of([&] { take(tensor(8, {huge})); }), invalid_model, "entries");

  TensorProto both = tensor(1, {1});
  both.add_float_data(1);
  both.set_raw_data("abcd");
  expect_error(error_of([&] { take(both); }), invalid_model, "both raw and typed");
  TensorProto other_field = tensor(TensorProto::INT64, {1});
  other_field.add_int32_data(1);
  expect_error(error_of([&] { take(other_field); }), invalid_model, "1 in other fields");
  TensorProto two_fields = tensor(1, {1});
  two_fields.add_float_data(1);
  two_fields.add_double_data(1);
  expect_error(error_of([&] { take(two_fields); }), invalid_model, "other fields");
  TensorProto out_of_range = tensor(TensorProto::INT8, {1});
  out_of_range.add_int32_data(200);
  expect_error(error_of([&] { take(out_of_range); }), invalid_model, "200 is not in the range of int8");
  out_of_range.set_data_type(TensorProto::FLOAT16);
  out_of_range.set_int32_data(0, -1);
  expect_error(error_of([&] { take(out_of_range); }), invalid_model, "-1 is not in the range of float16");
  TensorProto segmented = tensor(1, {0});
  segmented.mutable_segment()->set_begin(0);
  expect_error(error_of([&] { take(segmented); }), unsupported, "segments");
  TensorProto external = tensor(1, {1});
  external.set_data_location(TensorProto::EXTERNAL);
  expect_error(error_of([&] { take(external); }), invalid_model, "without a location");
  auto* entry = external.add_external_data();
  entry->set_key("location");
  entry->set_value("/etc/passwd");
  expect_error(error_of([&] { take(external); }), invalid_argument, "no directory");
}

TEST(SparseTensors, ChecksTheirParts) {
  SparseTensorProto good;
  good.add_dims(2);
  good.add_dims(3);
  good.mutable_values()->set_data_type(TensorProto::FLOAT);
  good.mutable_values()->add_dims(2);
  good.mutable_values()->add_float_data(1);
  good.mutable_values()->add_float_data(2);
  good.mutable_indices()->set_data_type(TensorProto::INT64);
  good.mutable_indices()->add_dims(2);
  good.mutable_indices()->add_int64_data(0);
  good.mutable_indices()->add_int64_data(5);
  const auto take_sparse = [](SparseTensorProto proto) {
    TensorSources none{ExternalFiles(std::filesystem::path())};
    return take_sparse_tensor(proto, none);
  };
  EXPECT_EQ(take_sparse(good).dims, (Dims{2, 3}));
  SparseTensorProto pairs = good;
  pairs.mutable_indices()->add_dims(2);
  pairs.mutable_indices()->add_int64_data(1);
  pairs.mutable_indices()->add_int64_data(2);
  expect_error(error_of([&] { take_sparse(pairs); }), ErrorCode::invalid_model,
               "sparse index 5 is outside 0...2");
  pairs.mutable_indices()->set_int64_data(1, 2);
  EXPECT_EQ(take_sparse(pairs).indices.dims(), (Dims{2, 2}));
  SparseTensorProto bad = good;
  bad.mutable_indices()->set_int64_data(1, 6);
  expect_error(error_of([&] { take_sparse(bad); }), ErrorCode::invalid_model,
               "sparse index 6 is outside 0...5");
  bad.mutable_indices()->set_int64_data(1, -1);
  expect_error(error_of([&] { take_sparse(bad); }), ErrorCode::invalid_model, "sparse index -1");
  bad = good;
  bad.mutable_indices()->set_data_type(TensorProto::INT32);
  bad.mutable_indices()->clear_int64_data();
  bad.mutable_indices()->add_int32_data(0);
  bad.mutable_indices()->add_int32_data(1);
  expect_error(error_of([&] { take_sparse(bad); }), ErrorCode::invalid_model, "sparse indices are int32[2]");
  bad = good;
  bad.clear_values();
  expect_error(error_of([&] { take_sparse(bad); }), ErrorCode::invalid_model, "values and indices");
  bad = good;
  bad.set_dims(0, INT64_MAX);
  expect_error(error_of([&] { take_sparse(bad); }), ErrorCode::limit, "too large");
}

TEST(TensorFiles, RoundTripAndErrors) {
  const Tensor t = Tensor::of({1.5f, -2.f}, {1, 2});
  const std::string bytes = serialize_tensor(t, "name");
  const NamedTensor back = parse_tensor(bytes_of_text(bytes));
  EXPECT_EQ(back.name, "name");
  EXPECT_TRUE(back.tensor.identical_to(t));
  EXPECT_EQ(serialize_tensor(t, "name"), bytes);
  const TemporaryDirectory dir;
  write_file(dir.path() / "t.pb", bytes);
  EXPECT_TRUE(load_tensor(dir.path() / "t.pb").tensor.identical_to(t));
  write_file(dir.path() / "t.pb", bytes.substr(0, bytes.size() - 3));
  const Error error = error_of([&] { load_tensor(dir.path() / "t.pb"); });
  EXPECT_TRUE(error.message().starts_with((dir.path() / "t.pb").string() + ": is truncated"))
      << error.message();
  expect_error(error_of([&] { parse_tensor({}); }), ErrorCode::invalid_model, "is empty");
  expect_error(error_of([&] { parse_tensor(bytes_of_text("\xff\xff\xff")); }), ErrorCode::invalid_model,
               "is not a tensor");
}

}  // namespace
}  // namespace plica
