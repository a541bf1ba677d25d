#include "passes/fold/affine.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/core/checked.h"

namespace plica {
namespace {

constexpr double kUnit = std::numeric_limits<double>::epsilon() / 2;  // of rounding in double

int64_t elements(const Dims& dims) { return checked_elements(dims); }

// The dims that both broadcast to, or nothing.
std::optional<Dims> broadcast(const Dims& a, const Dims& b) {
  const Dims &longer = a.size() < b.size() ? b : a, &shorter = a.size() < b.size() ? a : b;
  Dims out = longer;
  const size_t offset = longer.size() - shorter.size();
  for (size_t i = 0; i < shorter.size(); ++i) {
    int64_t& d = out[offset + i];
    if (d == 1) {
      d = shorter[i];
    } else if (shorter[i] != 1 && shorter[i] != d) {
      return std::nullopt;
    }
  }
  return out;
}

// Calls f(index of the result, index of the factor) for all elements of `to`.
template <class F>
void for_each_broadcast(const Dims& from, const Dims& to, F&& f) {
  const size_t rank = to.size(), offset = rank - from.size();
  Dims strides(rank, 0), at(rank, 0);
  int64_t stride = 1;
  for (size_t i = from.size(); i-- > 0;) {
    if (from[i] != 1) strides[offset + i] = stride;
    stride *= from[i];
  }
  const int64_t count = elements(to);
  int64_t source = 0;
  for (int64_t i = 0; i < count; ++i) {
    f(static_cast<size_t>(i), static_cast<size_t>(source));
    for (size_t a = rank; a-- > 0;) {
      source += strides[a];
      if (++at[a] < to[a]) break;
      source -= strides[a] * to[a];
      at[a] = 0;
    }
  }
}

}  // namespace

int64_t Affine::extent(int axis, int operand_rank) const {
  const int i = axis - (operand_rank - rank());
  return i < 0 ? 1 : dims[static_cast<size_t>(i)];
}

Dims Affine::extents(int operand_rank) const {
  Dims out(static_cast<size_t>(operand_rank) - dims.size(), 1);
  out.insert(out.end(), dims.begin(), dims.end());
  return out;
}

bool Affine::has_scale() const {
  return std::ranges::any_of(scale, [](double s) { return s != 1; });
}
bool Affine::has_shift() const {
  return std::ranges::any_of(shift, [](double t) { return t != 0; });
}
bool Affine::is_finite() const {
  const auto finite = [](double v) { return std::isfinite(v); };
  return std::ranges::all_of(scale, finite) && std::ranges::all_of(shift, finite);
}
std::optional<size_t> Affine::first_negative() const {
  const auto it = std::ranges::find_if(scale, [](double s) { return s < 0; });
  if (it == scale.end()) return std::nullopt;
  return static_cast<size_t>(it - scale.begin());
}
bool Affine::is_nonnegative() const { return !first_negative(); }

Affine Affine::scale_only() const {
  Affine a = *this;
  a.shift.assign(size(), 0.0);
  a.shift_error.assign(size(), 0.0);
  return simplest(std::move(a));
}
Affine Affine::shift_only() const {
  Affine a = *this;
  a.scale.assign(size(), 1.0);
  return simplest(std::move(a));
}

Affine identity_affine() { return uniform_affine(1, 0); }
Affine uniform_affine(double scale, double shift) { return {{}, {scale}, {shift}, {0.0}}; }

std::optional<Affine> compose(const Affine& outer, const Affine& inner) {
  const auto dims = broadcast(outer.dims, inner.dims);
  if (!dims || elements(*dims) > kMostFactors || outer.size() == 0 || inner.size() == 0) return std::nullopt;
  const Affine o = expand(outer, *dims);
  Affine out = expand(inner, *dims);
  for (size_t i = 0; i < out.size(); ++i) {
    const double scaled = o.scale[i] * out.shift[i];
    out.scale[i] *= o.scale[i];
    out.shift[i] = scaled + o.shift[i];
    out.shift_error[i] = std::abs(o.scale[i]) * out.shift_error[i] + o.shift_error[i] +
                         kUnit * (std::abs(scaled) + std::abs(out.shift[i]));
  }
  return out;
}

Affine expand(const Affine& affine, const Dims& dims) {
  if (affine.dims == dims) return affine;
  Affine out;
  out.dims = dims;
  const auto count = static_cast<size_t>(elements(dims));
  out.scale.resize(count);
  out.shift.resize(count);
  out.shift_error.resize(count);
  for_each_broadcast(affine.dims, dims, [&](size_t to, size_t from) {
    out.scale[to] = affine.scale[from];
    out.shift[to] = affine.shift[from];
    out.shift_error[to] = affine.shift_error[from];
  });
  return out;
}

Affine gather(const Affine& affine, const Dims& extents, const std::function<size_t(const Dims&)>& source) {
  Affine out;
  out.dims = extents;
  const int64_t count = elements(extents);
  Dims at(extents.size(), 0);
  for (int64_t i = 0; i < count; ++i) {
    const size_t from = source(at);
    out.scale.push_back(affine.scale[from]);
    out.shift.push_back(affine.shift[from]);
    out.shift_error.push_back(affine.shift_error[from]);
    for (size_t a = extents.size(); a-- > 0;) {
      if (++at[a] < extents[a]) break;
      at[a] = 0;
    }
  }
  return out;
}

Affine simplest(Affine affine) {
  for (size_t axis = 0; axis < affine.dims.size(); ++axis) {
    const int64_t extent = affine.dims[axis];
    if (extent <= 1) continue;
    int64_t inner = 1;
    for (size_t i = axis + 1; i < affine.dims.size(); ++i) inner *= affine.dims[i];
    const auto run = static_cast<size_t>(inner), block = static_cast<size_t>(extent * inner);
    bool equal = true;
    for (size_t i = 0; equal && i < affine.size(); ++i) {
      const size_t first = i / block * block + i % run;
      equal = affine.scale[i] == affine.scale[first] && affine.shift[i] == affine.shift[first];
    }
    if (!equal) continue;
    Affine less;
    less.dims = affine.dims;
    less.dims[axis] = 1;
    for (size_t i = 0; i < affine.size(); ++i) {
      if (i % block >= run) {
        double& error = less.shift_error[i / block * run + i % run];
        error = std::max(error, affine.shift_error[i]);
        continue;
      }
      less.scale.push_back(affine.scale[i]);
      less.shift.push_back(affine.shift[i]);
      less.shift_error.push_back(affine.shift_error[i]);
    }
    affine = std::move(less);
  }
  const auto first = std::ranges::find_if(affine.dims, [](int64_t d) { return d != 1; });
  affine.dims.erase(affine.dims.begin(), first);
  return affine;
}

std::optional<Affine> by_channel(const Affine& affine, int axis_from_last, int64_t channels) {
  for (int i = 0; i < affine.rank(); ++i) {
    const int64_t extent = affine.dims[static_cast<size_t>(i)];
    if (extent != 1 && (affine.rank() - 1 - i != axis_from_last || extent != channels)) return std::nullopt;
  }
  Affine out = affine;
  out.dims = {static_cast<int64_t>(affine.size())};
  return expand(out, {channels});
}

bool same(const Affine& a, const Affine& b) {
  return a.dims == b.dims && a.scale == b.scale && a.shift == b.shift;
}

}  // namespace plica
