#include "runtime/executor.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <optional>

#include "engine/core/fail.h"
#include "engine/core/parallel.h"
#include "engine/graph/inline_functions.h"
#include "engine/ops/table.h"
#include "runtime/plan/runner.h"
#include "runtime/plan/step_recorder.h"

namespace plica {
namespace {

using MissingOperators = std::map<std::string, std::string>;  // operator -> nodes

void find_missing(const Graph& graph, MissingOperators& missing) {
  for (const Node* node : graph.nodes()) {
    for_each_subgraph(node->attributes(), [&](const Graph& body) { find_missing(body, missing); });
    const OpDef* def = find_op(*node);
    if (def && def->evaluate) continue;
    const std::string op =
        fmt::format("{}{} (opset {})", node->domain().empty() ? "" : node->domain() + "::", node->op_type(),
                    node->opset());
    std::string& nodes = missing[op];
    if (!nodes.empty()) nodes += ", ";
    nodes += quoted(!node->name.empty() ? node->name : node->has_output(0) ? node->output(0)->name() : "");
  }
}

void check_operators(const Graph& graph) {
  MissingOperators missing;
  find_missing(graph, missing);
  if (missing.empty()) return;
  std::string list;
  for (const auto& [op, nodes] : missing)
    list += fmt::format("{}{} in {}", list.empty() ? "" : "; ", op, nodes);
  fail(ErrorCode::unsupported, "operators that are not supported: {}", list);
}

// Messages are made only when they are needed: this is a part of every run.
void check_input(const Value& value, const Tensor& tensor,
                 std::map<std::string, std::pair<int64_t, std::string>>& symbols) {
  const auto refuse = [&](std::string_view what) {
    fail(ErrorCode::invalid_argument, "input {} {}", quoted(value.name()), what);
  };
  if (!tensor.defined()) refuse("has no value");
  const Type& type = value.type();
  const DataType expected = type.tensor_type();
  if (expected != tensor.type() &&
      !(type.is_tensor() ? !is_container(tensor.type()) : expected == DataType::undefined))
    refuse(fmt::format("is {}, the model takes {}", to_string(tensor), to_string(type)));
  if (!type.is_tensor()) return;
  if (type.element != DataType::undefined && type.element != tensor.type())
    refuse(fmt::format("has element type {}, the model takes {}", to_string(tensor.type()), to_string(type.element)));
  if (!type.shape) return;
  const Shape& shape = *type.shape;
  bool fits = shape.rank() == tensor.rank();
  for (int i = 0; fits && i < shape.rank(); ++i)
    fits = !shape[i].is_known() || shape[i].value() == tensor.dim(i);
  if (!fits) refuse(fmt::format("has shape {}, the model takes {}", to_string(tensor.dims()), to_string(shape)));
  for (int i = 0; i < shape.rank(); ++i) {
    // Exporters write "?" for every dimension that they don't know: it names none.
    if (!shape[i].is_symbol() || shape[i].symbol() == "?") continue;
    const auto [it, is_new] = symbols.try_emplace(shape[i].symbol(), tensor.dim(i), value.name());
    if (is_new || it->second.first == tensor.dim(i)) continue;
    refuse(fmt::format("has shape {}: dimension {} is {}, but {} in input {}", to_string(tensor.dims()),
                       quoted(shape[i].symbol()), tensor.dim(i), it->second.first, quoted(it->second.second)));
  }
}

}  // namespace

struct Executor::Impl {
  std::shared_ptr<const ModelGraph> model;
  int threads;
  Programs programs;
  Runner runner;

  Impl(std::shared_ptr<const ModelGraph> m, const ExecutorOptions& options)
      : model(std::move(m)),
        threads(options.threads > 0 ? options.threads : available_cpus()),
        programs(options.cached_plans, options.exact, options.tuning, options.packed, options.log),
        runner(region_of(model->graph), programs, true) {}

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
        if (!v->initializer()) fail(ErrorCode::invalid_argument, "input {} is missing", quoted(v->name()));
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
};

Executor::Executor(std::shared_ptr<const ModelGraph> model, ExecutorOptions options) {
  if (auto inlined = with_functions_inlined(*model)) model = std::move(inlined);
  impl_ = std::make_unique<Impl>(std::move(model), options);
  check_operators(impl_->model->graph);
}

Executor::~Executor() = default;

namespace {

using Clock = StepRecorder::Clock;

double milliseconds(Clock::duration d) { return std::chrono::duration<double, std::milli>(d).count(); }

bool overlap(const Tensor& a, const Tensor& b) {
  if (holds_objects(a.type()) || holds_objects(b.type()) || a.unread() || b.unread()) return false;
  const auto begin_a = reinterpret_cast<uintptr_t>(a.raw()), begin_b = reinterpret_cast<uintptr_t>(b.raw());
  return begin_a < begin_b + b.bytes() && begin_b < begin_a + a.bytes();
}

// The caller's memory for outputs, checked. One run's.
class GivenMemory {
 public:
  GivenMemory(const std::vector<Value*>& outputs, const std::vector<Tensor>& inputs, const RunOptions& options)
      : outputs_(outputs), inputs_(inputs), options_(options), given_(outputs.size()), asked_(outputs.size()) {}

  Tensor get(size_t output, DataType type, const Dims& dims) {
    if (asked_[output]) return {};
    asked_[output] = true;
    Tensor memory = options_.memory(output, type, dims);
    if (!memory.defined()) return {};
    const auto refuse = [&](std::string_view what) {
      fail(ErrorCode::invalid_argument, "output {} {}", quoted(outputs_[output]->name()), what);
    };
    if (memory.type() != type || memory.dims() != dims) {
      refuse(fmt::format("is {}{}, the memory given for it {}", to_string(type), to_string(dims), to_string(memory)));
    }
    if (memory.is_const()) refuse("is given memory that may not be written");
    for (const std::vector<Tensor>& others : {std::cref(inputs_), std::cref(given_)}) {
      for (const Tensor& other : others) {
        if (other.defined() && overlap(memory, other)) refuse("is given memory that overlaps an input or another output");
      }
    }
    return given_[output] = memory;
  }

  // What the caller gets of a result.
  Tensor place(size_t output, Tensor result) {
    if (!given_[output].defined()) get(output, result.type(), result.dims());
    Tensor& given = given_[output];
    if (!given.defined()) return std::move(result).exclusive();
    if (holds_objects(result.type())) {
      if (result.raw() != given.raw()) copy_objects(result, given);
    } else if (result.raw() != given.raw() && result.bytes() != 0) {
      std::memcpy(given.mutable_raw(), result.raw(), result.bytes());
    }
    return given;
  }

 private:
  static void copy_objects(const Tensor& from, Tensor& to) {
    if (from.type() == DataType::string) {
      std::ranges::copy(from.values<std::string>(), to.mutable_values<std::string>().begin());
    } else {
      std::ranges::transform(from.elements(), to.mutable_values<Tensor>().begin(),
                             [](const Tensor& element) { return element.clone(); });
    }
  }

  const std::vector<Value*>& outputs_;
  const std::vector<Tensor>& inputs_;
  const RunOptions& options_;
  std::vector<Tensor> given_;
  std::vector<bool> asked_;
};

}  // namespace

NamedTensors Executor::run(const NamedTensors& inputs, const RunOptions& options) const {
  const std::vector<Tensor> arranged = impl_->arrange(inputs);
  const auto& values = impl_->model->graph.outputs();
  NamedTensors outputs;
  with_team([&] {
    const ThreadScope threads(impl_->threads);
    std::optional<StepRecorder> recorder;
    if (options.on_step) {
      recorder.emplace([&, start = Clock::now()](const StepRecorder::Record& r) {
        options.on_step(r.plan->steps[r.step].info, milliseconds(r.start - start), milliseconds(r.end - r.start));
      });
    }
    if (!options.memory) {
      std::vector<Tensor> results = impl_->runner.run(arranged);
      for (size_t i = 0; i < values.size(); ++i) outputs[values[i]->name()] = std::move(results[i]).exclusive();
      return;
    }
    GivenMemory given(values, arranged, options);
    std::vector<Tensor> results = impl_->runner.run(
        arranged, [&](size_t output, DataType type, const Dims& dims) { return given.get(output, type, dims); });
    for (size_t i = 0; i < values.size(); ++i)
      outputs[values[i]->name()] = given.place(i, std::move(results[i]));
  });
  return outputs;
}

MemoryUse Executor::memory() const {
  MemoryUse use;
  use.plans = impl_->runner.plans();
  for (const auto& constant : constants()) use.constants += constant->packed.bytes();
  use.workspaces = impl_->programs.workspaces().bytes();
  use.results = impl_->programs.results().free_bytes();
  return use;
}

void Executor::trim() const {
  impl_->programs.workspaces().trim();
  impl_->programs.results().trim();
}

std::vector<std::shared_ptr<const Constant>> Executor::constants() const {
  return impl_->programs.constants().all();
}

RunProfile Executor::profile(const NamedTensors& inputs, int runs) const {
  const std::vector<Tensor> arranged = impl_->arrange(inputs);
  RunProfile profile;
  std::map<std::pair<std::shared_ptr<const Plan>, size_t>, size_t> known;
  with_team([&] {
    const ThreadScope threads(impl_->threads);
    for (int i = 0; i < runs; ++i) {
      StepRecorder recorder;
      const auto start = Clock::now();
      impl_->runner.run(arranged);
      profile.durations.push_back(milliseconds(Clock::now() - start));
      auto& run = profile.runs.emplace_back();
      for (const StepRecorder::Record& r : recorder.records()) {
        const auto [it, is_new] = known.try_emplace({r.plan, r.step}, profile.steps.size());
        if (is_new) profile.steps.push_back(r.plan->steps[r.step].info);
        run.push_back({it->second, r.depth, milliseconds(r.start - start), milliseconds(r.end - r.start)});
      }
    }
  });
  return profile;
}

PlanInfo Executor::describe(const NamedTensors& inputs) const {
  const std::vector<Tensor> arranged = impl_->arrange(inputs);
  PlanInfo info;
  with_team([&] {
    const ThreadScope threads(impl_->threads);
    info = impl_->runner.plan_for(arranged)->info();
  });
  return info;
}

}  // namespace plica
