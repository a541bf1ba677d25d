// Mutations of the parts of a model: tensors, attributes, declared types. What mutate.cpp does with them.
#pragma once

#include "tests/fuzz/mutate.h"

namespace plica::fuzz {

inline int below(Random& random, int n) {
  return n <= 0 ? 0 : static_cast<int>(random() % static_cast<unsigned>(n));
}
inline bool one_in(Random& random, int n) { return below(random, n) == 0; }
// `list` is not empty.
template <class List>
auto& any_of(List& list, Random& random) {
  return list[below(random, static_cast<int>(list.size()))];
}

int any_type(Random& random);  // an element type, or none
void mutate_tensor(onnx_format::TensorProto& tensor, Random& random);
void mutate_attribute(onnx_format::AttributeProto& attribute, Random& random);
// Of an input or output.
void mutate_declaration(onnx_format::ValueInfoProto& info, Random& random);

}  // namespace plica::fuzz
