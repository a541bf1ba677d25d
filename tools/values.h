// Values of tensors of any element type: as doubles, in short, compared, and made up.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "plica/tensor.h"
#include "tools/console.h"

namespace plica::tools {

bool is_numeric(DataType type);  // integers, booleans and floats of 8 to 64 bits with a C++ type

// Throws Error(unsupported) when the type is not numeric.
std::vector<double> to_doubles(const Tensor& tensor);

struct Statistics {
  double min = 0, max = 0, mean = 0;  // of the finite elements
  int64_t not_finite = 0;
};
Statistics statistics(const Tensor& tensor);

// The first `count` elements as text; strings are quoted.
std::vector<std::string> first_values(const Tensor& tensor, size_t count);
// One line: "float32[1, 10]  min 0.01  max 0.93  mean 0.1  [0.01, 0.93, ...]".
std::string summary(const Tensor& tensor);
// The same for machines.
Json summary_json(const Tensor& tensor);

struct Difference {
  int64_t differing = 0;    // elements beyond the tolerance
  int64_t first = -1;       // the first of them, as a flat index
  double max_absolute = 0;  // over pairs of finite elements
  double largest = 0;       // magnitude of a finite expected element
  std::string mismatch;     // not empty: type or dims differ, "float32[2], expected int64[2]"
  bool equal() const { return mismatch.empty() && differing == 0; }
};
// Elements are equal when |actual - expected| <= atol + rtol |expected|, or both are NaN, or the same
// infinity (NumPy's assert_allclose); integers, booleans and strings too, by the same rule or exactly.
Difference compare(const Tensor& actual, const Tensor& expected, double rtol, double atol);

// splitmix64 (Steele, Lea & Flood 2014), its top 24 bits: floats in [-1, 1) that single precision holds
// exactly; bytes over their whole range; larger integers 0 or 1, which are valid as indices of nearly
// everything; booleans.
Tensor random_tensor(DataType type, Dims dims, uint64_t seed);

}  // namespace plica::tools
