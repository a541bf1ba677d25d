#include "engine/ops/strided_copy.h"

#include <algorithm>
#include <string>

#include "engine/core/dispatch.h"
#include "engine/core/minifloat.h"
#include "engine/core/parallel.h"

namespace plica {
namespace {

constexpr int64_t kGrain = 32768;  // elements

struct Loop {
  int64_t count, from, to;  // and the strides
};

// The loops, outermost first, without those of one iteration and with those joined that step alike.
std::vector<Loop> join_loops(const Dims& dims, const Dims& from_strides, const Dims& to_strides) {
  std::vector<Loop> loops;
  for (size_t d = 0; d < dims.size(); ++d) {
    const Loop inner{dims[d], from_strides[d], to_strides[d]};
    if (inner.count == 1) continue;
    if (!loops.empty() && loops.back().from == inner.from * inner.count &&
        loops.back().to == inner.to * inner.count) {
      loops.back() = {loops.back().count * inner.count, inner.from, inner.to};
    } else {
      loops.push_back(inner);
    }
  }
  return loops;
}

// Calls f(from offset, to offset) for iterations [begin, end) of the nest.
template <class F>
void for_each_iteration(std::span<const Loop> nest, int64_t begin, int64_t end, F&& f) {
  Dims index(nest.size());
  int64_t from = 0, to = 0, rest = begin;
  for (size_t d = nest.size(); d-- > 0;) {
    index[d] = rest % nest[d].count;
    rest /= nest[d].count;
    from += index[d] * nest[d].from;
    to += index[d] * nest[d].to;
  }
  for (int64_t i = begin; i < end; ++i) {
    f(from, to);
    for (size_t d = nest.size(); d-- > 0;) {
      from += nest[d].from;
      to += nest[d].to;
      if (++index[d] < nest[d].count) break;
      index[d] = 0;
      from -= nest[d].count * nest[d].from;
      to -= nest[d].count * nest[d].to;
    }
  }
}

int64_t iterations(std::span<const Loop> nest) {
  int64_t n = 1;
  for (const Loop& l : nest) n *= l.count;
  return n;
}

template <class T>
void copy_run(const T* from, int64_t from_stride, T* to, int64_t to_stride, int64_t count) {
  if (to_stride == 1 && from_stride == 1) {
    std::copy_n(from, count, to);
  } else if (to_stride == 1 && from_stride == 0) {
    std::fill_n(to, count, *from);
  } else {
    for (int64_t i = 0; i < count; ++i) to[i * to_stride] = from[i * from_stride];
  }
}

// Two loops, one contiguous in the source and one in the destination, in tiles that fit the cache.
constexpr int64_t kTile = 16;

template <class T>
void copy_transposed(const T* from, T* to, const Loop& rows, const Loop& columns) {
  for (int64_t r = 0; r < rows.count; r += kTile) {
    const int64_t r_end = std::min(r + kTile, rows.count);
    for (int64_t c = 0; c < columns.count; c += kTile) {
      const int64_t c_end = std::min(c + kTile, columns.count);
      for (int64_t i = r; i < r_end; ++i) {
        for (int64_t j = c; j < c_end; ++j) {
          to[i * rows.to + j * columns.to] = from[i * rows.from + j * columns.from];
        }
      }
    }
  }
}

template <class T>
void copy_loops(std::vector<Loop> loops, const T* from, T* to) {
  if (loops.empty()) loops.push_back({1, 1, 1});
  const Loop last = loops.back();
  loops.pop_back();
  const auto contiguous =
      std::ranges::find_if(loops, [](const Loop& l) { return l.from == 1 && l.count >= 4; });
  if (last.from != 1 && last.from != 0 && last.to == 1 && last.count >= 4 && contiguous != loops.end()) {
    // The loop that is contiguous in the source, in bands so that there is something to share among threads.
    constexpr int64_t kBand = 4 * kTile;
    const Loop rows = *contiguous;
    loops.erase(contiguous);
    const int64_t bands = (rows.count + kBand - 1) / kBand;
    parallel_for(iterations(loops) * bands,
                 std::max<int64_t>(1, kGrain / (std::min(kBand, rows.count) * last.count)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t task = begin; task < end; ++task) {
                     const int64_t first = task % bands * kBand;
                     const Loop band{std::min(kBand, rows.count - first), rows.from, rows.to};
                     for_each_iteration(loops, task / bands, task / bands + 1, [&](int64_t f, int64_t t) {
                       copy_transposed(from + f + first * rows.from, to + t + first * rows.to, band, last);
                     });
                   }
                 });
    return;
  }
  if (loops.empty()) {
    parallel_for(last.count, kGrain, [&](int64_t begin, int64_t end) {
      copy_run(from + begin * last.from, last.from, to + begin * last.to, last.to, end - begin);
    });
    return;
  }
  parallel_for(iterations(loops), std::max<int64_t>(1, kGrain / last.count), [&](int64_t begin, int64_t end) {
    for_each_iteration(loops, begin, end, [&](int64_t f, int64_t t) {
      copy_run(from + f, last.from, to + t, last.to, last.count);
    });
  });
}

template <class Void, class T>
Void* address(Void* base, int64_t offset) {
  using Element = std::conditional_t<std::is_const_v<Void>, const T, T>;
  return static_cast<Element*>(base) + offset;
}

template <class Void>
Void* address_of_element(DataType type, Void* base, int64_t offset) {
  return dispatch_by_size(type,
                          [&]<class T>(std::type_identity<T>) { return address<Void, T>(base, offset); });
}

}  // namespace

Dims row_major_strides(const Dims& dims) {
  Dims strides(dims.size(), 1);
  for (size_t d = dims.size(); d-- > 1;) strides[d - 1] = strides[d] * std::max<int64_t>(dims[d], 1);
  return strides;
}

void copy_strided(DataType type, const Dims& dims, const void* from, const Dims& from_strides, void* to,
                  const Dims& to_strides) {
  if (std::ranges::find(dims, 0) != dims.end()) return;
  dispatch_by_size(type, [&]<class T>(std::type_identity<T>) {
    copy_loops(join_loops(dims, from_strides, to_strides), static_cast<const T*>(from), static_cast<T*>(to));
  });
}

const void* element_address(const Tensor& tensor, int64_t offset) {
  return address_of_element(tensor.type(), tensor.raw(), offset);
}
void* element_address(Tensor& tensor, int64_t offset) {
  return address_of_element(tensor.type(), tensor.mutable_raw(), offset);
}

Tensor unpack_elements(const Tensor& packed) {
  const int bits = bits_of(packed.type());
  Tensor bytes(DataType::uint8, packed.dims());
  const auto* from = static_cast<const uint8_t*>(packed.raw());
  uint8_t* to = bytes.mutable_data<uint8_t>();
  for (int64_t i = 0; i < packed.size(); ++i) to[i] = load_packed(from, i, bits);
  return bytes;
}

void pack_elements(const Tensor& bytes, Tensor& packed) {
  const int bits = bits_of(packed.type());
  const uint8_t* from = bytes.data<uint8_t>();
  auto* to = static_cast<uint8_t*>(packed.mutable_raw());
  std::fill_n(to, packed.bytes(), uint8_t{0});
  for (int64_t i = 0; i < bytes.size(); ++i) store_packed(to, i, bits, from[i]);
}

}  // namespace plica
