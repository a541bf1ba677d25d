// G1 to G3, G6 to G8 and K8: graphs that are no graphs, functions that never end, sizes that grow without
// bound.
#include "tests/hostile/hostile.h"

namespace plica::hostile {
namespace {

Row changed(std::string name, const std::function<void(ModelProto&)>& change,
            std::vector<std::string> parts = {}, bool harmless = false) {
  return {std::move(name),
          [change] {
            ModelProto model = small_model();
            model.mutable_graph()->mutable_node(0)->set_name("bad");
            change(model);
            return model.SerializeAsString();
          },
          std::move(parts), harmless};
}

NodeProto& node_of(ModelProto& model) { return *model.mutable_graph()->mutable_node(0); }

// A function of the domain "f" whose body calls others.
FunctionProto& add_function(ModelProto& model, const std::string& name,
                            const std::vector<std::string>& calls) {
  FunctionProto& function = *model.add_functions();
  function.set_domain("f");
  function.set_name(name);
  function.add_input("a");
  function.add_output("b");
  function.add_opset_import()->set_version(13);
  auto* own = function.add_opset_import();
  own->set_domain("f");
  own->set_version(1);
  std::string last = "a";
  for (size_t i = 0; i < calls.size(); ++i) {
    NodeProto& node = *function.add_node();
    node.set_op_type(calls[i]);
    node.set_domain(calls[i] == "Relu" ? "" : "f");
    node.add_input(last);
    last = i + 1 == calls.size() ? "b" : "t" + std::to_string(i);
    node.add_output(last);
  }
  return function;
}

void call(ModelProto& model, const std::string& function) {
  auto* opset = model.add_opset_import();
  opset->set_domain("f");
  opset->set_version(1);
  node_of(model).set_op_type(function);
  node_of(model).set_domain("f");
}

GraphProto body_of_loop(const std::string& op) {
  GraphProto body;
  body.set_name("body");
  *body.add_input() = value_info("i", {}, TensorProto::INT64);
  *body.add_input() = value_info("c", {}, TensorProto::BOOL);
  body.add_input()->set_name("carried");
  add_node(body, "Identity", {"c"}, {"go"});
  add_node(body, op, {"carried"}, {"next"});
  body.add_output()->set_name("go");
  body.add_output()->set_name("next");
  return body;
}

std::string loop(int64_t trips) {
  ModelProto model = model_of("Loop", {scalar("trips", trips), none(), input("x", {2})});
  AttributeProto& body = *model.mutable_graph()->mutable_node(0)->add_attribute();
  body.set_name("body");
  body.set_type(AttributeProto::GRAPH);
  *body.mutable_g() = body_of_loop("Neg");
  return model.SerializeAsString();
}

// x, then a value t between two nodes, then y.
Row declared(const std::string& name, const std::function<void(GraphProto&)>& change,
             std::vector<std::string> parts = {}) {
  const bool harmless = parts.empty();
  return changed(
      "G8_declared_" + name,
      [change](ModelProto& m) {
        node_of(m).set_output(0, "t");
        add_node(*m.mutable_graph(), "Neg", {"t"}, {"y"});
        change(*m.mutable_graph());
      },
      std::move(parts), harmless);
}

}  // namespace

Rows graph_rows() {
  return {
      changed("G1_undefined_input", [](ModelProto& m) { node_of(m).set_input(0, "nothing"); }, {"'nothing'"}),
      changed("G1_undefined_output",
              [](ModelProto& m) { m.mutable_graph()->mutable_output(0)->set_name("nothing"); },
              {"'nothing'"}),
      changed("G1_input_left_out", [](ModelProto& m) { node_of(m).set_input(0, ""); }, {"'bad'"}),
      changed("G1_no_inputs", [](ModelProto& m) { node_of(m).clear_input(); }, {"'bad'"}),
      changed("G1_too_many_inputs",
              [](ModelProto& m) {
                for (int i = 0; i < 9; ++i) node_of(m).add_input("x");
              },
              {"'bad'"}),
      changed("G1_no_outputs", [](ModelProto& m) { node_of(m).clear_output(); }),
      changed("G1_too_many_outputs", [](ModelProto& m) { node_of(m).add_output("z"); }, {"'bad'"}),
      changed("G1_no_type", [](ModelProto& m) { node_of(m).clear_op_type(); }, {"'bad'"}),
      changed("G2_itself", [](ModelProto& m) { node_of(m).set_input(0, "y"); }),
      changed("G2_cycle",
              [](ModelProto& m) {
                node_of(m).set_input(0, "b");
                add_node(*m.mutable_graph(), "Neg", {"y"}, {"b"});
              }),
      changed("G3_output_twice", [](ModelProto& m) { add_node(*m.mutable_graph(), "Neg", {"x"}, {"y"}); },
              {"'y'"}),
      changed("G3_output_is_an_input", [](ModelProto& m) { node_of(m).set_output(0, "x"); }, {"'x'"}),
      changed("G3_initializer_twice",
              [](ModelProto& m) {
                for (int i = 0; i < 2; ++i)
                  add_initializer(*m.mutable_graph(), "w", TensorProto::FLOAT, {1}, std::string(4, '\0'));
              },
              {"'w'"}),
      changed("G3_input_twice", [](ModelProto& m) { *m.mutable_graph()->add_input() = m.graph().input(0); },
              {"'x'"}),
      changed("G6_calls_itself",
              [](ModelProto& m) {
                add_function(m, "F", {"F"});
                call(m, "F");
              },
              {"F"}),
      changed("G6_call_one_another",
              [](ModelProto& m) {
                add_function(m, "F", {"G"});
                add_function(m, "G", {"F"});
                call(m, "F");
              }),
      changed("G6_doubles_40_times",
              [](ModelProto& m) {
                for (int i = 0; i < 40; ++i) {
                  const std::string next = i == 39 ? "Relu" : "F" + std::to_string(i + 1);
                  add_function(m, "F" + std::to_string(i), {next, next});
                }
                call(m, "F0");
              }),
      changed(
          "G6_chain_of_1000_functions",
          [](ModelProto& m) {
            for (int i = 0; i < 1000; ++i)
              add_function(m, "F" + std::to_string(i), {i == 999 ? "Relu" : "F" + std::to_string(i + 1)});
            call(m, "F0");
          },
          {}, true),
      changed("G6_function_twice",
              [](ModelProto& m) {
                add_function(m, "F", {"Relu"});
                add_function(m, "F", {"Relu"});
                call(m, "F");
              }),
      changed("G7_attribute_of_no_function",
              [](ModelProto& m) {
                AttributeProto& a = *node_of(m).add_attribute();
                a.set_name("alpha");
                a.set_ref_attr_name("outer");
                a.set_type(AttributeProto::FLOAT);
              },
              {"'bad'"}),
      changed("G7_unknown_attribute", [](ModelProto& m) { set_attribute(node_of(m), "colour", int64_t{1}); },
              {"'bad'", "colour"}),
      changed("G7_attribute_twice",
              [](ModelProto& m) {
                node_of(m).set_op_type("LeakyRelu");
                for (int i = 0; i < 2; ++i) set_attribute(node_of(m), "alpha", 0.5f);
              },
              {"'bad'", "alpha"}),
      changed("G7_subgraph_missing", [](ModelProto& m) { node_of(m).set_op_type("If"); }, {"'bad'"}),
      changed("G8_no_nodes", [](ModelProto& m) { m.mutable_graph()->clear_node(); }),
      changed(
          "G8_no_outputs", [](ModelProto& m) { m.mutable_graph()->clear_output(); }, {}, true),
      declared("output_of_other_type",
               [](GraphProto& g) { *g.mutable_output(0) = value_info("y", {2}, TensorProto::INT64); },
               {"'y'", "int64", "float32"}),
      declared("value_of_other_type",
               [](GraphProto& g) { *g.add_value_info() = value_info("t", {2}, TensorProto::DOUBLE); },
               {"'bad'", "'t'", "float64", "float32"}),
      declared("output_is_a_sequence",
               [](GraphProto& g) {
                 auto* type = g.mutable_output(0)->mutable_type();
                 type->mutable_sequence_type()->mutable_elem_type()->mutable_tensor_type()->set_elem_type(
                     TensorProto::FLOAT);
               },
               {"'y'", "sequence"}),
      // Exporters write down the shapes of one example; those that are computed count.
      declared("value_of_other_shape", [](GraphProto& g) { *g.add_value_info() = value_info("t", {7}); }),
      declared("output_of_other_rank",
               [](GraphProto& g) {
                 *g.mutable_output(0) = value_info("y", {1, 2});
               }),
      declared("output_of_a_symbol",
               [](GraphProto& g) {
                 g.mutable_output(0)
                     ->mutable_type()
                     ->mutable_tensor_type()
                     ->mutable_shape()
                     ->mutable_dim(0)
                     ->set_dim_param("N");
               }),
      declared("output_of_negative_size", [](GraphProto& g) { *g.mutable_output(0) = value_info("y", {-2}); },
               {"'y'", "negative"}),
      {"K8_loop_2_62", [] { return loop(int64_t{1} << 62); }, {"time limit"}, false, {"--timeout", "0.2"}},
      {"K8_loop_negative", [] { return loop(-5); }, {}, true},
  };
}

}  // namespace plica::hostile
