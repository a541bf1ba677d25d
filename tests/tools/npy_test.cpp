#include "tools/npy.h"

#include <gtest/gtest.h>

#include <cstring>

#include "engine/core/float_types.h"

namespace plica::tools {
namespace {

Tensor parse(const std::string& text) {
  return parse_npy(std::as_bytes(std::span(text.data(), text.size())));
}

std::string npy(const std::string& header, const std::string& data, char version = 1) {
  std::string text = "\x93NUMPY";
  text += version;
  text += '\0';
  text += static_cast<char>(header.size() & 0xff);
  text += static_cast<char>(header.size() >> 8);
  if (version > 1) text += std::string(2, '\0');
  return text + header + data;
}

template <class T>
std::string bytes(std::initializer_list<T> values) {
  std::string out(values.size() * sizeof(T), '\0');
  std::memcpy(out.data(), std::data(values), out.size());
  return out;
}

ErrorCode code_of(const std::string& text) {
  try {
    parse(text);
  } catch (const Error& error) {
    EXPECT_EQ(error.message().find('\n'), std::string::npos);
    return error.code();
  }
  ADD_FAILURE() << "accepted";
  return ErrorCode::internal;
}

TEST(Npy, RoundTripsEveryTypeThatNumpyHas) {
  const Tensor tensors[] = {Tensor::of<float>({1, -2.5, 3e20f}, {3}),
                            Tensor::of<double>({1, 2, 3, 4, 5, 6}, {2, 3}),
                            Tensor::scalar<int64_t>(-7),
                            Tensor::of<uint8_t>({0, 255}, {1, 2, 1}),
                            Tensor::of<int32_t>({}, {0, 4}),
                            Tensor::of<bool>({true, false}, {2}),
                            Tensor::of<Float16>({Float16(0.5f), Float16(-2.f)}, {2}),
                            Tensor::of<std::complex<float>>({{1, 2}}, {1}),
                            Tensor::of<BFloat16>({BFloat16(1.5f)}, {1}),
                            Tensor::of<std::string>({"a", "", "Größe 零 😀"}, {3})};
  for (const Tensor& tensor : tensors) {
    const std::string text = serialize_npy(tensor);
    const size_t header =
        10 + static_cast<unsigned char>(text[8]) + 256 * static_cast<unsigned char>(text[9]);
    EXPECT_EQ(header % 64, 0u);
    EXPECT_EQ(text[header - 1], '\n');
    const Tensor back = parse(text);
    EXPECT_EQ(back.type(), tensor.type());
    EXPECT_EQ(back.dims(), tensor.dims());
    EXPECT_TRUE(back.identical_to(tensor)) << to_string(tensor);
  }
}

// What numpy.save(BytesIO(), numpy.arange(3, dtype='i4')) writes, up to the padding.
TEST(Npy, ReadsWhatNumpyWrites) {
  const Tensor t = parse(npy("{'descr': '<i4', 'fortran_order': False, 'shape': (3,), }          \n",
                             bytes<int32_t>({0, 1, 2})));
  EXPECT_TRUE(t.identical_to(Tensor::of<int32_t>({0, 1, 2}, {3})));
}

TEST(Npy, ReadsAnyOrderOfKeysAndVersions) {
  for (char version : {1, 2, 3}) {
    const Tensor t =
        parse(npy("{\"shape\":(),\"fortran_order\":False,\"descr\":\"<f4\"}", bytes<float>({2}), version));
    EXPECT_TRUE(t.identical_to(Tensor::scalar(2.f)));
  }
}

TEST(Npy, TransposesFortranOrder) {
  const Tensor t = parse(
      npy("{'descr': '<i2', 'fortran_order': True, 'shape': (2, 3), }", bytes<int16_t>({1, 4, 2, 5, 3, 6})));
  EXPECT_TRUE(t.identical_to(Tensor::of<int16_t>({1, 2, 3, 4, 5, 6}, {2, 3})));
}

TEST(Npy, SwapsForeignByteOrder) {
  const Tensor t = parse(
      npy("{'descr': '>u2', 'fortran_order': False, 'shape': (2,), }", std::string("\x01\x02\x03\x04", 4)));
  EXPECT_TRUE(t.identical_to(Tensor::of<uint16_t>({0x0102, 0x0304}, {2})));
}

TEST(Npy, NormalizesBooleans) {
  const Tensor t =
      parse(npy("{'descr': '|b1', 'fortran_order': False, 'shape': (2,), }", std::string("\x07\x00", 2)));
  EXPECT_TRUE(t.identical_to(Tensor::of<bool>({true, false}, {2})));
}

TEST(Npy, RefusesWhatIsMalformed) {
  const std::string good =
      npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", bytes<float>({1, 2}));
  EXPECT_NO_THROW(parse(good));
  for (size_t length = 0; length < good.size(); ++length)
    EXPECT_EQ(code_of(good.substr(0, length)), ErrorCode::invalid_argument);
  EXPECT_EQ(code_of(good + "x"), ErrorCode::invalid_argument);
  const std::string eight(8, '\0');
  for (const char* header : {"", "{}", "{'descr': '<f4', 'shape': (2,)}",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'x': 1}",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}",
                             "{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': 2}",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} x",
                             "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}",
                             "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
                             "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}",
                             "{'descr': '', 'fortran_order': False, 'shape': (2,)}"}) {
    EXPECT_EQ(code_of(npy(header, eight)), ErrorCode::invalid_argument) << header;
  }
}

TEST(Npy, RefusesSizesThatWrap) {
  const auto huge = [](const char* shape) {
    return npy(std::string("{'descr': '<f8', 'fortran_order': False, 'shape': ") + shape + "}", "");
  };
  EXPECT_EQ(code_of(huge("(4611686018427387904, 4)")), ErrorCode::limit);
  EXPECT_EQ(code_of(huge("(2305843009213693952,)")), ErrorCode::limit);
  EXPECT_EQ(code_of(huge("(1000000000,)")), ErrorCode::invalid_argument);
  EXPECT_EQ(code_of(npy("{'descr': '<U0', 'fortran_order': False, 'shape': (1000000000000,)}", "")),
            ErrorCode::invalid_argument);
}

TEST(Npy, RefusesPicklesAndUnknownTypes) {
  EXPECT_EQ(code_of(npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", "12345678")),
            ErrorCode::invalid_argument);
  EXPECT_EQ(code_of(npy("{'descr': '<M8', 'fortran_order': False, 'shape': (1,)}", "12345678")),
            ErrorCode::unsupported);
  EXPECT_THROW(serialize_npy(Tensor(DataType::int4, {2})), Error);
}

}  // namespace
}  // namespace plica::tools
