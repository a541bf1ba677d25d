#include "runtime/kernels/channel_gather_kernel.h"

#include <algorithm>
#include <cstring>

#include "engine/core/parallel.h"
#include "runtime/kernels/vector_math.h"

namespace plica {
namespace {

constexpr int64_t kParallelGrain = 16384;  // elements that are worth another thread

// One block of the output for all positions, from `pieces` blocks with an index of `block` lanes each.
struct BlockSources {
  const float* const* from;
  const int32_t* const* index;
  size_t pieces;
};

// Lane l of y becomes lane index[l] of y and x in a row.
template <class S>
PLICA_INLINE void shuffle(typename S::Vec& y, const typename S::Vec& x, const typename S::IntVec& index) {
#if defined(__clang__)  // has no shuffle by a variable
  const typename S::Vec was = y;
  for (int l = 0; l < S::kLanes; ++l) y[l] = index[l] < S::kLanes ? was[index[l]] : x[index[l] - S::kLanes];
#else
  y = __builtin_shuffle(y, x, index);
#endif
}

// With the indices in registers.
template <class S, size_t kPieces>
PLICA_INLINE void gather_from(const BlockSources& s, float* to, int64_t positions) {
  using Vec = typename S::Vec;
  typename S::IntVec index[kPieces];
  for (size_t k = 0; k < kPieces; ++k) std::memcpy(&index[k], s.index[k], sizeof index[k]);
  for (int64_t p = 0; p < positions; ++p) {
    Vec y = {};
    for (size_t k = 0; k < kPieces; ++k) {
      Vec x;
      S::load(x, s.from[k] + p * S::kLanes);
      shuffle<S>(y, x, index[k]);
    }
    S::store(to + p * S::kLanes, y);
  }
}

template <class S>
PLICA_INLINE void gather_block_body(const BlockSources& s, float* to, int64_t positions) {
  switch (s.pieces) {
    case 1:
      return gather_from<S, 1>(s, to, positions);
    case 2:
      return gather_from<S, 2>(s, to, positions);
    case 3:
      return gather_from<S, 3>(s, to, positions);
    case 4:
      return gather_from<S, 4>(s, to, positions);
    default:
      break;
  }
  for (int64_t p = 0; p < positions; ++p) {
    typename S::Vec y = {};
    for (size_t k = 0; k < s.pieces; ++k) {
      typename S::Vec x;
      typename S::IntVec index;
      S::load(x, s.from[k] + p * S::kLanes);
      std::memcpy(&index, s.index[k], sizeof index);
      shuffle<S>(y, x, index);
    }
    S::store(to + p * S::kLanes, y);
  }
}

void gather_block_by_lanes(const BlockSources& s, int block, float* to, int64_t positions) {
  for (int64_t p = 0; p < positions; ++p) {
    float* y = to + p * block;
    std::fill_n(y, block, 0.f);
    for (size_t k = 0; k < s.pieces; ++k) {
      for (int l = 0; l < block; ++l) {
        if (s.index[k][l] >= block) y[l] = s.from[k][p * block + s.index[k][l] - block];
      }
    }
  }
}

#if defined(__x86_64__)
[[gnu::target("avx512f,avx512dq,avx512bw,avx512vl,fma,avx2")]] void gather_block_avx512(const BlockSources& s,
                                                                                        float* to,
                                                                                        int64_t positions) {
  gather_block_body<simd::Vectors<64>>(s, to, positions);
}
[[gnu::target("fma,avx2")]] void gather_block_avx2(const BlockSources& s, float* to, int64_t positions) {
  gather_block_body<simd::Vectors<32>>(s, to, positions);
}
#endif

void gather_block(const BlockSources& s, int block, float* to, int64_t positions) {
#if defined(__x86_64__)
  const simd::Isa isa = simd::best_isa();
  if (block == 16 && isa == simd::Isa::avx512) return gather_block_avx512(s, to, positions);
  if (block == 8 && isa != simd::Isa::baseline) return gather_block_avx2(s, to, positions);
#endif
  gather_block_by_lanes(s, block, to, positions);
}

}  // namespace

BlockedChannelGatherKernel::BlockedChannelGatherKernel(
    int block, int64_t images, int64_t positions, const std::vector<ChannelGatherParams::Source>& channels,
    const std::vector<int64_t>& input_channels)
    : block_(block), images_(images), positions_(positions) {
  for (int64_t c : input_channels) input_blocks_.push_back((c + block - 1) / block);
  blocks_.resize((channels.size() + static_cast<size_t>(block) - 1) / static_cast<size_t>(block));
  for (size_t c = 0; c < channels.size(); ++c) {
    const auto& source = channels[c];
    std::vector<Piece>& pieces = blocks_[c / static_cast<size_t>(block)];
    const int64_t from = source.channel / block;
    auto piece = std::ranges::find_if(
        pieces, [&](const Piece& p) { return p.input == source.input && p.block == from; });
    if (piece == pieces.end()) {
      piece = pieces.insert(pieces.end(), Piece{source.input, from, {}});
      for (int32_t l = 0; l < block; ++l) piece->index[static_cast<size_t>(l)] = l;
    }
    piece->index[c % static_cast<size_t>(block)] = static_cast<int32_t>(block + source.channel % block);
  }
}

void BlockedChannelGatherKernel::run(const Arguments& a) const {
  const auto count = static_cast<int64_t>(blocks_.size());
  const int64_t plane = positions_ * block_;
  auto* to = static_cast<float*>(a.memory.back());
  parallel_for(
      images_ * count, std::max<int64_t>(1, kParallelGrain / std::max<int64_t>(plane, 1)),
      [&](int64_t begin, int64_t end) {
        std::array<const float*, kMostLanes> from;
        std::array<const int32_t*, kMostLanes> index;
        for (int64_t i = begin; i < end; ++i) {
          const std::vector<Piece>& pieces = blocks_[static_cast<size_t>(i % count)];
          for (size_t k = 0; k < pieces.size(); ++k) {
            const auto input = static_cast<size_t>(pieces[k].input);
            from[k] = static_cast<const float*>(a.memory[input]) +
                      (i / count * input_blocks_[input] + pieces[k].block) * plane;
            index[k] = pieces[k].index.data();
          }
          gather_block({from.data(), index.data(), pieces.size()}, block_, to + i * plane, positions_);
        }
      });
}

PlaneGatherKernel::PlaneGatherKernel(int64_t images, int64_t positions,
                                     std::vector<ChannelGatherParams::Source> channels,
                                     std::vector<int64_t> input_channels)
    : images_(images),
      positions_(positions),
      channels_(std::move(channels)),
      input_channels_(std::move(input_channels)) {}

void PlaneGatherKernel::run(const Arguments& a) const {
  const auto count = static_cast<int64_t>(channels_.size());
  auto* to = static_cast<float*>(a.memory.back());
  parallel_for(images_ * count, std::max<int64_t>(1, kParallelGrain / std::max<int64_t>(positions_, 1)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   const auto& source = channels_[static_cast<size_t>(i % count)];
                   const auto input = static_cast<size_t>(source.input);
                   const auto* from = static_cast<const float*>(a.memory[input]) +
                                      (i / count * input_channels_[input] + source.channel) * positions_;
                   std::copy_n(from, positions_, to + i * positions_);
                 }
               });
}

}  // namespace plica
