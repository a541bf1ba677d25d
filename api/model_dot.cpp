// Model::to_dot: the graph for Graphviz.
#include <fmt/format.h>

#include <iterator>
#include <unordered_map>

#include "api/graph_walk.h"
#include "engine/core/error.h"
#include "engine/graph/model_graph.h"
#include "plica/model.h"

namespace plica {
namespace {

constexpr size_t kMostLabel = 60;  // bytes of a name in a label

// For a quoted string of DOT, in which a backslash begins an escape sequence.
std::string label(std::string_view raw) {
  size_t end = std::min(raw.size(), kMostLabel);
  while (end < raw.size() && end > 0 && (raw[end] & 0xc0) == 0x80) --end;
  std::string out;
  for (char c : escaped(raw.substr(0, end))) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return end < raw.size() ? out + "..." : out;
}

class Dot {
 public:
  std::string of(const ModelGraph& model) {
    out_ = fmt::format(
        "digraph \"{}\" {{\n  node [shape=box, style=\"rounded,filled\", fillcolor=white, "
        "fontname=\"Helvetica\", "
        "fontsize=11];\n  edge [fontname=\"Helvetica\", fontsize=9, color=\"#5f5b54\"];\n",
        label(model.graph.name));
    add(model.graph, "  ");
    for (const auto& function : model.functions)
      add_cluster(function->graph, "function " + function->name, "  ");
    return out_ + "}\n";
  }

 private:
  void add(const Graph& graph, const std::string& indent) {
    for (const Value* value : graph.inputs()) {
      if (value->initializer()) continue;
      line(indent, "{} [label=\"{}\\n{}\", shape=ellipse, fillcolor=\"#e2f1e8\"];", source(value),
           label(value->name()), label(to_string(value->type())));
    }
    for (const Node* node : graph.nodes()) {
      if (node->is("Constant")) continue;
      const std::string id = node_id(node);
      line(indent, "{} [label=\"{}\", fillcolor=\"{}\"];", id, node_text(*node), color(*node));
      for (int i = 0; i < node->num_inputs(); ++i) {
        const Value* value = node->input(i);
        if (!value || is_constant(value)) continue;
        line(indent, "{} -> {} [label=\"{}\"];", source(value), id,
             value->type().is_tensor() ? label(to_string(value->type())) : "");
      }
      for_each_subgraph(node->attributes(),
                        [&](const Graph& sub) { add_cluster(sub, "inside " + node_label(*node), indent); });
    }
    for (const Value* value : graph.outputs()) {
      const std::string id = fmt::format("out{}", outputs_++);
      line(indent, "{} [label=\"{}\", shape=ellipse, fillcolor=\"#fbeecb\"];", id, label(value->name()));
      if (!is_constant(value)) line(indent, "{} -> {};", source(value), id);
    }
  }

  void add_cluster(const Graph& graph, const std::string& title, const std::string& indent) {
    line(indent, "subgraph cluster_{} {{ label=\"{}\"; style=rounded; fontname=\"Helvetica\";", clusters_++,
         label(title));
    add(graph, indent + "  ");
    line(indent, "}}");
  }

  template <class... Args>
  void line(const std::string& indent, fmt::format_string<Args...> format, Args&&... args) {
    out_ += indent + fmt::format(format, std::forward<Args>(args)...) + "\n";
  }

  static bool is_constant(const Value* value) { return value->constant() || value->initializer(); }

  static std::string_view color(const Node& node) {
    if (node.is("BatchNormalization")) return "#f6d9a8";
    if (node.is("Conv") || node.is("ConvTranspose") || node.is("Gemm") || node.is("MatMul")) return "#cfe0f3";
    return "white";
  }

  static std::string node_text(const Node& node) {
    std::string out = label(operator_name(node));
    if (!node.name.empty()) out += "\\n" + label(node.name);
    for (int i = 0; i < node.num_inputs(); ++i) {
      const Value* value = node.input(i);
      if (!value || !is_constant(value)) continue;
      const Tensor* tensor = value->initializer() ? value->initializer() : value->constant();
      out += "\\n" + label(value->name()) + ": " + label(to_string(*tensor));
    }
    return out;
  }

  std::string node_id(const Node* node) {
    return fmt::format("n{}", ids_.emplace(node, ids_.size()).first->second);
  }
  std::string source(const Value* value) {
    if (value->producer()) return node_id(value->producer());
    return fmt::format("v{}", ids_.emplace(value, ids_.size()).first->second);
  }

  std::string out_;
  std::unordered_map<const void*, size_t> ids_;
  int outputs_ = 0, clusters_ = 0;
};

}  // namespace

std::string Model::to_dot() const { return Dot().of(*graph_); }

}  // namespace plica
