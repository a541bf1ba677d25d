// Element types. The numbers are those of ONNX's TensorProto.DataType.
#pragma once

#include <complex>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/core/api.h"

namespace PLICA_API plica {

struct Float16;
struct BFloat16;

enum class DataType : int32_t {
  undefined = 0,
  float32 = 1,
  uint8 = 2,
  int8 = 3,
  uint16 = 4,
  int16 = 5,
  int32 = 6,
  int64 = 7,
  string = 8,
  boolean = 9,
  float16 = 10,
  float64 = 11,
  uint32 = 12,
  uint64 = 13,
  complex64 = 14,
  complex128 = 15,
  bfloat16 = 16,
  float8e4m3fn = 17,
  float8e4m3fnuz = 18,
  float8e5m2 = 19,
  float8e5m2fnuz = 20,
  uint4 = 21,
  int4 = 22,
  float4e2m1 = 23,
  float8e8m0 = 24,
  uint2 = 25,
  int2 = 26,
  // Not element types of ONNX, but what its other values are here: tensors whose elements are Tensors (see Tensor).
  sequence = 29,
  optional = 30,
  map = 31,
};
inline constexpr int kDataTypeCount = 27;  // of ONNX
inline bool is_container(DataType type) { return type >= DataType::sequence; }
// The elements are C++ objects, without a size in bytes: std::string or Tensor.
inline bool holds_objects(DataType type) { return type == DataType::string || is_container(type); }

// "float32", "int64", ...; the names that numpy and ml_dtypes use.
std::string_view to_string(DataType type);
// From a number in a file; nullopt when it is no element type (0 included).
std::optional<DataType> data_type_from_onnx(int64_t number);

// Bits of one element; 4- and 2-bit elements are packed, the first in the lowest bits (as in ONNX raw_data).
// 0 for string, containers and undefined.
int bits_of(DataType type);
// Bytes that `elements` of the type take, the last byte padded; checked. Objects have no bytes: throws internal.
size_t bytes_of(DataType type, int64_t elements);

bool is_floating(DataType type);  // all IEEE-like types, bfloat16 and the 8- and 4-bit floats
bool is_signed_integer(DataType type);
bool is_unsigned_integer(DataType type);
inline bool is_integer(DataType type) { return is_signed_integer(type) || is_unsigned_integer(type); }

// data_type_of<T>: the element type that C++ type T stores. bool is one byte.
template <class T> inline constexpr DataType data_type_of = DataType::undefined;
template <> inline constexpr DataType data_type_of<float> = DataType::float32;
template <> inline constexpr DataType data_type_of<double> = DataType::float64;
template <> inline constexpr DataType data_type_of<int8_t> = DataType::int8;
template <> inline constexpr DataType data_type_of<int16_t> = DataType::int16;
template <> inline constexpr DataType data_type_of<int32_t> = DataType::int32;
template <> inline constexpr DataType data_type_of<int64_t> = DataType::int64;
template <> inline constexpr DataType data_type_of<uint8_t> = DataType::uint8;
template <> inline constexpr DataType data_type_of<uint16_t> = DataType::uint16;
template <> inline constexpr DataType data_type_of<uint32_t> = DataType::uint32;
template <> inline constexpr DataType data_type_of<uint64_t> = DataType::uint64;
template <> inline constexpr DataType data_type_of<bool> = DataType::boolean;
template <> inline constexpr DataType data_type_of<std::string> = DataType::string;
template <> inline constexpr DataType data_type_of<Float16> = DataType::float16;
template <> inline constexpr DataType data_type_of<BFloat16> = DataType::bfloat16;
template <> inline constexpr DataType data_type_of<std::complex<float>> = DataType::complex64;
template <> inline constexpr DataType data_type_of<std::complex<double>> = DataType::complex128;

}  // namespace plica
