#include "tools/npz.h"

#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <unordered_set>

#include "engine/core/fail.h"
#include "tools/npy.h"

namespace plica::tools {
namespace {

// Signatures and fixed lengths of the records (PKWARE APPNOTE 4.3).
constexpr uint32_t kLocal = 0x04034b50, kCentral = 0x02014b50, kEnd = 0x06054b50;
constexpr size_t kLocalSize = 30, kCentralSize = 46, kEndSize = 22;
constexpr size_t kMostMembers = 1 << 16;
constexpr uint64_t kMostRatio = 1032;  // of deflate

[[noreturn]] void malformed(std::string_view what) {
  fail(ErrorCode::invalid_argument, "not a valid .npz archive: {}", what);
}

std::string_view part(std::string_view text, uint64_t offset, uint64_t size) {
  if (offset > text.size() || size > text.size() - offset) malformed("it is cut short");
  return text.substr(offset, size);
}
uint64_t number(std::string_view text, size_t offset, size_t bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes; ++i)
    value |= static_cast<uint64_t>(static_cast<unsigned char>(text[offset + i])) << (8 * i);
  return value;
}
uint16_t u16(std::string_view text, size_t offset) { return static_cast<uint16_t>(number(text, offset, 2)); }
uint32_t u32(std::string_view text, size_t offset) { return static_cast<uint32_t>(number(text, offset, 4)); }

struct Member {
  std::string name;
  uint16_t method = 0;  // 0 stored, 8 deflated
  uint32_t crc = 0;
  uint64_t packed = 0, size = 0, offset = 0;
};

// Sizes of 0xffffffff stand in the zip64 extra field (APPNOTE 4.5.3), in this order.
void read_zip64(std::string_view extra, Member& m) {
  while (extra.size() >= 4) {
    const uint16_t id = u16(extra, 0), size = u16(extra, 2);
    std::string_view field = part(extra, 4, size);
    extra.remove_prefix(4 + size);
    if (id != 1) continue;
    for (uint64_t* value : {&m.size, &m.packed, &m.offset}) {
      if (*value != 0xffffffff) continue;
      *value = number(part(field, 0, 8), 0, 8);
      field.remove_prefix(8);
    }
  }
}

std::vector<Member> read_directory(std::string_view file) {
  // The end record is the last thing in the file but for a comment of up to 65,535 bytes.
  if (file.size() < kEndSize) malformed("it is cut short");
  size_t end = file.size() - kEndSize;
  const size_t first = end > 65535 ? end - 65535 : 0;
  while (u32(file, end) != kEnd || u16(file, end + 20) != file.size() - end - kEndSize) {
    if (end == first) malformed("it has no directory (perhaps it is cut short)");
    --end;
  }
  const size_t count = u16(file, end + 10);
  if (count == 0xffff || count > kMostMembers) malformed("it has too many members");
  std::string_view directory = part(file, u32(file, end + 16), u32(file, end + 12));
  std::vector<Member> members;
  for (size_t i = 0; i < count; ++i) {
    const std::string_view fixed = part(directory, 0, kCentralSize);
    if (u32(fixed, 0) != kCentral) malformed("its directory is damaged");
    if (u16(fixed, 8) & 1) malformed("it is encrypted");
    Member m;
    m.method = u16(fixed, 10);
    m.crc = u32(fixed, 16);
    m.packed = u32(fixed, 20);
    m.size = u32(fixed, 24);
    m.offset = u32(fixed, 42);
    const size_t name = u16(fixed, 28), extra = u16(fixed, 30), comment = u16(fixed, 32);
    m.name = part(directory, kCentralSize, name);
    read_zip64(part(directory, kCentralSize + name, extra), m);
    directory.remove_prefix(part(directory, 0, kCentralSize + name + extra + comment).size());
    members.push_back(std::move(m));
  }
  return members;
}

void inflate_into(std::string_view packed, std::span<std::byte> out) {
  z_stream stream = {};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) throw std::bad_alloc();
  const std::unique_ptr<z_stream, decltype(&inflateEnd)> guard(&stream, inflateEnd);
  // avail_in and avail_out are 32 bits wide: feed in pieces.
  constexpr size_t kPiece = size_t{1} << 30;
  size_t in = 0, done = 0;
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  for (;;) {
    if (stream.avail_in == 0) {
      stream.avail_in = static_cast<uInt>(std::min(kPiece, packed.size() - in));
      in += stream.avail_in;
    }
    if (stream.avail_out == 0) {
      stream.avail_out = static_cast<uInt>(std::min(kPiece, out.size() - done));
      done += stream.avail_out;
    }
    const int status = inflate(&stream, Z_NO_FLUSH);
    if (status == Z_STREAM_END) break;
    // Z_BUF_ERROR: no progress is possible, so one of the two ran out before the stream's end.
    if (status != Z_OK) malformed("its compressed data is damaged");
  }
  if (done != out.size() || stream.avail_out != 0 || in != packed.size() || stream.avail_in != 0) {
    malformed("its compressed data has another size than it says");
  }
}

uint32_t crc_of(std::span<const std::byte> bytes) {
  return static_cast<uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

Tensor read_member(std::string_view file, const Member& m) {
  const std::string_view local = part(file, m.offset, kLocalSize);
  if (u32(local, 0) != kLocal) malformed("its directory is damaged");
  const uint64_t begin = m.offset + kLocalSize + u16(local, 26) + u16(local, 28);
  const std::string_view packed = part(file, begin, m.packed);
  if (m.method == 0) {
    if (m.size != m.packed) malformed("a stored member has two sizes");
    const auto bytes = std::as_bytes(std::span(packed.data(), packed.size()));
    if (crc_of(bytes) != m.crc) malformed("its checksum is wrong");
    return parse_npy(bytes);
  }
  if (m.method != 8) fail(ErrorCode::unsupported, "compression method {} is not supported", m.method);
  if (m.size / kMostRatio > m.packed) malformed("it claims to unpack to more than its data can hold");
  std::vector<std::byte> bytes(m.size);
  inflate_into(packed, bytes);
  if (crc_of(bytes) != m.crc) malformed("its checksum is wrong");
  return parse_npy(bytes);
}

void append(std::string& out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
}

std::string deflated(std::string_view data) {
  z_stream stream = {};
  if (deflateInit2(&stream, 6, Z_DEFLATED, -MAX_WBITS, 9, Z_DEFAULT_STRATEGY) != Z_OK) throw std::bad_alloc();
  const std::unique_ptr<z_stream, decltype(&deflateEnd)> guard(&stream, deflateEnd);
  std::string out(deflateBound(&stream, data.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  stream.avail_in = static_cast<uInt>(data.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  require(deflate(&stream, Z_FINISH) == Z_STREAM_END, ErrorCode::internal, "deflate did not finish");
  out.resize(stream.total_out);
  return out;
}

constexpr uint64_t kMostZip32 = 0xfffffffe;

}  // namespace

NamedArrays parse_npz(std::span<const std::byte> bytes) {
  const std::string_view file(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  NamedArrays arrays;
  std::unordered_set<std::string> names;
  uint64_t packed = 0;
  for (const Member& m : read_directory(file)) {
    // Members that overlap could repeat the same bytes many times.
    packed += std::min<uint64_t>(m.packed, file.size());
    if (packed > file.size()) malformed("its members overlap");
    std::string name = m.name.ends_with(".npy") ? m.name.substr(0, m.name.size() - 4) : m.name;
    if (!names.insert(name).second)
      fail(ErrorCode::invalid_argument, "array {} is there twice", quoted(name));
    Tensor tensor =
        with_context([&] { return read_member(file, m); }, [&] { return "array " + quoted(name); });
    arrays.emplace_back(std::move(name), std::move(tensor));
  }
  return arrays;
}

const Tensor* find_array(const NamedArrays& arrays, std::string_view name) {
  const auto it = std::ranges::find_if(arrays, [&](const auto& array) { return array.first == name; });
  return it == arrays.end() ? nullptr : &it->second;
}

std::string serialize_npz(const NamedArrays& arrays) {
  std::string out, directory;
  for (const auto& [name, tensor] : arrays) {
    const std::string data =
        with_context([&, &t = tensor] { return serialize_npy(t); }, [&, &n = name] { return quoted(n); });
    const std::string file_name = name + ".npy";
    require(data.size() <= kMostZip32 && file_name.size() <= 0xffff, ErrorCode::limit,
            "array {} is too large for an .npz file", quoted(name));
    std::string packed = deflated(data);
    const bool stored = packed.size() >= data.size();
    if (stored) packed = data;
    const uint64_t offset = out.size();
    // What the local header and the directory's entry share: version, flags (names are UTF-8), method, time,
    // date (1 Jan 1980), ...
    std::string common;
    append(common, 20, 2);
    append(common, 1 << 11, 2);
    append(common, stored ? 0 : 8, 2);
    append(common, 0, 2);
    append(common, (1 << 5) | 1, 2);
    append(common, crc_of(std::as_bytes(std::span(data.data(), data.size()))), 4);
    append(common, packed.size(), 4);
    append(common, data.size(), 4);
    append(common, file_name.size(), 2);
    append(common, 0, 2);
    append(out, kLocal, 4);
    out += common + file_name + packed;
    append(directory, kCentral, 4);
    append(directory, 20, 2);
    directory += common;
    append(directory, 0, 2 + 2 + 2);  // comment, disk, internal attributes
    append(directory, 0, 4);          // external attributes
    append(directory, offset, 4);
    directory += file_name;
    require(out.size() + directory.size() <= kMostZip32, ErrorCode::limit,
            "the arrays are too large for one .npz file");
  }
  require(arrays.size() < 0xffff, ErrorCode::limit, "too many arrays for one .npz file");
  const uint64_t offset = out.size();
  out += directory;
  append(out, kEnd, 4);
  append(out, 0, 4);
  append(out, arrays.size(), 2);
  append(out, arrays.size(), 2);
  append(out, directory.size(), 4);
  append(out, offset, 4);
  append(out, 0, 2);
  return out;
}

}  // namespace plica::tools
