// Models for tests of the API and of the program, built node by node.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine/graph/model_graph.h"
#include "engine/onnx/onnx.h"

namespace plica {

class ModelBuilder {
 public:
  explicit ModelBuilder(int64_t opset = 17) {
    model.ir_version = 8;
    model.opset_imports = {{"", opset}};
    model.graph.name = "test";
  }
  Value* input(const std::string& name, Shape shape, DataType type = DataType::float32) {
    return model.graph.add_input(name, Type::tensor(type, std::move(shape)));
  }
  Value* constant(const std::string& name, Tensor tensor) {
    return model.graph.add_initializer(name, std::move(tensor));
  }
  Value* node(const std::string& op, std::vector<Value*> inputs, const std::string& output,
              Attributes attributes = {}, const std::string& domain = "") {
    Value* value = model.graph.add_value(output);
    model.graph.add_node(op, domain, std::move(inputs), {value}, std::move(attributes))->name =
        "make_" + output;
    return value;
  }
  void output(Value* value, DataType type = DataType::float32) {
    model.graph.set_type(value, Type::tensor(type));
    model.graph.add_output(value);
  }
  std::string bytes() const { return serialize_model(model); }

  ModelGraph model;
};

// y = BatchNormalization(Conv(x)): x is [N, 2, 4, 4], the convolution 1x1 without padding.
inline std::string conv_batch_norm_model(float variance = 4) {
  ModelBuilder b;
  Value* x = b.input("x", Shape{Dim::symbol("N"), 2, 4, 4});
  Value* w = b.constant("w", Tensor::of<float>({1, 2, 3, 4}, {2, 2, 1, 1}));
  Value* conv = b.node("Conv", {x, w}, "conv");
  Value* y = b.node("BatchNormalization",
                    {conv, b.constant("scale", Tensor::vector<float>({2, 3})),
                     b.constant("bias", Tensor::vector<float>({0.5f, -1})),
                     b.constant("mean", Tensor::vector<float>({1, 2})),
                     b.constant("var", Tensor::vector<float>({variance, 9}))},
                    "y");
  b.output(y);
  return b.bytes();
}

}  // namespace plica
