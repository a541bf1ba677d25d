#include "engine/core/data_type.h"

#include <array>

#include "engine/core/checked.h"
#include "engine/core/fail.h"

namespace plica {
namespace {

struct Row {
  std::string_view name;
  int bits;
  char kind;  // f floating, i signed, u unsigned, c complex, b bool, s string, - none
};

constexpr std::array<Row, static_cast<size_t>(DataType::map) + 1> kRows = {{
    {"undefined", 0, '-'},       {"float32", 32, 'f'},      {"uint8", 8, 'u'},         {"int8", 8, 'i'},
    {"uint16", 16, 'u'},         {"int16", 16, 'i'},        {"int32", 32, 'i'},        {"int64", 64, 'i'},
    {"string", 0, 's'},          {"bool", 8, 'b'},          {"float16", 16, 'f'},      {"float64", 64, 'f'},
    {"uint32", 32, 'u'},         {"uint64", 64, 'u'},       {"complex64", 64, 'c'},    {"complex128", 128, 'c'},
    {"bfloat16", 16, 'f'},       {"float8_e4m3fn", 8, 'f'}, {"float8_e4m3fnuz", 8, 'f'}, {"float8_e5m2", 8, 'f'},
    {"float8_e5m2fnuz", 8, 'f'}, {"uint4", 4, 'u'},         {"int4", 4, 'i'},          {"float4_e2m1fn", 4, 'f'},
    {"float8_e8m0fnu", 8, 'f'},  {"uint2", 2, 'u'},         {"int2", 2, 'i'},
    {"undefined", 0, '-'},       {"undefined", 0, '-'},       {"sequence", 0, '-'},        {"optional", 0, '-'},
    {"map", 0, '-'},
}};

const Row& row(DataType type) {
  const auto index = static_cast<size_t>(type);
  return kRows[index < kRows.size() ? index : 0];
}

}  // namespace

std::string_view to_string(DataType type) { return row(type).name; }

std::optional<DataType> data_type_from_onnx(int64_t number) {
  if (number <= 0 || number >= kDataTypeCount) return std::nullopt;
  return static_cast<DataType>(number);
}

int bits_of(DataType type) { return row(type).bits; }

size_t bytes_of(DataType type, int64_t elements) {
  const int bits = bits_of(type);
  require(bits != 0, ErrorCode::internal, "{} elements have no size in bytes", to_string(type));
  const auto count = static_cast<size_t>(elements);
  if (bits >= 8) return checked_mul(count, static_cast<size_t>(bits / 8));
  const size_t per_byte = 8 / static_cast<size_t>(bits);
  return count / per_byte + (count % per_byte != 0);
}

bool is_floating(DataType type) { return row(type).kind == 'f'; }
bool is_signed_integer(DataType type) { return row(type).kind == 'i'; }
bool is_unsigned_integer(DataType type) { return row(type).kind == 'u'; }

}  // namespace plica
