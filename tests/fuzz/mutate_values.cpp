#include "tests/fuzz/mutate_values.h"

#include <array>
#include <cstring>
#include <limits>
#include <string>

namespace plica::fuzz {
namespace {

using namespace onnx_format;

// Mostly what axes, sizes and counts are; sometimes the ends of the range.
int64_t any_integer(Random& random, int64_t was) {
  constexpr std::array<int64_t, 6> kEnds = {std::numeric_limits<int64_t>::min(),
                                            std::numeric_limits<int64_t>::max(),
                                            int64_t{1} << 31,
                                            int64_t{1} << 32,
                                            -(int64_t{1} << 31),
                                            65537};
  switch (below(random, 8)) {
    case 0:
      return kEnds[static_cast<size_t>(below(random, kEnds.size()))];
    case 1:
      return static_cast<int64_t>(static_cast<uint64_t>(was) + 1);
    case 2:
      return static_cast<int64_t>(static_cast<uint64_t>(was) - 1);
    case 3:
      return -below(random, 5);
    default:
      return below(random, 9);
  }
}

float any_float(Random& random, float was) {
  constexpr std::array<float, 9> kSpecial = {0.f,
                                             -0.f,
                                             1e-45f,
                                             3.4e38f,
                                             -3.4e38f,
                                             std::numeric_limits<float>::infinity(),
                                             -std::numeric_limits<float>::infinity(),
                                             std::numeric_limits<float>::quiet_NaN(),
                                             1e-5f};
  switch (below(random, 4)) {
    case 0:
      return kSpecial[static_cast<size_t>(below(random, kSpecial.size()))];
    case 1:
      return -was;
    default:
      return static_cast<float>(below(random, 129) - 64) / 16;
  }
}

template <class List, class Make>
void mutate_list(List& list, Random& random, Make&& make) {
  switch (below(random, 4)) {
    case 0:
      if (list.size() > 0) list.RemoveLast();
      return;
    case 1:
      *list.Add() = make(0);
      return;
    case 2:
      if (list.size() > 1) list.SwapElements(below(random, list.size()), below(random, list.size()));
      return;
    default:
      if (list.size() > 0) {
        auto& element = *list.Mutable(below(random, list.size()));
        element = make(element);
      }
  }
}

void mutate_string(std::string& text, Random& random) {
  static const std::array<const char*, 20> kWords = {
      "SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET",    "linear",        "nearest", "cubic",
      "constant",   "reflect",    "edge",  "wrap",      "bidirectional", "reverse", "Relu",
      "Tanh",       "none",       "mean",  "ij,jk->ik", "...ij->...ji",  ""};
  text = kWords[static_cast<size_t>(below(random, kWords.size()))];
}

}  // namespace

int any_type(Random& random) {
  constexpr std::array<int, 8> kUsual = {TensorProto::FLOAT, TensorProto::INT64,  TensorProto::INT32,
                                         TensorProto::BOOL,  TensorProto::UINT8,  TensorProto::DOUBLE,
                                         TensorProto::INT8,  TensorProto::FLOAT16};
  return one_in(random, 3) ? below(random, 27) : kUsual[static_cast<size_t>(below(random, kUsual.size()))];
}

void mutate_tensor(TensorProto& tensor, Random& random) {
  std::string& raw = *tensor.mutable_raw_data();
  switch (below(random, 6)) {
    case 0:  // other dims, the length as it was
      mutate_list(*tensor.mutable_dims(), random, [&](int64_t was) { return any_integer(random, was); });
      return;
    case 1: {  // a longer or shorter first dimension, with its elements
      if (tensor.dims_size() == 0 || tensor.dims(0) <= 0 || raw.empty()) return;
      const auto rows = static_cast<size_t>(tensor.dims(0));
      const size_t row = raw.size() / rows;
      const auto now = static_cast<size_t>(below(random, 8));
      if (row * now > 65536) return;
      raw.resize(row * now);
      tensor.set_dims(0, static_cast<int64_t>(now));
      return;
    }
    case 2:
      if (tensor.dims_size() > 1) tensor.mutable_dims()->SwapElements(0, tensor.dims_size() - 1);
      return;
    case 3:
      tensor.set_data_type(any_type(random));
      return;
    default: {
      if (tensor.data_type() == TensorProto::FLOAT && raw.size() >= sizeof(float)) {
        const size_t at = random() % (raw.size() / sizeof(float)) * sizeof(float);
        float value;
        std::memcpy(&value, &raw[at], sizeof value);
        value = any_float(random, value);
        std::memcpy(&raw[at], &value, sizeof value);
      } else if (tensor.data_type() == TensorProto::INT64 && raw.size() >= sizeof(int64_t)) {
        const size_t at = random() % (raw.size() / sizeof(int64_t)) * sizeof(int64_t);
        int64_t value;
        std::memcpy(&value, &raw[at], sizeof value);
        value = any_integer(random, value);
        std::memcpy(&raw[at], &value, sizeof value);
      } else if (!raw.empty()) {
        raw[random() % raw.size()] = static_cast<char>(random());
      }
    }
  }
}

void mutate_attribute(AttributeProto& attribute, Random& random) {
  switch (attribute.type()) {
    case AttributeProto::INT:
      return attribute.set_i(any_integer(random, attribute.i()));
    case AttributeProto::FLOAT:
      return attribute.set_f(any_float(random, attribute.f()));
    case AttributeProto::STRING:
      return mutate_string(*attribute.mutable_s(), random);
    case AttributeProto::TENSOR:
      return mutate_tensor(*attribute.mutable_t(), random);
    case AttributeProto::INTS:
      return mutate_list(*attribute.mutable_ints(), random,
                         [&](int64_t was) { return any_integer(random, was); });
    case AttributeProto::FLOATS:
      return mutate_list(*attribute.mutable_floats(), random,
                         [&](float was) { return any_float(random, was); });
    case AttributeProto::STRINGS:
      if (attribute.strings_size() > 0) mutate_string(any_of(*attribute.mutable_strings(), random), random);
      return;
    default:
      attribute.set_type(static_cast<AttributeProto::AttributeType>(below(random, 15)));
  }
}

// An input or output of the graph.
void mutate_declaration(ValueInfoProto& info, Random& random) {
  if (!info.type().has_tensor_type()) return;
  auto& type = *info.mutable_type()->mutable_tensor_type();
  if (one_in(random, 4)) return type.set_elem_type(any_type(random));
  if (one_in(random, 12)) return type.clear_shape();
  auto& dims = *type.mutable_shape()->mutable_dim();
  const auto change = [&](TensorShapeProto::Dimension& dim) {
    if (one_in(random, 3)) {
      dim.set_dim_param(one_in(random, 2) ? "N" : "M");
    } else {
      dim.set_dim_value(one_in(random, 8) ? any_integer(random, dim.dim_value()) : below(random, 9));
    }
  };
  switch (below(random, 4)) {
    case 0:
      return change(*dims.Add());
    case 1:
      if (!dims.empty()) dims.RemoveLast();
      return;
    default:
      if (!dims.empty()) change(any_of(dims, random));
  }
}

}  // namespace plica::fuzz
