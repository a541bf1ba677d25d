#include "runtime/onednn/onednn.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

#include "engine/core/checked.h"
#include "engine/core/fail.h"

namespace plica::onednn {

using dnnl::memory;

dnnl::engine& cpu_engine() {
  // Never destroyed: primitives of static duration may outlive any order of destruction.
  static auto* engine = new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return *engine;
}

bool has_exact_int8() {
  // The values are sets of features, one bit each.
  const auto has = [isa = static_cast<unsigned>(dnnl::get_effective_cpu_isa())](dnnl::cpu_isa wanted) {
    return (isa & static_cast<unsigned>(wanted)) == static_cast<unsigned>(wanted);
  };
  return has(dnnl::cpu_isa::avx512_core_vnni) || has(dnnl::cpu_isa::avx2_vnni);
}

namespace {

memory::data_type type_of(DataType type) {
  switch (type) {
    case DataType::float32:
      return memory::data_type::f32;
    case DataType::int32:
      return memory::data_type::s32;
    case DataType::int8:
      return memory::data_type::s8;
    case DataType::uint8:
      return memory::data_type::u8;
    default:
      fail(ErrorCode::internal, "oneDNN is asked for {}", to_string(type));
  }
}

// The same dims and type in another layout.
Desc with_strides(const Desc& desc, const Dims& strides) {
#if DNNL_VERSION_MAJOR >= 3
  return Desc(dims_of(desc), desc.get_data_type(), strides);
#else
  return Desc(dims_of(desc), desc.data_type(), strides);
#endif
}

#if DNNL_VERSION_MAJOR >= 3
struct Blocking {
  memory::dims dims, padded_dims, strides, inner_blocks, inner_axes;
};
std::optional<Blocking> blocking_of(const Desc& d) {
  if (d.get_format_kind() != memory::format_kind::blocked) return std::nullopt;
  return Blocking{d.get_dims(), d.get_padded_dims(), d.get_strides(), d.get_inner_blks(), d.get_inner_idxs()};
}
#else
struct Blocking {
  memory::dims dims, padded_dims, strides, inner_blocks, inner_axes;
};
std::optional<Blocking> blocking_of(const Desc& d) {
  const dnnl_memory_desc_t& m = d.data;
  if (m.format_kind != dnnl_blocked) return std::nullopt;
  const auto& b = m.format_desc.blocking;
  return Blocking{{m.dims, m.dims + m.ndims},
                  {m.padded_dims, m.padded_dims + m.ndims},
                  {b.strides, b.strides + m.ndims},
                  {b.inner_blks, b.inner_blks + b.inner_nblks},
                  {b.inner_idxs, b.inner_idxs + b.inner_nblks}};
}
#endif

// Beside the elements: sums for the zero points of int8, which version 3 does not tell.
bool has_more_than_elements(const Desc& d) {
#if DNNL_VERSION_MAJOR >= 3
  return d.get_data_type() == memory::data_type::s8;
#else
  return d.data.extra.flags != 0;
#endif
}

int type_number(const Desc& d) {
#if DNNL_VERSION_MAJOR >= 3
  return static_cast<int>(d.get_data_type());
#else
  return static_cast<int>(d.data_type());
#endif
}

int64_t offset_of(const Desc& d) {
#if DNNL_VERSION_MAJOR >= 3
  return d.get_submemory_offset();
#else
  return d.data.offset0;
#endif
}

Dims row_major_strides(const Dims& dims) {
  Dims strides(dims.size(), 1);
  for (size_t i = dims.size(); i-- > 1;)
    strides[i - 1] = checked_mul(strides[i], std::max<int64_t>(dims[i], 1));
  return strides;
}

}  // namespace

Desc strided(const Dims& dims, const Dims& strides, DataType type) {
  return Desc(dims, type_of(type), strides);
}

Desc row_major(const Dims& dims, DataType type) {
  if (dims.empty()) return row_major({1}, type);
  if (dims.size() > DNNL_MAX_NDIMS) return row_major({checked_elements(dims)}, type);
  return strided(dims, row_major_strides(dims), type);
}

Desc any_layout(const Dims& dims, DataType type) {
  return Desc(dims, type_of(type), memory::format_tag::any);
}

Desc desc_of(const Dims& dims, Layout layout, DataType type) {
  using Tag = memory::format_tag;
  const size_t rank = dims.size();
  if (layout == Layout::row_major || rank < 3 || rank > 5) return row_major(dims, type);
  static constexpr Tag kTags[3][3] = {{Tag::nwc, Tag::nCw8c, Tag::nCw16c},
                                      {Tag::nhwc, Tag::nChw8c, Tag::nChw16c},
                                      {Tag::ndhwc, Tag::nCdhw8c, Tag::nCdhw16c}};
  const int column = layout == Layout::channels_last ? 0 : layout == Layout::blocked8 ? 1 : 2;
  return Desc(dims, type_of(type), kTags[rank - 3][column]);
}

Layout layout_of(const Desc& desc) {
  const int64_t block = channel_block(desc);
  if (block == 8) return Layout::blocked8;
  if (block == 16) return Layout::blocked16;
  if (is_row_major(desc)) return Layout::row_major;
  const Dims dims = dims_of(desc);
  // Channels-last strides are those of the dims with the channels at the end.
  Dims moved = dims;
  if (moved.size() >= 3) std::rotate(moved.begin() + 1, moved.begin() + 2, moved.end());
  Dims strides = row_major_strides(moved);
  if (moved.size() >= 3) std::rotate(strides.begin() + 1, strides.end() - 1, strides.end());
  const bool last = dims.size() >= 3 && dims.size() <= 5 && same_placement(desc, with_strides(desc, strides));
  return last ? Layout::channels_last : Layout::row_major;
}

Dims dims_of(const Desc& desc) {
#if DNNL_VERSION_MAJOR >= 3
  return desc.get_dims();
#else
  return desc.dims();
#endif
}

size_t bytes_of(const Desc& desc) { return desc.get_size(); }

bool is_row_major(const Desc& desc) {
  return same_placement(desc, with_strides(desc, row_major_strides(dims_of(desc))));
}

std::optional<std::vector<Axis>> axes_of_memory(const Desc& desc) {
  const auto b = blocking_of(desc);
  if (!b) return std::nullopt;
  std::vector<Axis> inner;
  std::vector<int64_t> blocks(b->dims.size(), 1);
  int64_t stride = 1;
  for (size_t i = b->inner_blocks.size(); i-- > 0;) {
    const auto axis = static_cast<size_t>(b->inner_axes[i]);
    inner.push_back({static_cast<int>(axis), b->inner_blocks[i], stride, blocks[axis]});
    stride *= b->inner_blocks[i];
    blocks[axis] *= b->inner_blocks[i];
  }
  std::vector<Axis> axes;
  for (size_t i = 0; i < b->dims.size(); ++i) {
    axes.push_back({static_cast<int>(i), b->padded_dims[i] / blocks[i], b->strides[i], blocks[i]});
  }
  // Outermost first; among equal strides an axis of extent 1 may stand anywhere, so the order of axes
  // decides.
  std::ranges::stable_sort(axes, [](const Axis& x, const Axis& y) { return x.stride > y.stride; });
  axes.insert(axes.end(), inner.rbegin(), inner.rend());
  return axes;
}

bool same_placement(const Desc& a, const Desc& b) {
  if (a == b) return true;
  if (dims_of(a) != dims_of(b)) return false;
  auto x = axes_of_memory(a), y = axes_of_memory(b);
  if (!x || !y || bytes_of(a) != bytes_of(b)) return false;
  // What has extent 1 places nothing; an outer axis that continues its inner one is one axis.
  const auto simplify = [](std::vector<Axis>& axes) {
    std::vector<Axis> merged;
    for (const Axis& axis : axes) {
      if (axis.extent == 1) continue;
      if (!merged.empty() && merged.back().axis == axis.axis &&
          merged.back().stride == axis.stride * axis.extent) {
        merged.back() = {axis.axis, merged.back().extent * axis.extent, axis.stride, axis.step};
      } else {
        merged.push_back(axis);
      }
    }
    axes = std::move(merged);
  };
  simplify(*x);
  simplify(*y);
  return std::ranges::equal(*x, *y, [](const Axis& p, const Axis& q) {
    return p.axis == q.axis && p.extent == q.extent && p.stride == q.stride;
  });
}

bool has_padding(const Desc& desc) {
  const auto b = blocking_of(desc);
  return !b || b->dims != b->padded_dims;
}

int64_t channel_block(const Desc& desc) {
  const auto b = blocking_of(desc);
  if (!b) return 0;
  if (b->inner_blocks.empty()) return 1;
  return b->inner_blocks.size() == 1 && b->inner_axes[0] == 1 ? b->inner_blocks[0] : 0;
}

std::string layout_name(const Desc& desc) {
  const auto b = blocking_of(desc);
  if (!b) return "opaque";
  static const std::string kNames[] = {"", "x", "nc", "ncw", "nchw", "ncdhw"};
  const size_t rank = b->dims.size();
  std::vector<size_t> order(rank);
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t x, size_t y) { return b->strides[x] > b->strides[y]; });
  std::string name;
  for (size_t i : order) {
    std::string letter =
        rank < std::size(kNames) ? kNames[rank].substr(i, 1) : std::string(1, static_cast<char>('a' + i));
    if (std::ranges::find(b->inner_axes, static_cast<int64_t>(i)) != b->inner_axes.end())
      letter[0] -= 'a' - 'A';
    name += letter;
  }
  for (size_t i = 0; i < b->inner_blocks.size(); ++i) {
    const auto axis = static_cast<size_t>(b->inner_axes[i]);
    name += std::to_string(b->inner_blocks[i]);
    name += rank < std::size(kNames) ? kNames[rank][axis] : static_cast<char>('a' + axis);
  }
  return name;
}

std::string text_of(const Desc& desc) {
  const auto b = blocking_of(desc);
  if (!b || has_more_than_elements(desc)) return "";
  return fmt::format("type {} [{}] in [{}] by {} blocks {} of {} at {}", type_number(desc),
                     fmt::join(b->dims, ","), fmt::join(b->padded_dims, ","), fmt::join(b->strides, ","),
                     fmt::join(b->inner_blocks, ","), fmt::join(b->inner_axes, ","), offset_of(desc));
}

}  // namespace plica::onednn
