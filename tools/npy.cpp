#include "tools/npy.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <optional>

#include "engine/core/checked.h"
#include "engine/core/fail.h"

namespace plica::tools {
namespace {

static_assert(std::endian::native == std::endian::little, "element data is copied as it is");

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kLongestHeader = 1 << 16;
constexpr int kMostDims = 32;  // NumPy's own limit was 32, now 64

[[noreturn]] void malformed(std::string_view what) {
  fail(ErrorCode::invalid_argument, "not a valid .npy array: {}", what);
}

struct Header {
  std::string descr;
  bool fortran_order = false;
  Dims shape;
};

// The header is a Python dict literal with exactly these keys: {'descr': '<f4', 'fortran_order': False,
// 'shape': (3, 4), }
class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : text_(text) {}

  Header parse() {
    Header header;
    bool has_descr = false, has_order = false, has_shape = false;
    expect('{');
    while (!accept('}')) {
      const std::string key = string();
      expect(':');
      bool& seen = key == "descr"           ? has_descr
                   : key == "fortran_order" ? has_order
                   : key == "shape"         ? has_shape
                                            : unknown_key();
      if (seen) malformed("a key of the header is repeated");
      seen = true;
      if (key == "descr") {
        header.descr = string();
      } else if (key == "fortran_order") {
        header.fortran_order = boolean();
      } else {
        header.shape = tuple();
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (!text_.empty() || !has_descr || !has_order || !has_shape) malformed("its header is incomplete");
    return header;
  }

 private:
  [[noreturn]] static bool& unknown_key() { malformed("its header has an unknown key"); }
  void skip_space() { text_.remove_prefix(std::min(text_.find_first_not_of(" \t\n"), text_.size())); }
  bool accept(char c) {
    skip_space();
    if (text_.empty() || text_[0] != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!accept(c)) malformed("its header is no dictionary");
  }
  std::string string() {
    skip_space();
    const char quote = text_.empty() ? 0 : text_[0];
    const size_t end = quote == '\'' || quote == '"' ? text_.find(quote, 1) : std::string_view::npos;
    if (end == std::string_view::npos)
      malformed("its header lacks a string (structured arrays are not supported)");
    std::string out(text_.substr(1, end - 1));
    text_.remove_prefix(end + 1);
    return out;
  }
  bool boolean() {
    skip_space();
    for (const auto& [word, value] :
         {std::pair(std::string_view("True"), true), std::pair(std::string_view("False"), false)}) {
      if (!text_.starts_with(word)) continue;
      text_.remove_prefix(word.size());
      return value;
    }
    malformed("fortran_order is not a boolean");
  }
  Dims tuple() {
    Dims dims;
    expect('(');
    while (!accept(')')) {
      skip_space();
      int64_t value = 0;
      const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value);
      if (error != std::errc() || value < 0 || dims.size() == kMostDims)
        malformed("its shape is no tuple of sizes");
      text_.remove_prefix(static_cast<size_t>(end - text_.data()));
      if (!text_.empty() && text_[0] == 'L') text_.remove_prefix(1);  // Python 2
      dims.push_back(value);
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return dims;
  }

  std::string_view text_;
};

struct ElementType {
  DataType type = DataType::undefined;
  size_t bytes = 0;      // of one element in the file
  size_t swap_unit = 1;  // bytes that a foreign byte order reverses
  char strings = 0;      // 'U' or 'S'
};

struct Descr {
  std::string_view code;
  DataType type;
};
constexpr Descr kDescrs[] = {
    {"b1", DataType::boolean},   {"i1", DataType::int8},        {"u1", DataType::uint8},
    {"i2", DataType::int16},     {"u2", DataType::uint16},      {"i4", DataType::int32},
    {"u4", DataType::uint32},    {"i8", DataType::int64},       {"u8", DataType::uint64},
    {"f2", DataType::float16},   {"f4", DataType::float32},     {"f8", DataType::float64},
    {"c8", DataType::complex64}, {"c16", DataType::complex128}, {"V2", DataType::bfloat16},
};

ElementType element_type(std::string_view descr, bool& foreign_order) {
  if (descr.size() < 3 || std::string_view("<>|=").find(descr[0]) == std::string_view::npos)
    malformed("its element type is unknown");
  foreign_order = descr[0] == '>';
  const std::string_view code = descr.substr(1);
  for (const Descr& known : kDescrs) {
    if (known.code != code) continue;
    const size_t bytes = static_cast<size_t>(bits_of(known.type)) / 8;
    return {known.type, bytes, code[0] == 'c' ? bytes / 2 : bytes, 0};
  }
  if (code[0] == 'U' || code[0] == 'S') {
    size_t length = 0;
    const auto [end, error] = std::from_chars(code.data() + 1, code.data() + code.size(), length);
    if (error != std::errc() || end != code.data() + code.size() || length > (1u << 24))
      malformed("its element type is unknown");
    return {DataType::string, length * (code[0] == 'U' ? 4 : 1), code[0] == 'U' ? 4u : 1u, code[0]};
  }
  fail(ErrorCode::unsupported, "arrays of NumPy's element type {} are not supported", quoted(descr));
}

void reverse_bytes(std::string& data, size_t unit) {
  for (size_t i = 0; unit > 1 && i + unit <= data.size(); i += unit) {
    std::reverse(data.begin() + static_cast<ptrdiff_t>(i), data.begin() + static_cast<ptrdiff_t>(i + unit));
  }
}

// The element at each row-major position of an array stored with its first index running fastest.
std::string from_fortran(const std::string& data, const Dims& dims, size_t bytes) {
  std::string out(data.size(), '\0');
  const size_t rank = dims.size();
  std::vector<size_t> strides(rank), index(rank, 0);
  size_t stride = bytes;
  for (size_t i = 0; i < rank; ++i) {
    strides[i] = stride;
    stride *= static_cast<size_t>(dims[i]);
  }
  size_t from = 0;
  for (size_t to = 0; to < out.size(); to += bytes) {
    std::memcpy(out.data() + to, data.data() + from, bytes);
    for (size_t i = rank; i-- > 0;) {
      from += strides[i];
      if (++index[i] < static_cast<size_t>(dims[i])) break;
      from -= strides[i] * index[i];
      index[i] = 0;
    }
  }
  return out;
}

void append_utf8(std::string& out, uint32_t code) {
  if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) malformed("a string has an invalid character");
  if (code < 0x80) {
    out += static_cast<char>(code);
    return;
  }
  const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  constexpr uint32_t kLead[] = {0, 0xc0, 0xe0, 0xf0};
  out += static_cast<char>(kLead[more] | (code >> (6 * more)));
  for (int i = more - 1; i >= 0; --i) out += static_cast<char>(0x80 | ((code >> (6 * i)) & 0x3f));
}

// The code points of UTF-8 text; a byte that is none stands for itself (Latin-1).
std::u32string from_utf8(std::string_view text) {
  std::u32string out;
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const size_t more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
    char32_t code = more == 0 ? lead : lead & (0x3fu >> more);
    bool valid = i + more < text.size();
    for (size_t k = 1; valid && k <= more; ++k) {
      const auto byte = static_cast<unsigned char>(text[i + k]);
      valid = (byte & 0xc0) == 0x80;
      code = code << 6 | (byte & 0x3fu);
    }
    out += valid ? code : lead;
    i += valid ? more + 1 : 1;
  }
  return out;
}

Tensor strings_from(const std::string& data, const Dims& dims, const ElementType& element) {
  Tensor tensor(DataType::string, dims);
  std::string* out = tensor.mutable_data<std::string>();
  for (int64_t i = 0; i < tensor.size(); ++i) {
    const char* at = data.data() + static_cast<size_t>(i) * element.bytes;
    if (element.strings == 'S') {
      out[i].assign(at, element.bytes);
      out[i].erase(out[i].find_last_not_of('\0') + 1);
      continue;
    }
    std::vector<uint32_t> codes(element.bytes / 4);
    if (!codes.empty()) std::memcpy(codes.data(), at, element.bytes);
    while (!codes.empty() && codes.back() == 0) codes.pop_back();
    for (uint32_t code : codes) append_utf8(out[i], code);
  }
  return tensor;
}

std::string descr_of(const Tensor& tensor, size_t longest) {
  if (tensor.type() == DataType::string) return fmt::format("<U{}", longest);
  for (const Descr& known : kDescrs) {
    if (known.type != tensor.type()) continue;
    return fmt::format("{}{}", bits_of(known.type) == 8 ? '|' : '<', known.code);
  }
  fail(ErrorCode::unsupported, "NumPy has no element type {}: write the tensor to a .pb file",
       to_string(tensor.type()));
}

}  // namespace

Tensor parse_npy(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!text.starts_with(kMagic) || text.size() < 10) malformed("it does not begin like one");
  const int version = text[6];
  if (version < 1 || version > 3) malformed("its version is unknown");
  const size_t length_bytes = version == 1 ? 2 : 4;
  const size_t begin = 8 + length_bytes;
  if (text.size() < begin) malformed("it is cut short");
  size_t length = 0;
  for (size_t i = 0; i < length_bytes; ++i)
    length |= static_cast<size_t>(static_cast<unsigned char>(text[8 + i])) << (8 * i);
  if (length > kLongestHeader) malformed("its header is too long");
  if (length > text.size() - begin) malformed("it is cut short");
  const Header header = HeaderParser(text.substr(begin, length)).parse();

  bool foreign_order = false;
  const ElementType element = element_type(header.descr, foreign_order);
  const int64_t count = checked_elements(header.shape);
  const std::string_view data = text.substr(begin + length);
  if (checked_mul(static_cast<size_t>(count), element.bytes) != data.size()) {
    fail(ErrorCode::invalid_argument, "not a valid .npy array: {} of {} bytes need {} bytes, it has {}",
         to_string(header.shape), element.bytes, static_cast<size_t>(count) * element.bytes, data.size());
  }
  // An array of empty strings has no bytes that would bound its size.
  if (element.bytes == 0 && count > (1 << 20)) malformed("it has too many empty strings");

  std::string own(data);
  if (foreign_order) reverse_bytes(own, element.swap_unit);
  if (header.fortran_order && header.shape.size() > 1 && !own.empty())
    own = from_fortran(own, header.shape, element.bytes);
  if (element.strings) return strings_from(own, header.shape, element);
  if (element.type == DataType::boolean) {
    for (char& c : own) c = c != 0;
  }
  Tensor tensor(element.type, header.shape);
  if (!own.empty()) std::memcpy(tensor.mutable_raw(), own.data(), own.size());
  return tensor;
}

std::string serialize_npy(const Tensor& tensor) {
  std::vector<std::u32string> strings;
  size_t longest = 1;  // NumPy has no strings of width 0 in files
  if (tensor.type() == DataType::string) {
    for (const std::string& s : tensor.values<std::string>()) {
      strings.push_back(from_utf8(s));
      longest = std::max(longest, strings.back().size());
    }
  }
  std::string shape;
  for (int64_t dim : tensor.dims()) shape += fmt::format("{}, ", dim);
  if (tensor.rank() > 1) shape.resize(shape.size() - 2);
  if (tensor.rank() == 1) shape.pop_back();
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}",
                                   descr_of(tensor, longest), shape);
  // Data begins at a multiple of 64 bytes, after a newline.
  header.append(63 - (10 + header.size()) % 64, ' ');
  header += '\n';
  std::string out(kMagic);
  out += '\1';
  out += '\0';
  out += static_cast<char>(header.size() & 0xff);
  out += static_cast<char>(header.size() >> 8);
  out += header;
  if (tensor.type() == DataType::string) {
    for (std::u32string& s : strings) {
      s.resize(longest, U'\0');
      out.append(reinterpret_cast<const char*>(s.data()), s.size() * 4);
    }
  } else {
    out.append(static_cast<const char*>(tensor.raw()), tensor.bytes());
  }
  return out;
}

}  // namespace plica::tools
