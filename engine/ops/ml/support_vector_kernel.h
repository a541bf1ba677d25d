// The kernel functions of support vector machines: of two rows a and b
//   LINEAR a.b, POLY (gamma a.b + coef0)^degree, RBF exp(-gamma |a - b|^2), SIGMOID tanh(gamma a.b + coef0)
#pragma once

#include <cmath>
#include <cstdint>

#include "engine/core/fail.h"
#include "engine/ops/attribute_reader.h"

namespace plica::ml {

class SupportVectorKernel {
 public:
  enum class Kind { linear, poly, rbf, sigmoid };

  // The linear kernel.
  SupportVectorKernel() = default;
  // From kernel_type and kernel_params (gamma, coef0, degree); throws invalid_model.
  explicit SupportVectorKernel(const AttributeReader& attributes) {
    const std::string name = attributes.s("kernel_type");
    if (name == "POLY") {
      kind_ = Kind::poly;
    } else if (name == "RBF") {
      kind_ = Kind::rbf;
    } else if (name == "SIGMOID") {
      kind_ = Kind::sigmoid;
    } else {
      require(name == "LINEAR", ErrorCode::invalid_model,
              "kernel_type is {}, it must be LINEAR, POLY, RBF or SIGMOID", quoted(name));
    }
    const auto parameters = attributes.floats("kernel_params");
    require(parameters.empty() || parameters.size() == 3, ErrorCode::invalid_model,
            "kernel_params has {} elements, it must have 3", parameters.size());
    if (parameters.empty()) return;
    gamma_ = parameters[0];
    coef0_ = parameters[1];
    degree_ = parameters[2];
  }

  float operator()(const float* a, const float* b, int64_t length) const {
    float sum = 0;
    if (kind_ == Kind::rbf) {
      for (int64_t i = 0; i < length; ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
      return std::exp(-gamma_ * sum);
    }
    for (int64_t i = 0; i < length; ++i) sum += a[i] * b[i];
    switch (kind_) {
      case Kind::poly:
        return std::pow(gamma_ * sum + coef0_, degree_);
      case Kind::sigmoid:
        return std::tanh(gamma_ * sum + coef0_);
      default:
        return sum;
    }
  }

 private:
  Kind kind_ = Kind::linear;
  float gamma_ = 0, coef0_ = 0, degree_ = 0;
};

}  // namespace plica::ml
