// DataType, Shape and Error: the small value types.
#include <gtest/gtest.h>

#include <set>

#include "engine/core/data_type.h"
#include "engine/core/dispatch.h"
#include "engine/core/fail.h"
#include "engine/core/shape.h"

namespace plica {
namespace {

TEST(DataType, TableIsComplete) {
  std::set<std::string_view> names;
  for (int i = 1; i < kDataTypeCount; ++i) {
    const auto type = data_type_from_onnx(i);
    ASSERT_TRUE(type.has_value()) << i;
    EXPECT_EQ(static_cast<int>(*type), i);
    EXPECT_TRUE(names.insert(to_string(*type)).second) << to_string(*type);
    EXPECT_EQ(bits_of(*type) == 0, *type == DataType::string);
    EXPECT_LE(is_floating(*type) + is_signed_integer(*type) + is_unsigned_integer(*type), 1);
  }
  for (int64_t number :
       {int64_t{0}, int64_t{-1}, int64_t{kDataTypeCount}, int64_t{999}, int64_t{1} << 32 | 1}) {
    EXPECT_FALSE(data_type_from_onnx(number).has_value()) << number;
  }
}

TEST(DataType, NamesAndKinds) {
  EXPECT_EQ(to_string(DataType::float8e4m3fn), "float8_e4m3fn");
  EXPECT_EQ(to_string(DataType::boolean), "bool");
  EXPECT_TRUE(is_floating(DataType::float4e2m1));
  EXPECT_TRUE(is_signed_integer(DataType::int2));
  EXPECT_TRUE(is_unsigned_integer(DataType::uint4));
  EXPECT_FALSE(is_integer(DataType::boolean));
  EXPECT_FALSE(is_floating(DataType::complex64));
}

TEST(DataType, BytesOf) {
  EXPECT_EQ(bytes_of(DataType::float32, 3), 12u);
  EXPECT_EQ(bytes_of(DataType::complex128, 2), 32u);
  EXPECT_EQ(bytes_of(DataType::int4, 0), 0u);
  EXPECT_EQ(bytes_of(DataType::int4, 1), 1u);
  EXPECT_EQ(bytes_of(DataType::int4, 2), 1u);
  EXPECT_EQ(bytes_of(DataType::uint2, 4), 1u);
  EXPECT_EQ(bytes_of(DataType::uint2, 5), 2u);
  EXPECT_EQ(bytes_of(DataType::float4e2m1, std::numeric_limits<int64_t>::max()), size_t{1} << 62);
  EXPECT_THROW(bytes_of(DataType::float64, std::numeric_limits<int64_t>::max()), Error);
  EXPECT_THROW(bytes_of(DataType::string, 1), Error);
}

TEST(Dispatch, CallsWithTheType) {
  const auto size = [](DataType type) {
    return dispatch<NumericAndBoolTypes>(type, [](auto t) { return sizeof(typename decltype(t)::type); });
  };
  EXPECT_EQ(size(DataType::float32), 4u);
  EXPECT_EQ(size(DataType::bfloat16), 2u);
  EXPECT_EQ(size(DataType::boolean), sizeof(bool));
  EXPECT_EQ(size(DataType::uint64), 8u);
  try {
    size(DataType::int4);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::unsupported);
    EXPECT_NE(error.message().find("int4"), std::string::npos);
  }
}

TEST(Shape, Dims) {
  const Dim number(3), symbol = Dim::symbol("n"), unknown;
  EXPECT_TRUE(number.same_as(Dim(3)));
  EXPECT_FALSE(number.same_as(Dim(4)));
  EXPECT_TRUE(symbol.same_as(Dim::symbol("n")));
  EXPECT_FALSE(symbol.same_as(Dim::symbol("m")));
  EXPECT_FALSE(symbol.same_as(number));
  EXPECT_FALSE(unknown.same_as(unknown));
  EXPECT_EQ(unknown, Dim());
}

TEST(Shape, KnownAndPrinted) {
  const Shape mixed{Dim::symbol("batch"), 3, Dim(), 224};
  EXPECT_EQ(to_string(mixed), "[batch, 3, ?, 224]");
  EXPECT_FALSE(mixed.is_known());
  EXPECT_EQ(mixed.known(), std::nullopt);
  const Shape known(Dims{1, 0, 3});
  EXPECT_EQ(known.known(), (Dims{1, 0, 3}));
  EXPECT_EQ(to_string(Shape()), "[]");
  EXPECT_EQ(Shape().known(), Dims());
  EXPECT_EQ(to_string(Dims{1, 2}), "[1, 2]");
}

TEST(Error, ContextReadsOutsideIn) {
  try {
    with_context(
        [] { with_context([] { fail(ErrorCode::unsupported, "no {}", 7); }, [] { return "node 'a'"; }); },
        [] { return "model.onnx"; });
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::unsupported);
    EXPECT_STREQ(error.what(), "model.onnx: node 'a': no 7");
  }
}

TEST(Error, ContextIsMadeOnFailureOnly) {
  bool made = false;
  const int result = with_context([] { return 3; }, [&] { return made = true, "x"; });
  EXPECT_EQ(result, 3);
  EXPECT_FALSE(made);
}

TEST(Error, NamesAreMadeSafe) {
  EXPECT_EQ(quoted("conv1"), "'conv1'");
  EXPECT_EQ(quoted("a\nb\x1b[31m"), "'a\\x0ab\\x1b[31m'");
  EXPECT_EQ(quoted(std::string_view("a\0b", 3)), "'a\\x00b'");
  EXPECT_EQ(quoted("Größe 大きさ"), "'Größe 大きさ'");
  EXPECT_EQ(quoted("\xff\xc3"), "'\\xff\\xc3'");               // no UTF-8; cut short
  EXPECT_EQ(quoted("\xc0\xaf"), "'\\xc0\\xaf'");               // overlong
  EXPECT_EQ(quoted("\xed\xa0\x80"), "'\\xed\\xa0\\x80'");      // a surrogate
  EXPECT_EQ(quoted("a\xc2\x9bz"), "'a\\xc2\\x9bz'");           // a C1 control
  EXPECT_EQ(quoted("a\xe2\x80\xaez"), "'a\\xe2\\x80\\xaez'");  // right-to-left override
  const std::string cut = quoted(std::string(1 << 20, 'x'));
  EXPECT_LT(cut.size(), 200u);
  EXPECT_TRUE(cut.ends_with("...'"));
  // The cut never splits a character.
  EXPECT_EQ(quoted(std::string(119, 'x') + "ö!"), "'" + std::string(119, 'x') + "ö...'");
}

}  // namespace
}  // namespace plica
