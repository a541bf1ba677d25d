#include "engine/core/shape.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace plica {

bool Shape::is_known() const {
  for (const Dim& dim : dims_) {
    if (!dim.is_known()) return false;
  }
  return true;
}

std::optional<Dims> Shape::known() const {
  Dims out;
  out.reserve(dims_.size());
  for (const Dim& dim : dims_) {
    if (!dim.is_known()) return std::nullopt;
    out.push_back(dim.value());
  }
  return out;
}

std::string to_string(const Dim& dim) {
  if (dim.is_known()) return std::to_string(dim.value());
  return dim.is_symbol() ? dim.symbol() : "?";
}

std::string to_string(const Shape& shape) {
  std::string out = "[";
  for (int i = 0; i < shape.rank(); ++i) {
    if (i) out += ", ";
    out += to_string(shape[i]);
  }
  return out + "]";
}

std::string to_string(const Dims& dims) { return fmt::format("[{}]", fmt::join(dims, ", ")); }

}  // namespace plica
