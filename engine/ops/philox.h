// Philox 4x32-10, the counter-based random number generator of Salmon, Moraes, Dror and Shaw, "Parallel
// Random Numbers: As Easy as 1, 2, 3" (2011): block `counter` of the stream of a key, without any state. So
// numbers can be drawn in any order and by any number of threads, and are always the same.
#pragma once

#include <array>
#include <cstdint>

namespace plica {

class Philox {
 public:
  using Block = std::array<uint32_t, 4>;

  explicit Philox(uint64_t key) : key_(key) {}

  Block block(uint64_t counter) const {
    return rounds({static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), 0, 0},
                  static_cast<uint32_t>(key_), static_cast<uint32_t>(key_ >> 32));
  }

  // Evenly distributed over the multiples of 2^-24 or 2^-53 in [0, 1).
  static float to_uniform(uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24f; }
  static double to_uniform(uint32_t low, uint32_t high) {
    return static_cast<double>((static_cast<uint64_t>(high) << 32 | low) >> 11) * 0x1p-53;
  }

  // Ten rounds on a counter under a key (k0, k1); constants from the paper's section 3.3.
  static Block rounds(Block c, uint32_t k0, uint32_t k1) {
    for (int round = 0; round < 10; ++round) {
      const uint64_t p0 = uint64_t{0xD2511F53} * c[0], p1 = uint64_t{0xCD9E8D57} * c[2];
      c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(p1),
           static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<uint32_t>(p0)};
      k0 += 0x9E3779B9;
      k1 += 0xBB67AE85;
    }
    return c;
  }

 private:
  uint64_t key_;
};

}  // namespace plica
