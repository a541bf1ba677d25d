// OpDef: an operator in one version range, defined once: its attributes with their defaults, how to infer its outputs'
// types and shapes, and how to compute them. Nothing else in the project repeats a default or a version rule.
//
// To add an operator: one entry in a family's table (elementwise.cpp, ...), one test. The table of all families is
// engine/ops/table.cpp.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "engine/core/data_type.h"
#include "engine/graph/attributes.h"

namespace plica {

class AttributeReader;
class InferContext;
class EvaluateContext;

// What OpDef::prepare made; null: nothing (yet).
using Prepared = std::shared_ptr<const void>;

// A set of element types; containers count as such.
class TypeSet {
 public:
  constexpr TypeSet() = default;
  constexpr TypeSet(std::initializer_list<DataType> types) {
    for (DataType t : types) bits_ |= 1u << static_cast<int>(t);
  }
  constexpr bool contains(DataType type) const { return (bits_ >> static_cast<int>(type)) & 1u; }
  constexpr TypeSet operator|(TypeSet other) const {
    TypeSet s;
    s.bits_ = bits_ | other.bits_;
    return s;
  }
  constexpr bool empty() const { return bits_ == 0; }

 private:
  uint32_t bits_ = 0;
};

namespace types {
inline constexpr TypeSet kFloat = {DataType::float32, DataType::float64, DataType::float16, DataType::bfloat16};
inline constexpr TypeSet kSigned = {DataType::int8, DataType::int16, DataType::int32, DataType::int64};
inline constexpr TypeSet kUnsigned = {DataType::uint8, DataType::uint16, DataType::uint32, DataType::uint64};
inline constexpr TypeSet kInteger = kSigned | kUnsigned;
inline constexpr TypeSet kNumeric = kFloat | kInteger;
inline constexpr TypeSet kBool = {DataType::boolean};
inline constexpr TypeSet kString = {DataType::string};
inline constexpr TypeSet kComplex = {DataType::complex64, DataType::complex128};
inline constexpr TypeSet kFloat8 = {DataType::float8e4m3fn, DataType::float8e4m3fnuz, DataType::float8e5m2,
                                    DataType::float8e5m2fnuz, DataType::float8e8m0};
inline constexpr TypeSet kPacked = {DataType::uint4, DataType::int4, DataType::float4e2m1, DataType::uint2,
                                    DataType::int2};
inline constexpr TypeSet kAll = kNumeric | kBool | kString | kComplex | kFloat8 | kPacked;
inline constexpr TypeSet kSequence = {DataType::sequence};
inline constexpr TypeSet kOptional = {DataType::optional};
inline constexpr TypeSet kMap = {DataType::map};
inline constexpr TypeSet kInt64 = {DataType::int64};
inline constexpr TypeSet kIndex = {DataType::int32, DataType::int64};
}  // namespace types

// Marks an attribute that the node must have.
struct Required {};
// Marks an attribute without a default: absent means something of its own, which the operator's code says.
struct Optional {};

struct AttributeDef {
  std::string_view name;
  AttributeType type;
  // Required, Optional, or the default. Lists are given as vectors.
  std::variant<Required, Optional, int64_t, float, std::string_view, std::vector<int64_t>, std::vector<float>,
               std::vector<std::string>>
      value;
};

inline constexpr int kLatestOpset = 1 << 20;
inline constexpr int kUnlimited = 1 << 20;

struct OpDef {
  std::string_view name;
  std::string_view domain = "";
  int since = 1;             // first and last opset version of the domain that this entry serves
  int until = kLatestOpset;
  int min_inputs = 1, max_inputs = 1;    // kUnlimited: variadic
  int min_outputs = 1, max_outputs = 1;
  // Allowed element types by input; the last entry holds for all further inputs. Empty: anything.
  std::vector<TypeSet> input_types = {};
  std::vector<AttributeDef> attributes = {};
  // Sets types, and shapes as far as they can be known, of all outputs; validates what the specification requires of
  // inputs and attributes. Throws Error(invalid_model) with a message about the operator's own terms; the caller adds
  // the node's name.
  void (*infer)(InferContext&) = nullptr;
  // Computes the outputs from plain row-major inputs. infer has run with the actual input shapes (and values), so
  // whatever it validated holds here.
  void (*evaluate)(EvaluateContext&) = nullptr;
  // The outputs depend on the inputs and attributes alone: may be folded and merged. False for random operators.
  bool deterministic = true;
  // What depends on the attributes alone and takes time: done once a node, not in every evaluation. prepare_as<T>
  // (prepared.h), for an `evaluate` that asks the context for prepared<T>(), as `infer` may. Null: nothing.
  Prepared (*prepare)(const AttributeReader&) = nullptr;
  bool open_attributes = false;  // has others, too, of which nothing is known here
};

// The definition for these versions and attributes: what else differs between versions is rare.
inline OpDef for_versions(OpDef def, int since, int until, std::vector<AttributeDef> attributes) {
  def.since = since;
  def.until = until;
  def.attributes = std::move(attributes);
  return def;
}

}  // namespace plica
