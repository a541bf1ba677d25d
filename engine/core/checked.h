// Size arithmetic that cannot wrap. Every product of dims, every byte count and every offset that comes from a file
// or a caller goes through these; they throw Error(limit).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace plica {

[[noreturn]] void throw_overflow();

template <class T>
T checked_add(T a, T b) {
  T r;
  if (__builtin_add_overflow(a, b, &r)) [[unlikely]] throw_overflow();
  return r;
}

template <class T>
T checked_sub(T a, T b) {
  T r;
  if (__builtin_sub_overflow(a, b, &r)) [[unlikely]] throw_overflow();
  return r;
}

template <class T>
T checked_mul(T a, T b) {
  T r;
  if (__builtin_mul_overflow(a, b, &r)) [[unlikely]] throw_overflow();
  return r;
}

// The number of elements of a tensor with these dims (1 for rank 0). Throws invalid_model on a negative dim, and limit when the
// product without the zeros overflows, so that [0, 2^62, 2^62] is refused too.
int64_t checked_elements(std::span<const int64_t> dims);

}  // namespace plica
