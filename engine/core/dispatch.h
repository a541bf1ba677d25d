// dispatch<TypeList<...>>(type, f): calls f(std::type_identity<T>{}) for the C++ type T of an element type.
// The list says what the caller supports; any other type throws unsupported.
#pragma once

#include <type_traits>
#include <utility>

#include "engine/core/fail.h"
#include "engine/core/float_types.h"

namespace plica {

template <class... Ts> struct TypeList {};

template <class... A, class... B>
TypeList<A..., B...> join_lists(TypeList<A...>, TypeList<B...>);
template <class A, class B> using JoinLists = decltype(join_lists(A{}, B{}));

using FloatTypes = TypeList<float, double, Float16, BFloat16>;
using SignedTypes = TypeList<int32_t, int64_t, int8_t, int16_t>;
using UnsignedTypes = TypeList<uint8_t, uint16_t, uint32_t, uint64_t>;
using IntegerTypes = JoinLists<SignedTypes, UnsignedTypes>;
using NumericTypes = JoinLists<FloatTypes, IntegerTypes>;
using NumericAndBoolTypes = JoinLists<NumericTypes, TypeList<bool>>;

[[noreturn]] inline void throw_type_unsupported(DataType type) {
  fail(ErrorCode::unsupported, "element type {} is not supported here", to_string(type));
}

namespace detail {
template <class F, class T, class... Rest>
decltype(auto) dispatch(DataType type, F&& f, TypeList<T, Rest...>) {
  if (type == data_type_of<T>) return std::forward<F>(f)(std::type_identity<T>{});
  if constexpr (sizeof...(Rest) > 0) {
    return dispatch(type, std::forward<F>(f), TypeList<Rest...>{});
  } else {
    throw_type_unsupported(type);
  }
}
}  // namespace detail

template <class List, class F>
decltype(auto) dispatch(DataType type, F&& f) {
  return detail::dispatch(type, std::forward<F>(f), List{});
}

// An element of a complex128, for moving only.
struct Bytes16 {
  uint64_t low, high;
};

// Calls f(std::type_identity<T>{}) for an unsigned type T of the element type's size, or std::string: for kernels that
// only move elements (by raw pointers). Packed types (less than a byte) throw unsupported.
template <class F>
decltype(auto) dispatch_by_size(DataType type, F&& f) {
  if (type == DataType::string) return std::forward<F>(f)(std::type_identity<std::string>{});
  switch (bits_of(type)) {
    case 8: return std::forward<F>(f)(std::type_identity<uint8_t>{});
    case 16: return std::forward<F>(f)(std::type_identity<uint16_t>{});
    case 32: return std::forward<F>(f)(std::type_identity<uint32_t>{});
    case 64: return std::forward<F>(f)(std::type_identity<uint64_t>{});
    case 128: return std::forward<F>(f)(std::type_identity<Bytes16>{});
    default: throw_type_unsupported(type);
  }
}

}  // namespace plica
