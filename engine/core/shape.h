// Shapes: what is known of a tensor's dimensions before it exists (Shape, of Dim), and when it does (Dims).
#pragma once

#include <cstdint>
#include <optional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/api.h"

namespace PLICA_API plica {

// The dimensions of a tensor that exists. Empty for a scalar.
using Dims = std::vector<int64_t>;

// One dimension: a number, a symbol ("batch": equal symbols are equal numbers within one model), or unknown.
class Dim {
 public:
  Dim() = default;                                                // unknown
  Dim(int64_t value) : value_(value) {}                           // NOLINT: a number is a Dim
  static Dim symbol(std::string name) {
    Dim d;
    d.symbol_ = std::move(name);
    return d;
  }

  bool is_known() const { return value_.has_value(); }
  bool is_symbol() const { return !symbol_.empty(); }
  int64_t value() const { return *value_; }  // only when is_known()
  const std::string& symbol() const { return symbol_; }

  // Certainly equal: the same number or the same symbol. Two unknowns are not.
  bool same_as(const Dim& other) const {
    if (is_known() || other.is_known()) return value_ == other.value_;
    return is_symbol() && symbol_ == other.symbol_;
  }
  bool operator==(const Dim&) const = default;

 private:
  std::optional<int64_t> value_;
  std::string symbol_;
};

// A shape of known rank. (An unknown rank is an absent Shape.)
class Shape {
 public:
  Shape() = default;
  explicit Shape(std::vector<Dim> dims) : dims_(std::move(dims)) {}
  Shape(std::initializer_list<Dim> dims) : dims_(dims) {}
  explicit Shape(const Dims& dims) : dims_(dims.begin(), dims.end()) {}

  int rank() const { return static_cast<int>(dims_.size()); }
  const Dim& operator[](int i) const { return dims_[static_cast<size_t>(i)]; }
  Dim& operator[](int i) { return dims_[static_cast<size_t>(i)]; }
  const std::vector<Dim>& dims() const { return dims_; }
  void push_back(Dim dim) { dims_.push_back(std::move(dim)); }
  auto begin() const { return dims_.begin(); }
  auto end() const { return dims_.end(); }
  bool operator==(const Shape&) const = default;

  bool is_known() const;             // every dimension is a number
  std::optional<Dims> known() const;  // the numbers, when all are

 private:
  std::vector<Dim> dims_;
};

std::string to_string(const Dim& dim);      // "3", "batch", "?"
std::string to_string(const Shape& shape);  // "[batch, 3, ?, 224]"
std::string to_string(const Dims& dims);    // "[1, 3, 224, 224]"

}  // namespace plica
