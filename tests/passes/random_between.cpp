#include "tests/passes/random_generator.h"

namespace plica::testing {

bool Generator::between(Value* x) {
  const Dims dims = dims_of(x);
  const int64_t rank = std::ssize(dims);
  switch (r_.below(18)) {
    case 0:
    case 1:
      return add("Relu", {x});
    case 2:
      return unary(x, dims);
    case 3:
    case 4:
      return pool(x, dims);
    case 5:
      return reduce(x, rank);
    case 6:
    case 7:
      return concat(x, dims);
    case 8:
    case 9:
      return two_tensors(x, dims);
    case 10:
      return split(x, dims);
    case 11:
      return slice(x, dims);
    case 12:
      return pad(x, rank);
    case 13:
      return transpose(x, rank);
    case 14:
      return reshape(x, dims);
    case 15:
      return squeeze(x, dims);
    case 16:
      return resize(x, dims);
    default:
      return blocks(x, dims);
  }
}

bool Generator::unary(Value* x, const Dims& dims) {
  switch (r_.below(8)) {
    case 0:
      return add("LeakyRelu", {x}, {{"alpha", r_.chance(80) ? 0.1f : -0.5f}});
    case 1: {
      if (dims.size() < 2) return false;
      Dims slope(dims.size() - 1, 1);
      slope[0] = dims[1];
      return add("PRelu", {x, constant("slope", slope, -0.5, 1.5)});
    }
    case 2:
      return add("Abs", {x});
    case 3:
      return add("Tanh", {x});
    case 4:
      return add("Identity", {x});
    case 5:
      return add("Cast", {x}, {{"to", static_cast<int64_t>(type_)}});
    case 6:
      return add("Dropout", {x});
    default:
      if (opset_ >= 11)
        return add("Clip",
                   {x, keep("low", tensor_of(type_, {0}, {})), keep("high", tensor_of(type_, {6}, {}))});
      return add("Clip", {x}, {{"min", 0.f}, {"max", 6.f}});
  }
}

bool Generator::pool(Value* x, const Dims& dims) {
  if (dims.size() < 3 || dims.size() > 5) return false;
  const int64_t kind = r_.below(6);
  if (kind == 0) return add("GlobalAveragePool", {x});
  if (kind == 1) return add("GlobalMaxPool", {x});
  const auto spatial = static_cast<size_t>(std::ssize(dims) - 2);
  Ints kernel, strides, pads(2 * spatial, 0);
  const bool padded = r_.chance(40);
  for (size_t i = 0; i < spatial; ++i) {
    kernel.push_back(r_.between(1, 3));
    strides.push_back(r_.between(1, 2));
    if (padded && kernel[i] > 1) pads[i] = r_.between(0, 1), pads[spatial + i] = r_.between(0, 1);
  }
  std::vector<NamedAttribute> attributes = {{"kernel_shape", kernel}, {"strides", strides}, {"pads", pads}};
  if (kind < 4) return add("MaxPool", {x}, attributes);
  if (r_.chance(50)) attributes.push_back({"count_include_pad", int64_t{1}});
  return add("AveragePool", {x}, attributes);
}

bool Generator::reduce(Value* x, int64_t rank) {
  if (rank < 3) return false;
  const bool mean = r_.chance(70);
  Ints axes;
  if (r_.chance(70)) {
    for (int64_t a = 2; a < rank; ++a) axes.push_back(r_.chance(50) ? a : a - rank);
  } else {
    axes = {r_.below(rank)};
  }
  const int64_t keep_dims = r_.below(2);
  if (opset_ < 18)
    return add(mean ? "ReduceMean" : "ReduceMax", {x}, {{"axes", axes}, {"keepdims", keep_dims}});
  return add(mean ? "ReduceMean" : "ReduceMax", {x, ints("axes", axes)}, {{"keepdims", keep_dims}});
}

Value* Generator::like(const Dims& dims, int64_t axis) {
  std::vector<Value*> fitting;
  for (Value* v : pool_) {
    Dims other = dims_of(v);
    if (other.size() != dims.size()) continue;
    if (axis >= 0) other[static_cast<size_t>(axis)] = dims[static_cast<size_t>(axis)];
    if (other == dims) fitting.push_back(v);
  }
  return r_.pick(fitting);  // x itself is there
}

bool Generator::concat(Value* x, const Dims& dims) {
  if (dims.empty()) return false;
  const int64_t rank = std::ssize(dims), axis = rank > 1 && r_.chance(75) ? 1 : r_.below(rank);
  std::vector<Value*> inputs = {x};
  for (int64_t i = r_.between(1, 2); i > 0; --i) inputs.push_back(like(dims, axis));
  if (r_.chance(50)) std::swap(inputs[0], inputs[1]);
  return add("Concat", inputs, {{"axis", r_.chance(70) ? axis : axis - rank}});
}

bool Generator::two_tensors(Value* x, const Dims& dims) {
  Value* y = like(dims, -1);
  if (r_.chance(20)) y = any();  // broadcast, if it goes
  const int64_t k = r_.below(12);
  if (k < 6) return add("Add", {x, y});
  if (k < 7) return add("Sub", {x, y});
  if (k < 8) return add("Max", {x, y});
  if (k < 9) return add("Min", {x, y});
  if (k < 10) return add("Sum", {x, y, like(dims, -1)});
  // Products square what they multiply: one in a row is enough.
  for (Value* v : {x, y}) {
    if (grown_[v]) return false;
  }
  if (!add("Mul", {x, y})) return false;
  grown_[pool_.back()] = true;
  return true;
}

bool Generator::split(Value* x, const Dims& dims) {
  if (dims.size() < 2) return false;
  const int64_t axis = r_.chance(75) ? 1 : r_.below(std::ssize(dims)), size = dims[static_cast<size_t>(axis)];
  if (size < 2) return false;
  const int64_t first = r_.between(1, size - 1);
  const Ints sizes = {first, size - first};
  if (opset_ < 13) return add("Split", {x}, {{"axis", axis}, {"split", sizes}}, 2);
  return add("Split", {x, ints("split", sizes)}, {{"axis", axis}}, 2);
}

bool Generator::slice(Value* x, const Dims& dims) {
  if (dims.empty()) return false;
  const int64_t axis = r_.below(std::ssize(dims)), size = dims[static_cast<size_t>(axis)];
  if (size < 2) return false;
  const int64_t begin = r_.below(size - 1), end = r_.between(begin + 1, size);
  if (opset_ < 10)
    return add("Slice", {x}, {{"axes", Ints{axis}}, {"starts", Ints{begin}}, {"ends", Ints{end}}});
  if (r_.chance(25)) {  // backwards
    return add("Slice", {x, ints("starts", {-1}), ints("ends", {INT64_MIN + 1}), ints("axes", {axis}),
                         ints("steps", {-1})});
  }
  return add("Slice", {x, ints("starts", {begin}), ints("ends", {end}), ints("axes", {axis})});
}

bool Generator::pad(Value* x, int64_t rank) {
  if (rank < 3) return false;
  Ints pads(static_cast<size_t>(2 * rank), 0);
  for (int64_t a = r_.chance(80) ? 2 : 1; a < rank; ++a) {
    pads[static_cast<size_t>(a)] = r_.between(0, 1);
    pads[static_cast<size_t>(rank + a)] = r_.between(0, 2);
  }
  const int64_t k = r_.below(10);
  const std::string mode = k < 6 ? "constant" : k < 8 ? "edge" : "reflect";
  const double value = r_.chance(60) ? 0 : r_.real(-1, 1);
  if (opset_ < 11)
    return add("Pad", {x}, {{"pads", pads}, {"mode", mode}, {"value", static_cast<float>(value)}});
  std::vector<Value*> inputs = {x, ints("pads", pads)};
  if (mode == "constant" && r_.chance(70)) inputs.push_back(keep("value", tensor_of(type_, {value}, {})));
  return add("Pad", inputs, {{"mode", mode}});
}

bool Generator::transpose(Value* x, int64_t rank) {
  Ints perm(static_cast<size_t>(rank));
  for (int64_t i = 0; i < rank; ++i) perm[static_cast<size_t>(i)] = i;
  for (int64_t i = rank - 1; i > 0; --i)
    std::swap(perm[static_cast<size_t>(i)], perm[static_cast<size_t>(r_.below(i + 1))]);
  return add("Transpose", {x}, {{"perm", perm}});
}

bool Generator::reshape(Value* x, const Dims& dims) {
  const int64_t rank = std::ssize(dims);
  if (rank < 2) return false;
  const int64_t k = r_.below(4);
  if (k == 0) return add("Flatten", {x}, {{"axis", r_.chance(70) ? int64_t{1} : r_.below(rank + 1)}});
  Ints shape(dims.begin(), dims.end());
  if (k == 1) {  // two axes become one
    const auto at = static_cast<size_t>(r_.below(rank - 1));
    shape[at] *= shape[at + 1];
    shape.erase(shape.begin() + static_cast<int64_t>(at) + 1);
  } else if (k == 2) {  // one becomes two
    const auto at = static_cast<size_t>(r_.below(rank));
    const int64_t factor = shape[at] % 2 == 0 ? 2 : shape[at] % 3 == 0 ? 3 : 1;
    shape[at] /= factor;
    shape.insert(shape.begin() + static_cast<int64_t>(at) + r_.below(2), factor);
  } else {
    shape = {shape[0], -1};
  }
  if (r_.chance(40) && shape[0] == dims[0]) shape[0] = 0;
  return add("Reshape", {x, ints("shape", shape)});
}

bool Generator::squeeze(Value* x, const Dims& dims) {
  const int64_t rank = std::ssize(dims);
  Ints ones;
  for (int64_t a = 0; a < rank; ++a)
    if (dims[static_cast<size_t>(a)] == 1) ones.push_back(a);
  const bool unsqueeze = ones.empty() || r_.chance(40);
  const Ints axes = {unsqueeze ? r_.below(rank + 1) : r_.pick(ones)};
  if (unsqueeze && rank > 4) return false;
  const char* op = unsqueeze ? "Unsqueeze" : "Squeeze";
  if (opset_ < 13) return add(op, {x}, {{"axes", axes}});
  return add(op, {x, ints("axes", axes)});
}

bool Generator::resize(Value* x, const Dims& dims) {
  if (dims.size() < 3) return false;
  std::vector<float> scales(dims.size(), 1.f);
  for (size_t i = 2; i < scales.size(); ++i) scales[i] = r_.chance(70) ? 2.f : 1.5f;
  const std::string mode = dims.size() == 4 && r_.chance(50) ? "linear" : "nearest";
  const auto n = static_cast<int64_t>(scales.size());
  if (opset_ < 9) return add("Upsample", {x}, {{"scales", scales}, {"mode", mode}});
  Value* s = keep("scales", Tensor::of(scales, {n}));
  if (opset_ < 10) return add("Upsample", {x, s}, {{"mode", mode}});
  if (opset_ < 11) return add("Resize", {x, s}, {{"mode", mode}});
  Value* roi = opset_ < 13 ? keep("roi", Tensor(DataType::float32, {0})) : nullptr;
  return add("Resize", {x, roi, s}, {{"mode", mode}});
}

bool Generator::blocks(Value* x, const Dims& dims) {
  if (dims.size() != 4) return false;
  if (r_.chance(50)) return add("SpaceToDepth", {x}, {{"blocksize", int64_t{2}}});
  std::vector<NamedAttribute> attributes = {{"blocksize", int64_t{2}}};
  if (opset_ >= 11 && r_.chance(50)) attributes.push_back({"mode", std::string("CRD")});
  return add("DepthToSpace", {x}, attributes);
}

}  // namespace plica::testing
