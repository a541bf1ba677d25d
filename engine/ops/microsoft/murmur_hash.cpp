// MurmurHash3: MurmurHash3_x86_32 (A. Appleby) of each element's bytes, little-endian, or of a string's.
#include <algorithm>
#include <bit>
#include <cstring>

#include "engine/core/dispatch.h"
#include "engine/core/parallel.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/microsoft/microsoft.h"

namespace plica {
namespace {

uint32_t hash(const char* key, size_t size, uint32_t h) {
  const auto mix = [](uint32_t k) { return std::rotl(k * 0xcc9e2d51u, 15) * 0x1b873593u; };
  // Four bytes at a time, and what is left as the low bytes of a last number.
  for (size_t at = 0; at < size; at += 4) {
    uint32_t k = 0;
    for (size_t i = std::min<size_t>(4, size - at); i-- > 0;)
      k = k << 8 | static_cast<unsigned char>(key[at + i]);
    h ^= mix(k);
    if (size - at >= 4) h = std::rotl(h, 13) * 5 + 0xe6546b64u;
  }
  h ^= static_cast<uint32_t>(size);
  h = (h ^ h >> 16) * 0x85ebca6bu;
  h = (h ^ h >> 13) * 0xc2b2ae35u;
  return h ^ h >> 16;
}

void infer_hash(InferContext& context) {
  const bool positive = context.attributes().i("positive") != 0;
  context.set_output(0, positive ? DataType::uint32 : DataType::int32, context.input_shape(0));
}

void evaluate_hash(EvaluateContext& context) {
  const Tensor& x = context.input(0);
  const auto seed = static_cast<uint32_t>(context.attributes().i("seed"));
  auto* const out = static_cast<char*>(context.output().mutable_raw());
  const auto put = [&](int64_t i, uint32_t h) { std::memcpy(out + i * 4, &h, 4); };
  parallel_for(x.size(), 1024, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      if (x.type() == DataType::string) {
        const std::string& text = x.data<std::string>()[i];
        put(i, hash(text.data(), text.size(), seed));
      } else {
        const size_t size = static_cast<size_t>(bits_of(x.type()) / 8);
        put(i, hash(static_cast<const char*>(x.raw()) + static_cast<size_t>(i) * size, size, seed));
      }
    }
  });
}

}  // namespace

std::vector<OpDef> murmur_hash_ops() {
  return {{.name = "MurmurHash3",
           .domain = kMicrosoft,
           .input_types = {{DataType::uint32, DataType::int32, DataType::uint64, DataType::int64,
                            DataType::float32, DataType::float64, DataType::string}},
           .attributes = {{"positive", AttributeType::int_, int64_t{1}},
                          {"seed", AttributeType::int_, int64_t{0}}},
           .infer = infer_hash,
           .evaluate = evaluate_hash}};
}

}  // namespace plica
