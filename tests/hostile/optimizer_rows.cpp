// O1 to O6: valid models that optimizers have stumbled over. All of them work; tests/passes has what the
// results must be, this that nothing breaks on the way.
#include <cmath>
#include <limits>

#include "tests/hostile/hostile.h"

namespace plica::hostile {
namespace {

// BatchNormalization(Conv(x)) with a channel's parameter replaced.
Row batch_norm(const std::string& name, int parameter, float value, float epsilon = 1e-5f) {
  return {"O2_" + name,
          [=] {
            ModelProto model = empty_model();
            GraphProto& graph = *model.mutable_graph();
            *graph.add_input() = value_info("x", {1, 2, 4, 4});
            add_operand(graph, floats("w", {2, 2, 1, 1}));
            add_node(graph, "Conv", {"x", "w"}, {"c"});
            NodeProto& node = add_node(graph, "BatchNormalization", {"c", "s", "b", "m", "v"}, {"y"});
            node.set_name("bad");
            set_attribute(node, "epsilon", epsilon);
            int i = 0;
            for (const char* part : {"s", "b", "m", "v"}) {
              Operand operand = floats(part, {2});
              if (i++ == parameter) operand.tensor.set_float_data(1, value);
              add_operand(graph, operand);
            }
            graph.add_output()->set_name("y");
            return model.SerializeAsString();
          },
          {},
          true};
}

Row valid(std::string name, const std::function<void(GraphProto&)>& make) {
  return {std::move(name),
          [make] {
            ModelProto model = empty_model();
            GraphProto& graph = *model.mutable_graph();
            *graph.add_input() = value_info("x", {1, 2, 4, 4});
            make(graph);
            return model.SerializeAsString();
          },
          {},
          true};
}

}  // namespace

Rows optimizer_rows() {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  Rows rows = {
      valid("O1_folding_bomb_unread",
            [](GraphProto& g) {
              add_operand(g, integers("s", {100'000, 100'000}));
              add_node(g, "ConstantOfShape", {"s"}, {"huge"});
              add_node(g, "Shape", {"huge"}, {"dims"});
              add_node(g, "Relu", {"x"}, {"y"});
              g.add_output()->set_name("y");
            }),
      valid("O1_folding_bomb_shape_only",
            [](GraphProto& g) {
              add_operand(g, integers("s", {3'000, 3'000}));
              add_node(g, "ConstantOfShape", {"s"}, {"large"});
              add_node(g, "Shape", {"large"}, {"y"});
              g.add_output()->set_name("y");
            }),
      batch_norm("variance_negative", 3, -1),
      batch_norm("variance_0_epsilon_0", 3, 0, 0),
      batch_norm("variance_infinite", 3, inf),
      batch_norm("variance_nan", 3, nan),
      batch_norm("variance_subnormal", 3, 1e-42f, 0),
      batch_norm("scale_0", 0, 0),
      batch_norm("scale_1e38", 0, 1e38f),
      batch_norm("mean_infinite", 2, inf),
      batch_norm("epsilon_negative", 3, 0, -1),
      batch_norm("epsilon_nan", 3, 1, nan),
      valid("O3_intermediate_is_an_output",
            [](GraphProto& g) {
              add_operand(g, floats("w", {2, 2, 1, 1}));
              add_node(g, "Conv", {"x", "w"}, {"c"});
              add_node(g, "Relu", {"c"}, {"y"});
              g.add_output()->set_name("y");
              g.add_output()->set_name("c");
            }),
      valid("O3_input_is_an_output",
            [](GraphProto& g) {
              add_node(g, "Identity", {"x"}, {"y"});
              g.add_output()->set_name("y");
              g.add_output()->set_name("x");
            }),
      valid("O4_identities_500",
            [](GraphProto& g) {
              for (int i = 0; i < 500; ++i)
                add_node(g, i % 2 ? "Identity" : "Transpose", {i ? "t" + std::to_string(i) : "x"},
                         {i == 499 ? "y" : "t" + std::to_string(i + 1)});
              g.add_output()->set_name("y");
            }),
      valid("O5_names_that_folding_makes",
            [](GraphProto& g) {
              add_operand(g, floats("w", {2, 2, 1, 1}));
              add_operand(g, floats("w_folded", {2}));
              add_node(g, "Conv", {"x", "w"}, {"c"});
              add_operand(g, floats("two", {1}, 2));
              add_node(g, "Mul", {"c", "two"}, {"c_folded"});
              add_operand(g, floats("w_folded_1", {1}));
              add_node(g, "Add", {"c_folded", "w_folded_1"}, {"y"});
              g.add_output()->set_name("y");
            }),
      valid("O6_clip_of_relu_above_0",
            [](GraphProto& g) {
              add_node(g, "Relu", {"x"}, {"r"});
              for (const auto& [name, value] : {std::pair("low", 1.f), {"high", 0.5f}}) {
                Operand bound = floats(name, {1}, value);
                bound.tensor.clear_dims();
                add_operand(g, bound);
              }
              add_node(g, "Clip", {"r", "low", "high"}, {"y"});
              g.add_output()->set_name("y");
            }),
      valid("O6_clip_nan",
            [nan](GraphProto& g) {
              Operand bound = floats("low", {1}, nan);
              bound.tensor.clear_dims();
              add_operand(g, bound);
              add_node(g, "Clip", {"x", "low"}, {"y"});
              g.add_output()->set_name("y");
            }),
  };
  return rows;
}

}  // namespace plica::hostile
