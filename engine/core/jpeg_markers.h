// What stb_image does not check in a JPEG before it relies on it. A pure function.
#pragma once

#include <cstdint>
#include <span>

namespace plica {

// Whether no Huffman table has more than the 256 codes that there may be (ITU T.81, B.2.4.2). Looks at every
// table that a decoder can come across which goes from marker to marker, by their lengths where they have
// one.
bool huffman_tables_fit(std::span<const uint8_t> jpeg);

}  // namespace plica
