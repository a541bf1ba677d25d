// An operator of the application's own: the model says com.example.Swirl, which no runtime has. Here it is y
// = x sin(x).
//
//     custom_operator
//
// The model is written out here, as the bytes of an ONNX file: x -> Swirl -> Relu -> y.
#include <plica/plica.h>

#include <cmath>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

namespace {

class Swirl : public plica::CustomOperator {
 public:
  void infer(plica::InferCall& call) const override {
    call.set_output(0, call.input_type(0), call.input_shape(0));
  }
  void compute(plica::ComputeCall& call) const override {
    const float frequency = call.float_attribute("frequency").value_or(1.0f);
    const auto x = call.input(0).values<float>();
    const auto y = call.output(0).mutable_values<float>();
    call.parallel_for(static_cast<int64_t>(x.size()), 4096, [&](int64_t begin, int64_t end) {
      for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i)
        y[i] = x[i] * std::sin(frequency * x[i]);
    });
  }
};

// A field of protobuf that is a message or a string.
std::string field(int number, const std::string& body) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(body.size())} + body;
}
std::string integer(int number, int value) {
  return {static_cast<char>(number << 3), static_cast<char>(value)};
}

std::string tensor_value(const std::string& name) {  // ValueInfoProto: float32[4]
  const std::string shape = field(1, integer(1, 4));
  return field(1, name) + field(2, field(1, integer(1, 1) + field(2, shape)));
}

std::string model_bytes() {
  const std::string swirl = field(1, "x") + field(2, "s") + field(4, "Swirl") + field(7, "com.example");
  const std::string relu = field(1, "s") + field(2, "y") + field(4, "Relu");
  const std::string graph = field(1, swirl) + field(1, relu) + field(2, "example") +
                            field(11, tensor_value("x")) + field(12, tensor_value("y"));
  return integer(1, 8) + field(8, integer(2, 17)) + field(8, field(1, "com.example") + integer(2, 1)) +
         field(7, graph);
}

}  // namespace

int main() try {
  plica::Model model = plica::Model::parse(model_bytes());
  for (const plica::Finding& finding : model.check())
    std::cerr << "before: " << finding.node << " " << finding.message << "\n";
  model.add_operator({.domain = "com.example", .name = "Swirl", .max_inputs = 1}, std::make_shared<Swirl>());

  const plica::Session session(model);
  const std::vector<float> x = {-2, -1, 1, 4};
  const plica::TensorMap results = session.run({{"x", plica::Tensor::view(x, {4})}});
  for (const float y : results.at("y").values<float>()) std::printf("%.4f\n", static_cast<double>(y));
} catch (const std::exception& error) {
  std::cerr << "custom_operator: " << error.what() << "\n";
  return 1;
}
