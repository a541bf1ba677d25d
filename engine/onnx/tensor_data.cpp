#include "engine/onnx/tensor_data.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "engine/core/checked.h"
#include "engine/core/fail.h"
#include "engine/onnx/types.h"

namespace plica::onnx_format {
namespace {

static_assert(std::endian::native == std::endian::little, "raw_data is little-endian and is used in place");

// Below this a copy costs less than keeping the message's buffer, and is better aligned.
constexpr size_t kSmallTensor = 1024;
// From here on writing from where it is costs less than a copy into the message.
constexpr size_t kLargeTensor = 4096;

size_t alignment_of(DataType type) {
  const int bits = bits_of(type);
  if (type == DataType::complex64 || type == DataType::complex128) return static_cast<size_t>(bits) / 16;
  return bits <= 8 ? 1 : static_cast<size_t>(bits) / 8;
}

}  // namespace

bool is_aligned(const void* data, DataType type) {
  return reinterpret_cast<uintptr_t>(data) % alignment_of(type) == 0;
}

namespace {

int64_t typed_length(const TensorProto& proto) {
  return int64_t{proto.float_data_size()} + proto.int32_data_size() + proto.string_data_size() +
         proto.int64_data_size() + proto.double_data_size() + proto.uint64_data_size();
}

void clear_data(TensorProto& proto) {
  proto.clear_float_data();
  proto.clear_int32_data();
  proto.clear_string_data();
  proto.clear_int64_data();
  proto.clear_double_data();
  proto.clear_uint64_data();
}

// The number of entries that the typed field of a type has for so many elements.
// (onnx.proto, TensorProto: complex numbers are pairs; elements below a byte come packed, one byte an entry.)
int64_t typed_entries(DataType type, int64_t elements) {
  if (type == DataType::complex64 || type == DataType::complex128) return checked_mul<int64_t>(elements, 2);
  if (type != DataType::string && bits_of(type) < 8) return static_cast<int64_t>(bytes_of(type, elements));
  return elements;
}

// Calls f(field, std::type_identity<Stored>{}) with the typed field for elements of the type, and the C++
// type that holds one entry of it in a Tensor.
template <class F>
void with_typed_field(DataType type, TensorProto& proto, F&& f) {
  switch (type) {
    case DataType::float32:
    case DataType::complex64:
      return f(*proto.mutable_float_data(), std::type_identity<float>{});
    case DataType::float64:
    case DataType::complex128:
      return f(*proto.mutable_double_data(), std::type_identity<double>{});
    case DataType::int64:
      return f(*proto.mutable_int64_data(), std::type_identity<int64_t>{});
    case DataType::uint32:
      return f(*proto.mutable_uint64_data(), std::type_identity<uint32_t>{});
    case DataType::uint64:
      return f(*proto.mutable_uint64_data(), std::type_identity<uint64_t>{});
    case DataType::int32:
      return f(*proto.mutable_int32_data(), std::type_identity<int32_t>{});
    case DataType::int16:
      return f(*proto.mutable_int32_data(), std::type_identity<int16_t>{});
    case DataType::int8:
      return f(*proto.mutable_int32_data(), std::type_identity<int8_t>{});
    case DataType::uint16:
    case DataType::float16:
    case DataType::bfloat16:
      return f(*proto.mutable_int32_data(), std::type_identity<uint16_t>{});
    default:
      return f(*proto.mutable_int32_data(), std::type_identity<uint8_t>{});  // one byte, or packed in bytes
  }
}

Tensor read_typed(DataType type, Dims dims, TensorProto& proto) {
  Tensor tensor(type, std::move(dims));
  with_typed_field(type, proto, [&](const auto& field, auto stored) {
    using Stored = typename decltype(stored)::type;
    auto* out = static_cast<Stored*>(tensor.mutable_raw());
    for (const auto value : field) {
      if constexpr (std::is_integral_v<Stored>) {
        require(std::in_range<Stored>(value), ErrorCode::invalid_model, "{} is not in the range of {}", value,
                to_string(type));
        *out++ = static_cast<Stored>(value);
      } else {
        *out++ = value;
      }
    }
  });
  return tensor;
}

Tensor read_bytes(DataType type, Dims dims, std::span<const std::byte> bytes) {
  Tensor tensor(type, std::move(dims));
  if (!bytes.empty()) std::memcpy(tensor.mutable_raw(), bytes.data(), bytes.size());
  return tensor;
}

Tensor take_raw(DataType type, Dims dims, std::string* raw) {
  if (raw->size() < kSmallTensor) return read_bytes(type, std::move(dims), std::as_bytes(std::span(*raw)));
  auto owner = std::make_shared<const std::string>(std::move(*raw));
  if (!is_aligned(owner->data(), type))
    return read_bytes(type, std::move(dims), std::as_bytes(std::span(*owner)));
  const void* data = owner->data();
  return Tensor::view(type, std::move(dims), data, std::move(owner));
}

Tensor read_external(DataType type, Dims dims, const TensorProto& proto, size_t size,
                     TensorSources& sources) {
  ExternalFiles::Found found = sources.external.find(proto.external_data(), size);
  if (size >= kLargeTensor && found.can_stay) {
    Tensor tensor = Tensor::in_file(type, std::move(dims), found.range);
    sources.left_in_file.emplace_back(tensor, std::move(found.range));
    return tensor;
  }
  Tensor tensor(type, std::move(dims));
  if (size > 0) found.range.read({static_cast<std::byte*>(tensor.mutable_raw()), size});
  return tensor;
}

// bool objects with other bits than 0 and 1 are undefined behaviour; any byte but 0 means true.
void normalize_bools(Tensor& tensor) {
  const auto* bytes = static_cast<const uint8_t*>(tensor.raw());
  const auto count = static_cast<size_t>(tensor.size());
  if (std::all_of(bytes, bytes + count, [](uint8_t b) { return b <= 1; })) return;
  Tensor normal(DataType::boolean, tensor.dims());
  auto* out = static_cast<uint8_t*>(normal.mutable_raw());
  for (size_t i = 0; i < count; ++i) out[i] = bytes[i] != 0;
  tensor = std::move(normal);
}

Tensor take_strings(Dims dims, TensorProto& proto) {
  Tensor tensor(DataType::string, std::move(dims));
  auto* out = tensor.mutable_data<std::string>();
  for (std::string& s : *proto.mutable_string_data()) *out++ = std::move(s);
  return tensor;
}

Tensor take_elements(DataType type, Dims dims, TensorProto& proto, TensorSources& sources) {
  const int64_t elements = checked_elements(dims);
  const size_t size = type == DataType::string ? 0 : bytes_of(type, elements);
  const int64_t typed = typed_length(proto);
  const std::optional<TensorSources::RawData> left = sources.take_raw_data(proto);
  const size_t raw = left ? left->size : proto.raw_data().size();
  if (proto.data_location() == TensorProto::EXTERNAL) {
    require(type != DataType::string, ErrorCode::invalid_model, "strings cannot be external data");
    require(typed == 0 && raw == 0, ErrorCode::invalid_model, "has data in the model and external data too");
    Tensor tensor = read_external(type, std::move(dims), proto, size, sources);
    proto.clear_data_location();
    proto.clear_external_data();
    proto.clear_raw_data();
    return tensor;
  }
  require(typed == 0 || raw == 0, ErrorCode::invalid_model, "has both raw and typed data");
  if (type != DataType::string && typed == 0 && proto.has_raw_data()) {
    require(raw == size, ErrorCode::invalid_model, "{}{} needs {} bytes of raw data, has {}", to_string(type),
            to_string(dims), size, raw);
    Tensor tensor =
        left ? left->make(type, std::move(dims)) : take_raw(type, std::move(dims), proto.mutable_raw_data());
    proto.clear_raw_data();
    return tensor;
  }
  // The field for this type has to hold it all, so any other field is empty.
  int64_t have = proto.string_data_size();
  if (type != DataType::string) {
    with_typed_field(type, proto, [&](const auto& field, auto) { have = field.size(); });
  }
  const int64_t need = typed_entries(type, elements);
  require(have == need && typed == have && raw == 0, ErrorCode::invalid_model,
          "{}{} needs {} entries in the field for its type, has {} (and {} in other fields)", to_string(type),
          to_string(dims), need, have, typed - have + static_cast<int64_t>(raw));
  Tensor tensor = type == DataType::string ? take_strings(std::move(dims), proto)
                                           : read_typed(type, std::move(dims), proto);
  clear_data(proto);
  if (type != DataType::string) proto.add_int32_data(0);  // was typed
  return tensor;
}

}  // namespace

Tensor take_tensor(TensorProto& proto, TensorSources& sources) {
  require(!proto.has_segment(), ErrorCode::unsupported, "tensors in segments are not supported");
  const DataType type = read_element_type(proto.data_type());
  Dims dims(proto.dims().begin(), proto.dims().end());
  Tensor tensor = take_elements(type, std::move(dims), proto, sources);
  if (type == DataType::boolean) normalize_bools(tensor);
  proto.clear_dims();
  proto.clear_data_type();
  return tensor;
}

void put_tensor(const Tensor& tensor, TensorProto& proto, DeferredTensors* deferred) {
  const bool typed = proto.int32_data_size() != 0;
  clear_data(proto);
  proto.set_data_type(static_cast<int32_t>(tensor.type()));
  proto.mutable_dims()->Assign(tensor.dims().begin(), tensor.dims().end());
  if (tensor.type() == DataType::string) {
    for (const std::string& s : tensor.values<std::string>()) proto.add_string_data(s);
  } else if (!typed && deferred && tensor.bytes() >= kLargeTensor) {
    proto.set_raw_data(std::string());
    deferred->insert_or_assign(&proto, tensor);
  } else if (!typed) {
    proto.set_raw_data(tensor.raw(), tensor.bytes());
  } else {
    const auto entries = static_cast<size_t>(typed_entries(tensor.type(), tensor.size()));
    with_typed_field(tensor.type(), proto, [&](auto& field, auto stored) {
      using Stored = typename decltype(stored)::type;
      const auto* in = static_cast<const Stored*>(tensor.raw());
      field.Assign(in, in + entries);
    });
  }
}

SparseTensor take_sparse_tensor(SparseTensorProto& proto, TensorSources& sources) {
  require(proto.has_values() && proto.has_indices(), ErrorCode::invalid_model,
          "a sparse tensor needs values and indices");
  SparseTensor out;
  out.dims.assign(proto.dims().begin(), proto.dims().end());
  const int64_t elements = checked_elements(out.dims);
  out.values_name = proto.values().name();
  with_context([&] { out.values = take_tensor(*proto.mutable_values(), sources); },
               [] { return "sparse values"; });
  with_context([&] { out.indices = take_tensor(*proto.mutable_indices(), sources); },
               [] { return "sparse indices"; });
  proto.clear_dims();

  // onnx.proto, SparseTensorProto: values [NNZ]; indices [NNZ] linear, or [NNZ, rank]; in range.
  const auto rank = static_cast<int64_t>(out.dims.size());
  require(out.values.rank() == 1, ErrorCode::invalid_model, "sparse values have shape {}, not one dimension",
          to_string(out.values.dims()));
  const int64_t count = out.values.size();
  const bool linear = out.indices.dims() == Dims{count};
  require(out.indices.type() == DataType::int64 && (linear || out.indices.dims() == Dims{count, rank}),
          ErrorCode::invalid_model, "sparse indices are {}, not int64[{}] or int64[{}, {}]",
          to_string(out.indices), count, count, rank);
  const auto indices = out.indices.values<int64_t>();
  for (size_t i = 0; i < indices.size(); ++i) {
    const int64_t bound = linear ? elements : out.dims[i % out.dims.size()];
    require(indices[i] >= 0 && indices[i] < bound, ErrorCode::invalid_model,
            "sparse index {} is outside 0...{}", indices[i], bound - 1);
  }
  return out;
}

void put_sparse_tensor(const SparseTensor& tensor, SparseTensorProto& proto) {
  put_tensor(tensor.values, *proto.mutable_values());
  if (!tensor.values_name.empty()) proto.mutable_values()->set_name(tensor.values_name);
  put_tensor(tensor.indices, *proto.mutable_indices());
  proto.mutable_dims()->Assign(tensor.dims.begin(), tensor.dims.end());
}

}  // namespace plica::onnx_format
