#include <fmt/format.h>
#include <fmt/ranges.h>

#include "engine/core/error.h"
#include "engine/graph/graph.h"

namespace plica {
namespace {

std::string print_attribute(const Attribute& a);

struct Printer {
  std::string out;

  void graph(const Graph& g, int depth) {
    const std::string indent(static_cast<size_t>(depth) * 2, ' ');
    out += fmt::format("{}graph {}(", indent, g.name);
    const char* comma = "";
    for (const Value* v : g.inputs()) {
      out += fmt::format("{}{}: {}", comma, v->name(), to_string(v->type()));
      comma = ", ";
    }
    out += ") -> (";
    comma = "";
    for (const Value* v : g.outputs()) {
      out += fmt::format("{}{}: {}", comma, v->name(), to_string(v->type()));
      comma = ", ";
    }
    out += ") {\n";
    for (const Value* v : g.initializers()) {
      out += fmt::format("{}  {} = {}\n", indent, v->name(), to_string(*v->initializer()));
    }
    for (const Node* n : g.nodes()) node(*n, depth + 1);
    out += indent + "}\n";
  }

  void node(const Node& n, int depth) {
    const auto name_of = [](const Value* v) { return v ? v->name() : std::string("_"); };
    out += std::string(static_cast<size_t>(depth) * 2, ' ');
    for (int i = 0; i < n.num_outputs(); ++i) out += (i ? ", " : "") + name_of(n.output(i));
    out += fmt::format(" = {}{}", n.domain().empty() ? "" : n.domain() + ".", n.op_type());
    if (!n.attributes().empty()) {
      out += "<";
      const char* comma = "";
      for (const Attribute& a : n.attributes()) {
        out += comma + print_attribute(a);
        comma = ", ";
      }
      out += ">";
    }
    out += "(";
    for (int i = 0; i < n.num_inputs(); ++i) out += (i ? ", " : "") + name_of(n.input(i));
    out += ")\n";
    for_each_subgraph(n.attributes(), [&](const Graph& sub) { graph(sub, depth + 1); });
  }
};

std::string print_attribute(const Attribute& a) {
  if (!a.ref_name.empty()) return fmt::format("{}: @{}", a.name, a.ref_name);
  const std::string value = std::visit(
      [](const auto& v) -> std::string {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, std::monostate>) return "undefined";
        else if constexpr (std::is_same_v<T, float> || std::is_same_v<T, int64_t>) return fmt::format("{}", v);
        else if constexpr (std::is_same_v<T, std::string>) return quoted(v);
        else if constexpr (std::is_same_v<T, Tensor> || std::is_same_v<T, Type>) return to_string(v);
        else if constexpr (std::is_same_v<T, GraphPtr>) return "{...}";
        else if constexpr (std::is_same_v<T, SparseTensor>) return "sparse " + to_string(v.values);
        else if constexpr (std::is_same_v<T, std::vector<float>> || std::is_same_v<T, std::vector<int64_t>>)
          return fmt::format("[{}]", fmt::join(v, ", "));
        else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
          std::string out = "[";
          for (size_t i = 0; i < v.size(); ++i) out += (i ? ", " : "") + quoted(v[i]);
          return out + "]";
        } else return fmt::format("[{} items]", v.size());
      },
      a.value);
  return fmt::format("{}: {}", a.name, value);
}

}  // namespace

std::string print(const Graph& graph) {
  Printer p;
  p.graph(graph, 0);
  return std::move(p.out);
}

}  // namespace plica
