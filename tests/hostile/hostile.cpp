#include "tests/hostile/hostile.h"

namespace plica::hostile {

Operand floats(const std::string& name, const Ints& dims, float value) {
  Operand operand{name, {}, dims};
  int64_t count = 1;
  for (int64_t d : dims) count *= d;
  operand.tensor.set_data_type(TensorProto::FLOAT);
  for (int64_t d : dims) operand.tensor.add_dims(d);
  for (int64_t i = 0; i < count; ++i) operand.tensor.add_float_data(value);
  return operand;
}

Operand integers(const std::string& name, const Ints& values) {
  Operand operand{name};
  operand.tensor.set_data_type(TensorProto::INT64);
  operand.tensor.add_dims(static_cast<int64_t>(values.size()));
  for (int64_t v : values) operand.tensor.add_int64_data(v);
  return operand;
}

Operand scalar(const std::string& name, int64_t value) {
  Operand operand = integers(name, {value});
  operand.tensor.clear_dims();
  return operand;
}

void set_attribute(NodeProto& node, const std::string& name, const AttributeOf& value) {
  AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  if (const auto* i = std::get_if<int64_t>(&value)) {
    attribute.set_type(AttributeProto::INT);
    attribute.set_i(*i);
  } else if (const auto* f = std::get_if<float>(&value)) {
    attribute.set_type(AttributeProto::FLOAT);
    attribute.set_f(*f);
  } else if (const auto* s = std::get_if<std::string>(&value)) {
    attribute.set_type(AttributeProto::STRING);
    attribute.set_s(*s);
  } else {
    attribute.set_type(AttributeProto::INTS);
    for (int64_t i : std::get<Ints>(value)) attribute.add_ints(i);
  }
}

ModelProto empty_model(int64_t opset) {
  ModelProto model;
  model.set_ir_version(8);
  model.add_opset_import()->set_version(opset);
  model.mutable_graph()->set_name("hostile");
  return model;
}

ValueInfoProto value_info(const std::string& name, const Ints& dims, int type) {
  ValueInfoProto info;
  info.set_name(name);
  auto* tensor = info.mutable_type()->mutable_tensor_type();
  tensor->set_elem_type(type);
  auto* shape = tensor->mutable_shape();
  for (int64_t d : dims) shape->add_dim()->set_dim_value(d);
  return info;
}

void add_operand(GraphProto& graph, const Operand& operand) {
  if (operand.name.empty()) return;
  if (operand.tensor.data_type() != 0) {
    TensorProto& tensor = *graph.add_initializer() = operand.tensor;
    tensor.set_name(operand.name);
  } else {
    *graph.add_input() = value_info(operand.name, operand.dims, operand.type);
  }
}

ModelProto model_of(const std::string& op, const std::vector<Operand>& inputs, const Attributes& attributes,
                    int outputs, int64_t opset) {
  ModelProto model = empty_model(opset);
  GraphProto& graph = *model.mutable_graph();
  NodeProto& node = *graph.add_node();
  node.set_op_type(op);
  node.set_name("bad");
  for (const Operand& operand : inputs) {
    add_operand(graph, operand);
    node.add_input(operand.name);
  }
  for (const auto& [name, value] : attributes) set_attribute(node, name, value);
  for (int i = 0; i < outputs; ++i) {
    node.add_output("y" + std::to_string(i));
    graph.add_output()->set_name("y" + std::to_string(i));
  }
  return model;
}

Row node_row(std::string name, const std::string& op, const std::vector<Operand>& inputs,
             const Attributes& attributes, std::vector<std::string> parts, int outputs, int64_t opset) {
  return {std::move(name),
          [=] { return model_of(op, inputs, attributes, outputs, opset).SerializeAsString(); },
          std::move(parts)};
}

std::string varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(0x80 | (value & 0x7f));
  return out += static_cast<char>(value);
}

std::string field(int number, const std::string& bytes) {
  return varint(static_cast<uint64_t>(number) << 3 | 2) + varint(bytes.size()) + bytes;
}

}  // namespace plica::hostile
