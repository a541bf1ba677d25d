#include "engine/core/jpeg_markers.h"

#include <algorithm>
#include <cstddef>
#include <numeric>

namespace plica {
namespace {

constexpr size_t kCounts = 16;  // of codes by their length
constexpr int kMostCodes = 256;

// The tables of a DHT segment of which `length` bytes are to come. The last may reach beyond: a decoder that
// refuses that may do so only once it has taken the table.
bool tables_fit(std::span<const uint8_t> from, size_t length) {
  while (length > 0 && from.size() > 1) {
    const auto counts = from.subspan(1, std::min(kCounts, from.size() - 1));
    const int codes = std::accumulate(counts.begin(), counts.end(), 0);
    if (codes > kMostCodes) return false;
    const size_t size = 1 + kCounts + static_cast<size_t>(codes);
    from = from.subspan(std::min(size, from.size()));
    length -= std::min(size, length);
  }
  return true;
}

bool has_length(uint8_t marker) {
  return marker >= 0xc0 && (marker < 0xd0 || marker > 0xd9) && marker != 0xff;
}

}  // namespace

bool huffman_tables_fit(std::span<const uint8_t> jpeg) {
  constexpr uint8_t kHuffmanTables = 0xc4;
  for (size_t at = 0; at + 4 <= jpeg.size();) {
    const uint8_t marker = jpeg[at + 1];
    if (jpeg[at] != 0xff || !has_length(marker)) {
      ++at;
      continue;
    }
    const size_t length = size_t{jpeg[at + 2]} << 8 | jpeg[at + 3];
    const size_t rest = std::max<size_t>(length, 2) - 2;
    if (marker == kHuffmanTables && !tables_fit(jpeg.subspan(at + 4), rest)) return false;
    at += 4 + rest;
  }
  return true;
}

}  // namespace plica
