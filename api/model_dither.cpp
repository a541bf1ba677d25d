// Model::dithered: a copy whose weights are off by one unit in the last place.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <unordered_set>

#include "engine/core/dispatch.h"
#include "engine/graph/model_graph.h"
#include "plica/model.h"

namespace plica {
namespace {

// splitmix64 (Steele, Lea & Flood 2014)
class Coin {
 public:
  explicit Coin(uint64_t seed) : state_(seed) {}
  bool toss() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return ((z ^ (z >> 31)) >> 63) != 0;
  }

 private:
  uint64_t state_;
};

// Stepping the bits of an IEEE number by one goes to the next magnitude, exponents included. Zeros stay, they
// are structure rather than rounded numbers; so does what is not finite or would not be.
template <class T>
T moved(T value, Coin& coin) {
  using Bits =
      std::conditional_t<sizeof(T) == 2, uint16_t, std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>>;
  const bool up = coin.toss();
  if (static_cast<double>(value) == 0 || !std::isfinite(static_cast<double>(value))) return value;
  const auto bits = std::bit_cast<Bits>(value);
  const T next = std::bit_cast<T>(static_cast<Bits>(up ? bits + 1 : bits - 1));
  return std::isfinite(static_cast<double>(next)) ? next : value;
}

bool is_weight_type(DataType type) {
  return type == DataType::float32 || type == DataType::float64 || type == DataType::float16 ||
         type == DataType::bfloat16;
}

Tensor dithered(const Tensor& tensor, Coin& coin) {
  return dispatch<FloatTypes>(tensor.type(), [&]<class T>(std::type_identity<T>) {
    Tensor out(tensor.type(), tensor.dims());
    std::ranges::transform(tensor.values<T>(), out.mutable_data<T>(), [&](T v) { return moved(v, coin); });
    return out;
  });
}

// Whether every reader of a value takes it for a weight.
class Weights {
 public:
  explicit Weights(const Graph& graph) { visit(graph); }
  bool contains(const Value* value) const {
    return std::ranges::all_of(value->uses(),
                               [&](const Use& use) { return reads_weight(*use.node, use.index); }) &&
           !value->uses().empty() && !value->is_graph_output();
  }

 private:
  // Backwards, so that a value's readers are known before it; nested readers before the node that has them.
  void visit(const Graph& graph) {
    const std::vector<Node*> nodes = graph.nodes();
    for (auto it = nodes.rbegin(); it != nodes.rend(); ++it) {
      for_each_subgraph((*it)->attributes(), [&](const Graph& sub) { visit(sub); });
      if (moves_elements(**it) && contains((*it)->output(0))) movers_.insert(*it);
    }
  }

  static bool moves_elements(const Node& node) {
    constexpr std::array<std::string_view, 7> kMovers = {"Identity",  "Reshape", "Transpose", "Squeeze",
                                                         "Unsqueeze", "Flatten", "Cast"};
    return node.num_outputs() == 1 && node.has_output(0) &&
           std::ranges::any_of(kMovers, [&](std::string_view op) { return node.is(op); });
  }

  bool reads_weight(const Node& node, int index) const {
    if (movers_.contains(&node)) return index == 0;
    constexpr std::array<std::string_view, 9> kLinear = {"Conv",
                                                         "ConvTranspose",
                                                         "Gemm",
                                                         "MatMul",
                                                         "BatchNormalization",
                                                         "InstanceNormalization",
                                                         "LayerNormalization",
                                                         "PRelu",
                                                         "GroupNormalization"};
    if (std::ranges::any_of(kLinear, [&](std::string_view op) { return node.is(op); })) return true;
    // A scalar may be a design constant or take part in the arithmetic of shapes.
    const Value* value = node.input(index);
    const Tensor* constant = value ? value->constant() : nullptr;
    const bool scalar = constant && constant->size() <= 1;
    return !scalar && (node.is("Add") || node.is("Sub") || node.is("Mul") || node.is("Div"));
  }

  std::unordered_set<const Node*> movers_;
};

void dither(Graph& graph, Coin& coin) {
  const Weights weights(graph);
  const auto dither_graph = [&](Graph& g, const auto& self) -> void {
    for (Value* value : g.initializers()) {
      const Tensor& t = *value->initializer();
      if (is_weight_type(t.type()) && weights.contains(value)) g.set_initializer(value, dithered(t, coin));
    }
    for (Node* node : g.nodes()) {
      const Attribute* attribute = node->is("Constant") ? node->attributes().find("value") : nullptr;
      const Tensor* t = attribute ? std::get_if<Tensor>(&attribute->value) : nullptr;
      if (t && is_weight_type(t->type()) && node->has_output(0) && weights.contains(node->output(0))) {
        Attribute changed = *attribute;
        changed.value = dithered(*t, coin);
        g.set_attribute(node, std::move(changed));
      }
      for_each_subgraph(node->attributes(), [&](Graph& sub) { self(sub, self); });
    }
  };
  dither_graph(graph, dither_graph);
}

}  // namespace

Model Model::dithered(uint64_t seed) const {
  std::unique_ptr<ModelGraph> changed = graph_->clone();
  Coin coin(seed);
  dither(changed->graph, coin);
  for (const auto& function : changed->functions) dither(function->graph, coin);
  return Model(std::move(changed));
}

}  // namespace plica
