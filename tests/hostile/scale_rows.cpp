// G4 and G5: valid models of many nodes, and of graphs within graphs. All of them work within the bounds of
// time and memory, which a step that takes the square of their number would not.
#include <algorithm>

#include "tests/hostile/hostile.h"

namespace plica::hostile {
namespace {

// x: float32[4]; `make` adds nodes and outputs.
Row valid(std::string name, const std::function<void(ModelProto&)>& make) {
  return {std::move(name),
          [make] {
            ModelProto model = empty_model();
            *model.mutable_graph()->add_input() = value_info("x", {4});
            make(model);
            return model.SerializeAsString();
          },
          {},
          true};
}
Row of_nodes(std::string name, const std::function<void(GraphProto&)>& make) {
  return valid(std::move(name), [make](ModelProto& model) { make(*model.mutable_graph()); });
}

std::string numbered(const char* name, int i) { return name + std::to_string(i); }

// A chain of these operators, one after the other; those of two operands read `one` too.
void chain(GraphProto& graph, int length, const std::vector<const char*>& ops) {
  add_operand(graph, floats("one", {4}));
  std::string last = "x";
  for (int i = 0; i < length; ++i) {
    const std::string op = ops[static_cast<size_t>(i) % ops.size()];
    const bool binary = op == "Add" || op == "Mul" || op == "Sub" || op == "Max";
    add_node(graph, op, binary ? std::vector{last, std::string("one")} : std::vector{last},
             {numbered("t", i)});
    last = numbered("t", i);
  }
  graph.add_output()->set_name(last);
}

// Sum of all t0, t1, ...
void sum(GraphProto& graph, int count) {
  NodeProto& node = add_node(graph, "Sum", {}, {"y"});
  for (int i = 0; i < count; ++i) node.add_input(numbered("t", i));
  graph.add_output()->set_name("y");
}

// f.Fi, whose body is one node.
void add_function(ModelProto& model, int i, const char* op, const char* domain) {
  FunctionProto& f = *model.add_functions();
  f.set_domain("f");
  f.set_name(numbered("F", i));
  f.add_input("a");
  f.add_output("b");
  f.add_opset_import()->set_version(17);
  auto* own = f.add_opset_import();
  own->set_domain("f");
  own->set_version(1);
  NodeProto& node = *f.add_node();
  node.set_op_type(op);
  node.set_domain(domain);
  node.add_input("a");
  node.add_output("b");
}

void import_functions(ModelProto& model) {
  auto* opset = model.add_opset_import();
  opset->set_domain("f");
  opset->set_version(1);
}

AttributeProto& add_graph(NodeProto& node, const char* name, GraphProto graph) {
  AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(AttributeProto::GRAPH);
  *attribute.mutable_g() = std::move(graph);
  return attribute;
}

GraphProto graph_of(const char* op, const std::string& input, const std::string& output) {
  GraphProto graph;
  graph.set_name(output);
  add_node(graph, op, {input}, {output});
  graph.add_output()->set_name(output);
  return graph;
}

// The condition c and `depth` graphs, each the branch of an If in the one around it.
void add_ifs(GraphProto& graph, int depth, const std::string& output) {
  if (depth == 0) {
    add_node(graph, "Neg", {"x"}, {output});
    return;
  }
  GraphProto inner;
  inner.set_name(numbered("then", depth));
  add_ifs(inner, depth - 1, numbered("y", depth));
  inner.add_output()->set_name(numbered("y", depth));
  NodeProto& node = add_node(graph, "If", {"c"}, {output});
  add_graph(node, "else_branch", graph_of("Abs", "x", numbered("e", depth)));
  add_graph(node, "then_branch", std::move(inner));
}

// Loops that run twice, and twice for each time around them.
void add_loops(GraphProto& graph, int depth, const std::string& input, const std::string& output) {
  if (depth == 0) {
    add_node(graph, "Neg", {input}, {output});
    return;
  }
  GraphProto body;
  body.set_name(numbered("body", depth));
  *body.add_input() = value_info(numbered("i", depth), {}, TensorProto::INT64);
  *body.add_input() = value_info(numbered("go", depth), {}, TensorProto::BOOL);
  body.add_input()->set_name(numbered("s", depth));
  add_node(body, "Identity", {numbered("go", depth)}, {numbered("on", depth)});
  add_loops(body, depth - 1, numbered("s", depth), numbered("r", depth));
  body.add_output()->set_name(numbered("on", depth));
  body.add_output()->set_name(numbered("r", depth));
  add_graph(add_node(graph, "Loop", {depth <= 3 ? "two" : "once", "", input}, {output}), "body",
            std::move(body));
}

Row ifs(const std::string& name, int depth, bool harmless) {
  Row row = of_nodes(name, [depth](GraphProto& g) {
    add_operand(g, input("c", {}, TensorProto::BOOL));
    add_ifs(g, depth, "y");
    g.add_output()->set_name("y");
  });
  row.harmless = harmless;
  return row;
}

}  // namespace

Rows scale_rows() {
  return {
      of_nodes("G4_chain", [](GraphProto& g) { chain(g, 20'000, {"Neg"}); }),
      of_nodes(
          "G4_chain_of_operators",
          [](GraphProto& g) {
            chain(g, 15'000, {"Relu", "Add", "Sigmoid", "Mul", "Neg", "Exp", "Tanh", "Sub", "Abs", "Max"});
          }),
      of_nodes("G4_chain_backwards_in_the_file",
               [](GraphProto& g) {
                 chain(g, 20'000, {"Neg", "Abs"});
                 std::reverse(g.mutable_node()->pointer_begin(), g.mutable_node()->pointer_end());
               }),
      of_nodes("G4_fan_out",
               [](GraphProto& g) {
                 for (int i = 0; i < 20'000; ++i) add_node(g, "Neg", {"x"}, {numbered("t", i)});
                 add_node(g, "Relu", {"x"}, {"y"});
                 g.add_output()->set_name("y");
               }),
      of_nodes("G4_equal_nodes_backwards_in_the_file",
               [](GraphProto& g) {
                 add_node(g, "Exp", {"x"}, {"r"});
                 for (int i = 0; i < 15'000; ++i) add_node(g, "Neg", {"r"}, {numbered("t", i)});
                 std::reverse(g.mutable_node()->pointer_begin(), g.mutable_node()->pointer_end());
                 sum(g, 15'000);
               }),
      of_nodes("G4_products_into_a_sum",
               [](GraphProto& g) {
                 for (int i = 0; i < 6'000; ++i) {
                   add_operand(g, floats(numbered("c", i), {4}, static_cast<float>(i)));
                   add_node(g, "Mul", {"x", numbered("c", i)}, {numbered("t", i)});
                 }
                 sum(g, 6'000);
               }),
      of_nodes("G4_split_and_concat",
               [](GraphProto& g) {
                 *g.add_input() = value_info("wide", {15'000});
                 NodeProto& split = add_node(g, "Split", {"wide"}, {});
                 set_attribute(split, "axis", int64_t{0});
                 NodeProto& concat = add_node(g, "Concat", {}, {"y"});
                 set_attribute(concat, "axis", int64_t{0});
                 for (int i = 0; i < 15'000; ++i) {
                   split.add_output(numbered("t", i));
                   concat.add_input(numbered("t", 14'999 - i));
                 }
                 g.add_output()->set_name("y");
               }),
      of_nodes("G4_outputs",
               [](GraphProto& g) {
                 for (int i = 0; i < 10'000; ++i) {
                   add_node(g, "Neg", {i == 0 ? "x" : numbered("a", i - 1)}, {numbered("a", i)});
                   add_node(g, "Identity", {numbered("a", i)}, {numbered("t", i)});
                   g.add_output()->set_name(numbered("t", i));
                 }
               }),
      of_nodes(
          "G4_equal_initializers",
          [](GraphProto& g) {
            for (int i = 0; i < 15'000; ++i) {
              add_operand(g, floats(numbered("c", i), {4}));
              add_node(g, "Max", {i == 0 ? "x" : numbered("t", i - 1), numbered("c", i)}, {numbered("t", i)});
            }
            g.add_output()->set_name(numbered("t", 14'999));
          }),
      of_nodes("G4_layer_norms",
               [](GraphProto& g) {
                 add_operand(g, floats("e", {1}, 1e-5f));
                 add_operand(g, floats("scale", {4}, 0.5f));
                 std::string x = "x";
                 for (int i = 0; i < 1500; ++i) {
                   const auto name = [i](const char* part) { return numbered(part, i); };
                   for (const auto& [from, to] :
                        {std::pair(x, name("mean")), {name("square"), name("variance")}}) {
                     if (from != x) add_node(g, "Mul", {name("d"), name("d")}, {from});
                     set_attribute(add_node(g, "ReduceMean", {from}, {to}), "axes", Ints{-1});
                     if (from == x) add_node(g, "Sub", {x, name("mean")}, {name("d")});
                   }
                   add_node(g, "Add", {name("variance"), "e"}, {name("sum")});
                   add_node(g, "Sqrt", {name("sum")}, {name("root")});
                   add_node(g, "Div", {name("d"), name("root")}, {name("n")});
                   add_node(g, "Mul", {name("n"), "scale"}, {name("y")});
                   x = name("y");
                 }
                 g.add_output()->set_name(x);
               }),
      of_nodes("G4_shapes_that_depend_on_data",
               [](GraphProto& g) {
                 *g.add_input() = value_info("keep", {4}, TensorProto::BOOL);
                 add_operand(g, integers("begin", {0}));
                 add_operand(g, integers("end", {4}));
                 std::string last = "x";
                 for (int i = 0; i < 3000; ++i) {
                   const auto name = [i](const char* part) { return numbered(part, i); };
                   set_attribute(add_node(g, "Compress", {last, "keep"}, {name("a")}), "axis", int64_t{0});
                   set_attribute(add_node(g, "Concat", {name("a"), "x"}, {name("b")}), "axis", int64_t{0});
                   add_node(g, "Slice", {name("b"), "begin", "end"}, {name("t")});
                   last = name("t");
                 }
                 g.add_output()->set_name(last);
               }),
      valid("G4_functions",
            [](ModelProto& model) {
              import_functions(model);
              for (int i = 0; i < 10'000; ++i) {
                add_function(model, i, "Neg", "");
                add_node(*model.mutable_graph(), numbered("F", i), {i == 0 ? "x" : numbered("t", i - 1)},
                         {numbered("t", i)})
                    .set_domain("f");
              }
              model.mutable_graph()->add_output()->set_name(numbered("t", 9'999));
            }),
      valid("G4_functions_that_call_the_next",
            [](ModelProto& model) {
              import_functions(model);
              for (int i = 0; i < 10'000; ++i) {
                const bool last = i == 9'999;
                add_function(model, i, last ? "Neg" : numbered("F", i + 1).c_str(), last ? "" : "f");
              }
              add_node(*model.mutable_graph(), "F0", {"x"}, {"y"}).set_domain("f");
              model.mutable_graph()->add_output()->set_name("y");
            }),
      of_nodes("G4_captures",
               [](GraphProto& g) {
                 add_operand(g, input("c", {}, TensorProto::BOOL));
                 GraphProto inner;
                 inner.set_name("inner");
                 for (int i = 0; i < 20'000; ++i) {
                   set_attribute(add_node(g, "LeakyRelu", {"x"}, {numbered("t", i)}), "alpha",
                                 static_cast<float>(i));
                 }
                 sum(inner, 20'000);
                 inner.mutable_node(0)->set_output(0, "s");
                 inner.mutable_output(0)->set_name("s");
                 NodeProto& node = add_node(g, "If", {"c"}, {"y"});
                 add_graph(node, "then_branch", std::move(inner));
                 add_graph(node, "else_branch", graph_of("Abs", "x", "e"));
                 g.add_output()->set_name("y");
               }),
      ifs("G5_ifs_nested_32", 32, true),
      ifs("G5_ifs_nested_33", 33, false),
      of_nodes("G5_loops_nested_32",
               [](GraphProto& g) {
                 add_operand(g, scalar("two", 2));
                 add_operand(g, scalar("once", 1));
                 add_loops(g, 32, "x", "y");
                 g.add_output()->set_name("y");
               }),
  };
}

}  // namespace plica::hostile
