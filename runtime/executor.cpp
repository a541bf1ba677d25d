#include "runtime/executor.h"

#include <algorithm>
#include <map>

#include "engine/core/fail.h"
#include "engine/core/parallel.h"
#include "engine/ops/infer.h"
#include "engine/ops/table.h"
#include "runtime/plan/compile.h"
#include "runtime/plan/plan_cache.h"

namespace plica {
namespace {

// Integer inputs of at most so many elements may hold shapes: their values may become part of the plan.
constexpr int64_t kMostShapeElements = 64;

bool may_hold_a_shape(const Tensor& t) {
  return (t.type() == DataType::int64 || t.type() == DataType::int32) && t.rank() <= 1 &&
         t.size() <= kMostShapeElements;
}

void check_operators(const Graph& graph) {
  std::map<std::string, std::string> missing;  // operator -> nodes
  for (const Node* node : graph.nodes()) {
    const OpDef* def = find_op(*node);
    if (def && def->evaluate) continue;
    const std::string op =
        fmt::format("{}{} (opset {})", node->domain().empty() ? "" : node->domain() + "::", node->op_type(),
                    node->opset());
    std::string& nodes = missing[op];
    if (!nodes.empty()) nodes += ", ";
    nodes += quoted(!node->name.empty() ? node->name : node->has_output(0) ? node->output(0)->name() : "");
  }
  if (missing.empty()) return;
  std::string list;
  for (const auto& [op, nodes] : missing)
    list += fmt::format("{}{} in {}", list.empty() ? "" : "; ", op, nodes);
  fail(ErrorCode::unsupported, "operators that are not supported: {}", list);
}

void check_input(const Value& value, const Tensor& tensor,
                 std::map<std::string, std::pair<int64_t, std::string>>& symbols) {
  const std::string name = quoted(value.name());
  require(tensor.defined(), ErrorCode::invalid_argument, "input {} has no value", name);
  const Type& type = value.type();
  if (!type.is_tensor()) return;
  require(type.element == DataType::undefined || type.element == tensor.type(), ErrorCode::invalid_argument,
          "input {} has element type {}, the model takes {}", name, to_string(tensor.type()),
          to_string(type.element));
  if (!type.shape) return;
  const Shape& shape = *type.shape;
  bool fits = shape.rank() == tensor.rank();
  for (int i = 0; fits && i < shape.rank(); ++i)
    fits = !shape[i].is_known() || shape[i].value() == tensor.dim(i);
  require(fits, ErrorCode::invalid_argument, "input {} has shape {}, the model takes {}", name,
          to_string(tensor.dims()), to_string(shape));
  for (int i = 0; i < shape.rank(); ++i) {
    // Exporters write "?" for every dimension that they don't know: it names none.
    if (!shape[i].is_symbol() || shape[i].symbol() == "?") continue;
    const auto [it, is_new] = symbols.try_emplace(shape[i].symbol(), tensor.dim(i), value.name());
    require(is_new || it->second.first == tensor.dim(i), ErrorCode::invalid_argument,
            "input {} has shape {}: dimension {} is {}, but {} in input {}", name, to_string(tensor.dims()),
            quoted(shape[i].symbol()), tensor.dim(i), it->second.first, quoted(it->second.second));
  }
}

}  // namespace

struct Executor::Impl {
  std::shared_ptr<const ModelGraph> model;
  int threads;
  mutable ConstantCache constants;
  mutable PlanCache plans;
  mutable WorkspacePool workspaces;

  Impl(std::shared_ptr<const ModelGraph> m, const ExecutorOptions& options)
      : model(std::move(m)),
        threads(options.threads > 0 ? options.threads : available_cpus()),
        plans(options.cached_plans) {}

  // The inputs by position, checked.
  std::vector<Tensor> arrange(const NamedTensors& given) const {
    const Graph& graph = model->graph;
    std::vector<Tensor> inputs;
    std::map<std::string, std::pair<int64_t, std::string>> symbols;
    size_t used = 0;
    for (const Value* v : graph.inputs()) {
      if (auto it = given.find(v->name()); it != given.end()) {
        check_input(*v, it->second, symbols);
        inputs.push_back(it->second);
        ++used;
      } else {
        require(v->initializer() != nullptr, ErrorCode::invalid_argument, "input {} is missing",
                quoted(v->name()));
        inputs.push_back(*v->initializer());
      }
    }
    if (used != given.size()) {
      for (const auto& [name, tensor] : given) {
        const bool known =
            std::ranges::any_of(graph.inputs(), [&](const Value* v) { return v->name() == name; });
        require(known, ErrorCode::invalid_argument, "the model has no input {}", quoted(name));
      }
    }
    return inputs;
  }

  GraphFacts infer(const std::vector<Tensor>& inputs, bool with_values) const {
    InferOptions options;
    const auto& values = model->graph.inputs();
    for (size_t i = 0; i < values.size(); ++i) {
      options.inputs[values[i]] = Type::tensor(inputs[i].type(), Shape(inputs[i].dims()));
      if (with_values && may_hold_a_shape(inputs[i])) options.input_values[values[i]] = inputs[i];
    }
    return infer_graph(model->graph, options);
  }

  static size_t unknown_shapes(const Graph& graph, const GraphFacts& facts) {
    size_t count = 0;
    for (const Value* v : graph.values()) count += v->producer() && !facts.dims(v);
    return count;
  }

  std::shared_ptr<const Plan> plan_for(const std::vector<Tensor>& inputs) const {
    std::string key;
    bool shapes_among_inputs = false;
    for (const Tensor& t : inputs) {
      key += fmt::format("{}:{};", static_cast<int>(t.type()), fmt::join(t.dims(), "x"));
      shapes_among_inputs |= may_hold_a_shape(t);
    }
    if (shapes_among_inputs && values_matter(key, inputs)) {
      for (const Tensor& t : inputs) {
        if (may_hold_a_shape(t)) key.append(static_cast<const char*>(t.raw()), t.bytes());
        key += ';';
      }
      return plans.get("values;" + key,
                       [&] { return compile(model->graph, infer(inputs, true), {}, constants); });
    }
    return plans.get(key, [&] { return compile(model->graph, infer(inputs, false), {}, constants); });
  }

  // More shapes are known when the values of small integer inputs are.
  bool values_matter(const std::string& key, const std::vector<Tensor>& inputs) const {
    {
      std::lock_guard lock(mutex);
      if (auto it = matters.find(key); it != matters.end()) return it->second;
    }
    const size_t without = unknown_shapes(model->graph, infer(inputs, false));
    const bool answer = without > 0 && unknown_shapes(model->graph, infer(inputs, true)) < without;
    std::lock_guard lock(mutex);
    if (matters.size() > 1024) matters.clear();
    matters[key] = answer;
    return answer;
  }
  mutable std::mutex mutex;
  mutable std::unordered_map<std::string, bool> matters;
};

Executor::Executor(std::shared_ptr<const ModelGraph> model, ExecutorOptions options)
    : impl_(std::make_unique<Impl>(std::move(model), options)) {
  check_operators(impl_->model->graph);
}

Executor::~Executor() = default;

NamedTensors Executor::run(const NamedTensors& inputs) const {
  const std::vector<Tensor> arranged = impl_->arrange(inputs);
  const ThreadScope threads(impl_->threads);
  const std::shared_ptr<const Plan> plan = impl_->plan_for(arranged);
  std::unique_ptr<Workspace> workspace = impl_->workspaces.lease(plan);
  // A workspace of a run that threw is not used again.
  std::vector<Tensor> results = plan->run(*workspace, arranged);
  impl_->workspaces.give_back(std::move(workspace));
  NamedTensors outputs;
  const auto& values = impl_->model->graph.outputs();
  for (size_t i = 0; i < values.size(); ++i) outputs[values[i]->name()] = std::move(results[i]);
  return outputs;
}

PlanInfo Executor::describe(const NamedTensors& inputs) const {
  const std::vector<Tensor> arranged = impl_->arrange(inputs);
  const ThreadScope threads(impl_->threads);
  return impl_->plan_for(arranged)->info();
}

}  // namespace plica
