// The labels of a classifier's classes, integers or strings, and the output that gives one for each row.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/fail.h"
#include "engine/core/tensor.h"
#include "engine/ops/attribute_reader.h"

namespace plica::ml {

class ClassLabels {
 public:
  // From the attributes of these names, exactly one of which has labels; throws invalid_model.
  ClassLabels(const AttributeReader& attributes, std::string_view ints, std::string_view strings)
      : ints_(attributes.ints(ints)), strings_(attributes.strings(strings)) {
    require(ints_.empty() != strings_.empty(), ErrorCode::invalid_model,
            "one of the attributes {} and {} must give labels", ints, strings);
  }

  size_t size() const { return ints_.empty() ? strings_.size() : ints_.size(); }
  DataType type() const { return ints_.empty() ? DataType::string : DataType::int64; }

  // {negative, positive}: the two labels, or 0 and 1 where there are not two.
  ClassLabels binary() const {
    ClassLabels two = *this;
    if (size() != 2) {
      if (ints_.empty()) {
        two.strings_ = {"0", "1"};
      } else {
        two.ints_ = {0, 1};
      }
    }
    return two;
  }

  // out[i] = the label of class `classes[i]`.
  void write(std::span<const int32_t> classes, Tensor& out) const {
    if (ints_.empty()) {
      std::string* to = out.mutable_data<std::string>();
      for (const int32_t c : classes) *to++ = strings_[static_cast<size_t>(c)];
    } else {
      int64_t* to = out.mutable_data<int64_t>();
      for (const int32_t c : classes) *to++ = ints_[static_cast<size_t>(c)];
    }
  }

 private:
  std::vector<int64_t> ints_;
  std::vector<std::string> strings_;
};

}  // namespace plica::ml
