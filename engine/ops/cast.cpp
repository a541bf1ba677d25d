// Every type converts to one wide type (float, double, int64, uint64) and from all four, by blocks: 4 x types
// conversions instead of types x types.
#include "engine/ops/cast.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

#include "engine/core/dispatch.h"
#include "engine/core/parallel.h"
#include "engine/core/vectorized.h"
#include "engine/ops/instruction_set.h"

namespace plica {
namespace {

constexpr int64_t kBlock = 1024;  // elements; a multiple of those that share a byte

int sign_extended(uint8_t value, int bits) { return value >= 1 << (bits - 1) ? value - (1 << bits) : value; }

// ---- to the wide type

// Codes of elements of at most 8 bits.
struct Codes {
  const uint8_t* data;
  int bits;
  uint8_t operator[](int64_t i) const { return bits == 8 ? data[i] : load_packed(data, i, bits); }
};

void load(const Tensor& in, int64_t begin, int64_t count, float* out) {
  const Codes codes{static_cast<const uint8_t*>(in.raw()), bits_of(in.type())};
  if (const MinifloatFormat* format = minifloat_format(in.type())) {
    for (int64_t i = 0; i < count; ++i) out[i] = decode_minifloat(codes[begin + i], *format);
  } else if (in.type() == DataType::float8e8m0) {
    for (int64_t i = 0; i < count; ++i) out[i] = decode_e8m0(codes[begin + i]);
  } else {
    dispatch<TypeList<float, Float16, BFloat16>>(in.type(), [&]<class T>(std::type_identity<T>) {
      const T* from = in.data<T>() + begin;
      vectorized([=] { std::copy_n(from, count, out); });
    });
  }
}

void load(const Tensor& in, int64_t begin, int64_t count, double* out) {
  std::copy_n(in.data<double>() + begin, count, out);
}

void load(const Tensor& in, int64_t begin, int64_t count, int64_t* out) {
  const int bits = bits_of(in.type());
  const Codes codes{static_cast<const uint8_t*>(in.raw()), bits};
  if (in.type() == DataType::boolean) {
    for (int64_t i = 0; i < count; ++i) out[i] = codes[begin + i] != 0;
  } else if (bits < 8) {
    const bool is_signed = is_signed_integer(in.type());
    for (int64_t i = 0; i < count; ++i) {
      const uint8_t code = codes[begin + i];
      out[i] = is_signed ? sign_extended(code, bits) : code;
    }
  } else {
    dispatch<JoinLists<SignedTypes, TypeList<uint8_t, uint16_t, uint32_t>>>(
        in.type(), [&]<class T>(std::type_identity<T>) { std::copy_n(in.data<T>() + begin, count, out); });
  }
}

void load(const Tensor& in, int64_t begin, int64_t count, uint64_t* out) {
  std::copy_n(in.data<uint64_t>() + begin, count, out);
}

// ---- from the wide type

template <class T, class W>
[[gnu::always_inline]] inline T convert(W x) {
  if constexpr (std::is_integral_v<T> && std::is_floating_point_v<W>) {
    return to_integer<T>(x);
  } else if constexpr (std::is_same_v<T, Float16> || std::is_same_v<T, BFloat16>) {
    return T(static_cast<float>(x));
  } else {
    return static_cast<T>(x);
  }
}

// (Arguments are this function's own; what a loop reads through a closure is read again after every store.)
template <class T, class W>
[[gnu::always_inline]] inline void convert_all(const W* in, T* to, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] = convert<T>(in[i]);
}

// float to Float16 by the instruction for it, which rounds and keeps NaN as Float16 does.
#if defined(__x86_64__)
bool has_f16c() {
  static const bool has = [] {
    __builtin_cpu_init();
    // clang does not know "f16c".
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __builtin_cpu_supports("avx2") && __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
  }();
  return has;
}
[[gnu::target("avx2,f16c")]] void narrow_by_f16c(const float* in, int64_t count, Float16* to) {
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m128i halves = _mm256_cvtps_ph(_mm256_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i), halves);
  }
  for (; i < count; ++i) to[i] = Float16(in[i]);
}
#else
bool has_f16c() { return false; }
void narrow_by_f16c(const float*, int64_t, Float16*) {}
#endif

// Shortest digits that read back as the same number, with a point, as numpy prints them.
template <class W>
std::string to_text(W x) {
  if constexpr (std::is_floating_point_v<W>) {
    if (std::isnan(x)) return "NaN";
    if (std::isinf(x)) return x < 0 ? "-INF" : "INF";
    std::string text = fmt::format("{}", x);
    if (text.find_first_not_of("-0123456789") == std::string::npos) text += ".0";
    return text;
  } else {
    return fmt::format("{}", x);
  }
}

// The lowest bits of the integer, as between integer types: that is what the ONNX suite expects of floats
// too.
template <class W>
uint8_t lowest_bits(W x) {
  if constexpr (std::is_floating_point_v<W>)
    return static_cast<uint8_t>(to_integer<int64_t>(x));
  else
    return static_cast<uint8_t>(x);
}

template <class W>
void store(const W* in, int64_t begin, int64_t count, Tensor& out, const CastOptions& options) {
  const DataType type = out.type();
  const int bits = bits_of(type);
  if (type == DataType::string) {
    std::transform(in, in + count, out.mutable_data<std::string>() + begin, to_text<W>);
    return;
  }
  auto* bytes = static_cast<uint8_t*>(out.mutable_raw());
  const auto put = [&](int64_t i, uint8_t code) {
    if (bits == 8) {
      bytes[begin + i] = code;
    } else {
      store_packed(bytes, begin + i, bits, code);
    }
  };
  if (const MinifloatFormat* format = minifloat_format(type)) {
    for (int64_t i = 0; i < count; ++i)
      put(i, encode_minifloat(static_cast<float>(in[i]), *format, options.saturate));
  } else if (type == DataType::float8e8m0) {
    for (int64_t i = 0; i < count; ++i)
      put(i, encode_e8m0(static_cast<float>(in[i]), options.rounding, options.saturate));
  } else if (type == DataType::boolean) {
    for (int64_t i = 0; i < count; ++i) bytes[begin + i] = in[i] != 0;
  } else if (bits < 8) {
    for (int64_t i = 0; i < count; ++i) put(i, lowest_bits(in[i]));
  } else {
    dispatch<NumericTypes>(type, [&]<class T>(std::type_identity<T>) {
      T* to = out.mutable_data<T>() + begin;
      if constexpr (std::is_same_v<T, Float16> && std::is_same_v<W, float>) {
        if (has_f16c()) return narrow_by_f16c(in, count, to);
      }
      // For 64-bit integers, instructions are those of AVX-512.
      if constexpr (std::is_floating_point_v<W> && sizeof(T) == 8 && std::is_integral_v<T>) {
        for_best_instruction_set([=](auto) __attribute__((always_inline)) { convert_all(in, to, count); });
      } else if constexpr (std::is_floating_point_v<W> && sizeof(T) <= 4) {
        vectorized([=] {
          for (int64_t i = 0; i < count; ++i) to[i] = convert<T>(in[i]);
        });
      } else {
        for (int64_t i = 0; i < count; ++i) to[i] = convert<T>(in[i]);
      }
    });
  }
}

// The elements from `begin` on in the wide type; `buffer` holds them where they are not of it.
template <class W>
const W* widened(const Tensor& in, int64_t begin, int64_t count, W* buffer) {
  if (in.type() == data_type_of<W>) return in.data<W>() + begin;
  load(in, begin, count, buffer);
  return buffer;
}

template <class W>
void cast_by(const Tensor& in, Tensor& out, const CastOptions& options) {
  if (bits_of(out.type()) < 8 && out.type() != DataType::string) {
    std::fill_n(static_cast<uint8_t*>(out.mutable_raw()), out.bytes(), uint8_t{0});  // the padding too
  }
  const int64_t blocks = (in.size() + kBlock - 1) / kBlock;
  parallel_for(blocks, 16, [&](int64_t first, int64_t last) {
    std::array<W, kBlock> wide;
    for (int64_t b = first; b < last; ++b) {
      const int64_t begin = b * kBlock;
      const int64_t count = std::min(kBlock, in.size() - begin);
      store(widened(in, begin, count, wide.data()), begin, count, out, options);
    }
  });
}

// ---- strings

[[noreturn]] void throw_no_number(const std::string& text) {
  fail(ErrorCode::invalid_argument, "{} is not a number", quoted(text));
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == text.npos) return {};
  text = text.substr(first, text.find_last_not_of(kSpace) - first + 1);
  // from_chars takes no plus.
  if (text.size() > 1 && text[0] == '+' && text[1] != '-' && text[1] != '+') text.remove_prefix(1);
  return text;
}

// Nothing when the text is no number of that type at all; out of range is nothing for integers.
template <class W>
bool parse(std::string_view text, W& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end != text.data() + text.size()) return false;
  if constexpr (std::is_floating_point_v<W>) {
    if (error == std::errc::result_out_of_range) {
      // Too large or too small, which the exponent's sign tells.
      const size_t e = text.find_first_of("eE");
      const bool tiny = e != text.npos ? text.substr(e + 1).starts_with('-')
                                       : text.find_first_not_of("-0.") > text.find('.');
      value = std::copysign(tiny ? W(0) : std::numeric_limits<W>::infinity(),
                            text.starts_with('-') ? W(-1) : W(1));
      return true;
    }
  }
  return error == std::errc();
}

template <class W>
W parse_number(const std::string& original) {
  const std::string_view text = trimmed(original);
  W value{};
  if (parse(text, value)) return value;
  if constexpr (std::is_integral_v<W>) {
    if (double real; parse(text, real)) return to_integer<W>(real);
  }
  throw_no_number(original);
}

template <class W>
void cast_strings(const Tensor& in, Tensor& out, const CastOptions& options) {
  const std::string* text = in.data<std::string>();
  for (int64_t i = 0; i < in.size(); ++i) {
    const W value = parse_number<W>(text[i]);
    store(&value, i, 1, out, options);
  }
}

}  // namespace

void cast_elements(const Tensor& in, Tensor& out, const CastOptions& options) {
  require(in.size() == out.size(), ErrorCode::internal, "casting {} to {}", to_string(in), to_string(out));
  const DataType from = in.type(), to = out.type();
  for (DataType t : {from, to}) {
    if (t == DataType::complex64 || t == DataType::complex128) throw_type_unsupported(t);
  }
  if (from == to && from == DataType::string) {
    std::ranges::copy(in.values<std::string>(), out.mutable_data<std::string>());
  } else if (from == to && from != DataType::boolean) {
    std::copy_n(static_cast<const std::byte*>(in.raw()), in.bytes(),
                static_cast<std::byte*>(out.mutable_raw()));
  } else if (from == DataType::string) {
    if (to == DataType::uint64) return cast_strings<uint64_t>(in, out, options);
    if (is_integer(to)) return cast_strings<int64_t>(in, out, options);
    if (to == DataType::float64 || to == DataType::boolean) return cast_strings<double>(in, out, options);
    cast_strings<float>(in, out, options);
  } else if (from == DataType::float64) {
    cast_by<double>(in, out, options);
  } else if (is_floating(from)) {
    cast_by<float>(in, out, options);
  } else if (from == DataType::uint64) {
    cast_by<uint64_t>(in, out, options);
  } else {
    cast_by<int64_t>(in, out, options);
  }
}

Tensor cast_tensor(const Tensor& in, DataType type, const CastOptions& options) {
  if (in.type() == type) return in;
  Tensor out(type, in.dims());
  cast_elements(in, out, options);
  return out;
}

}  // namespace plica
