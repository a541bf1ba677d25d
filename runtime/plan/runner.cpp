#include "runtime/plan/runner.h"

#include <chrono>
#include <unordered_set>

#include "engine/core/fail.h"
#include "engine/ops/table.h"
#include "runtime/plan/compile.h"

namespace plica {
namespace {

void append_key(std::string& key, const Tensor& t) {
  const auto append = [&](int64_t number) {
    key.append(reinterpret_cast<const char*>(&number), sizeof number);
  };
  append(static_cast<int64_t>(t.type()) << 32 | t.rank());
  // A container's length says nothing about the shapes inside.
  if (is_container(t.type())) return;
  for (int64_t d : t.dims()) append(d);
}

size_t unknown_shapes(const Region& region, const GraphFacts& facts) {
  size_t count = 0;
  for (const Node* node : region.nodes) {
    for (int i = 0; i < node->num_outputs(); ++i)
      count += node->has_output(i) && !facts.dims(node->output(i));
  }
  return count;
}

}  // namespace

// Plans, which workspaces and bodies keep, may end runners, and those look for their workspaces.
Programs::~Programs() {
  bodies_.clear();
  workspaces_.trim();
}

const Runner& Programs::runner_of(const Graph& body) const {
  const std::lock_guard lock(mutex_);
  auto& runner = bodies_[&body];
  // What a body computes with is often new in each iteration: plans are for shapes alone.
  if (!runner) runner = std::make_unique<Runner>(region_of(body), *this, false);
  return *runner;
}

Prepared Programs::prepared(const Node& node) const {
  if (!op_of(node).prepare) return nullptr;
  const std::lock_guard lock(preparing_);
  Prepared& kept = prepared_[&node];
  if (!kept) kept = prepare_node(node);
  return kept;
}

namespace {

// Enough for networks that detect objects in a few dozen stages; a long chain of such shapes would take the
// square of its length.
int64_t nodes_of_continuations(const Region& region) {
  return (int64_t{1} << 14) + 16 * std::ssize(region.nodes);
}

}  // namespace

Runner::Runner(Region region, const Programs& programs, bool values_matter, std::optional<int64_t> nodes_left)
    : region_(std::move(region)),
      programs_(programs),
      values_matter_(values_matter),
      nodes_left_(nodes_left ? *nodes_left : nodes_of_continuations(region_)),
      plans_(programs.cached_plans()) {}

Runner::~Runner() { programs_.workspaces().drop(this); }

namespace {

// For the outputs of a plan or of what comes after it.
OutputMemory part_of(const OutputMemory& memory, const std::vector<Continuation::Source>& outputs,
                     Continuation::Source::Kind kind) {
  if (!memory) return nullptr;
  return [&memory, &outputs, kind](size_t index, DataType type, const Dims& dims) {
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (outputs[i].kind == kind && outputs[i].index == index) return memory(i, type, dims);
    }
    return Tensor();
  };
}

}  // namespace

std::vector<Tensor> Runner::run(const std::vector<Tensor>& inputs, const OutputMemory& memory) const {
  using Source = Continuation::Source;
  const std::shared_ptr<const Plan> plan = plan_for(inputs);
  std::unique_ptr<Workspace> workspace = programs_.workspaces().lease(this, plan);
  // A workspace of a run that threw is not used again.
  std::vector<Tensor> results =
      plan->run(*workspace, inputs, programs_.results(),
                plan->rest ? part_of(memory, plan->rest->outputs, Source::Kind::plan) : memory);
  programs_.workspaces().give_back(this, std::move(workspace));
  if (!plan->rest) return results;

  const Continuation& rest = *plan->rest;
  std::vector<Tensor> rest_results;
  const auto fetch = [&](const Source& from) -> const Tensor& {
    switch (from.kind) {
      case Source::Kind::input:
        return inputs[from.index];
      case Source::Kind::plan:
        return results[from.index];
      default:
        return rest_results[from.index];
    }
  };
  std::vector<Tensor> rest_inputs, outputs;
  for (const auto& source : rest.inputs) rest_inputs.push_back(fetch(source));
  rest_results = rest.runner.run(rest_inputs, part_of(memory, rest.outputs, Source::Kind::rest));
  for (const auto& source : rest.outputs) outputs.push_back(fetch(source));
  return outputs;
}

std::shared_ptr<const Plan> Runner::plan_for(const std::vector<Tensor>& inputs) const {
  std::string key;
  bool shapes_among_inputs = false;
  for (const Tensor& t : inputs) {
    append_key(key, t);
    shapes_among_inputs |= may_hold_a_shape(t);
  }
  if (values_matter_ && shapes_among_inputs && values_matter(key, inputs)) {
    for (const Tensor& t : inputs) {
      if (may_hold_a_shape(t)) key.append(static_cast<const char*>(t.raw()), t.bytes());
    }
    return plan_of_key("values;" + key, inputs, true);
  }
  return plan_of_key(key, inputs, false);
}

std::shared_ptr<const Plan> Runner::plan_of_key(const std::string& key, const std::vector<Tensor>& inputs,
                                                bool with_values) const {
  if (!programs_.log()) return plans_.get(key, [&] { return make_plan(inputs, with_values); });
  using Clock = std::chrono::steady_clock;
  std::optional<Clock::duration> took;
  bool dropped = false;
  auto plan = plans_.get(
      key,
      [&] {
        const auto start = Clock::now();
        auto made = make_plan(inputs, with_values);
        took = Clock::now() - start;
        return made;
      },
      &dropped);
  if (took) {
    std::string shapes;
    for (size_t i = 0; i < inputs.size(); ++i) {
      shapes += fmt::format("{}{} {}", i == 0 ? "" : ", ", quoted(region_.inputs[i]->name()), to_string(inputs[i]));
    }
    programs_.log()(false, fmt::format("compiled a plan of {} steps in {:.1f} ms, for {}", plan->steps.size(),
                                       std::chrono::duration<double, std::milli>(*took).count(), shapes));
  }
  if (dropped) {
    programs_.log()(true, fmt::format("more than {} sets of input shapes: the plan that was not used for longest is "
                                      "dropped (SessionOptions::cached_plans)",
                                      programs_.cached_plans()));
  }
  return plan;
}

// More shapes are known when the values of small integer inputs are.
bool Runner::values_matter(const std::string& key, const std::vector<Tensor>& inputs) const {
  {
    const std::lock_guard lock(mutex_);
    if (auto it = matters_.find(key); it != matters_.end()) return it->second;
  }
  const size_t without = unknown_shapes(region_, infer_region(region_, inputs, false));
  const bool answer = without > 0 && unknown_shapes(region_, infer_region(region_, inputs, true)) < without;
  const std::lock_guard lock(mutex_);
  if (matters_.size() > 1024) matters_.clear();
  matters_[key] = answer;
  return answer;
}

namespace {

// The nodes that have to wait: those that read a tensor whose shape only the plan's run tells, and all after
// them.
std::vector<const Node*> waiting_nodes(const Region& region, const GraphFacts& facts) {
  const std::unordered_set<const Value*> given(region.inputs.begin(), region.inputs.end());
  std::unordered_set<const Value*> late;
  std::vector<const Node*> waiting;
  for (const Node* node : region.nodes) {
    bool waits = false;
    for (const Value* v : reads_of(*node)) {
      if (!v || given.contains(v)) continue;
      const Facts* f = facts.find(v);
      const bool is_tensor = !f || f->type.is_tensor() || f->type.kind == Type::Kind::unknown;
      waits |= late.contains(v) || (is_tensor && v->producer() && !facts.dims(v));
    }
    if (!waits) continue;
    waiting.push_back(node);
    for (int i = 0; i < node->num_outputs(); ++i) {
      if (node->has_output(i)) late.insert(node->output(i));
    }
  }
  return waiting;
}

// What is left of the region: these nodes.
Region rest_of(const Region& region, const GraphFacts& facts, std::vector<const Node*> nodes) {
  Region rest;
  rest.nodes = std::move(nodes);
  std::unordered_set<const Value*> made, seen;
  for (const Node* node : rest.nodes) {
    for (int i = 0; i < node->num_outputs(); ++i) {
      if (node->has_output(i)) made.insert(node->output(i));
    }
  }
  for (const Node* node : rest.nodes) {
    for (const Value* v : reads_of(*node)) {
      if (!v || made.contains(v) || !seen.insert(v).second) continue;
      if (const Facts* f = facts.find(v); f && f->constant.defined()) {
        rest.constants.emplace_back(v, f->constant);
      } else {
        rest.inputs.push_back(v);
      }
    }
  }
  for (const Value* v : region.outputs) {
    if (made.contains(v)) rest.outputs.push_back(v);
  }
  return rest;
}

}  // namespace

std::shared_ptr<const Plan> Runner::make_plan(const std::vector<Tensor>& inputs, bool with_values) const {
  using Source = Continuation::Source;
  const GraphFacts facts = infer_region(region_, inputs, with_values);
  std::vector<const Node*> waiting = waiting_nodes(region_, facts);
  const int64_t nodes_left = nodes_left_ - std::ssize(waiting);
  if (waiting.empty() || nodes_left < 0) return compile(region_, facts, programs_);

  Region now = region_;
  std::unordered_map<const Value*, size_t> given, planned, late;
  for (size_t i = 0; i < region_.inputs.size(); ++i) given[region_.inputs[i]] = i;
  Region rest = rest_of(region_, facts, waiting);
  for (size_t i = 0; i < rest.outputs.size(); ++i) late.try_emplace(rest.outputs[i], i);
  {
    const std::unordered_set<const Node*> waits(waiting.begin(), waiting.end());
    std::erase_if(now.nodes, [&](const Node* n) { return waits.contains(n); });
  }
  now.outputs.clear();
  const auto source_of = [&](const Value* v) -> Source {
    if (auto it = given.find(v); it != given.end()) return {Source::Kind::input, it->second};
    if (auto it = late.find(v); it != late.end()) return {Source::Kind::rest, it->second};
    const auto [it, is_new] = planned.try_emplace(v, now.outputs.size());
    if (is_new) now.outputs.push_back(v);
    return {Source::Kind::plan, it->second};
  };
  std::vector<Source> rest_inputs, outputs;
  for (const Value* v : rest.inputs) rest_inputs.push_back(source_of(v));
  for (const Value* v : region_.outputs) outputs.push_back(source_of(v));
  auto continuation = std::make_shared<Continuation>(std::move(rest), programs_, values_matter_, nodes_left);
  continuation->inputs = std::move(rest_inputs);
  continuation->outputs = std::move(outputs);
  return compile(now, facts, programs_, std::move(continuation));
}

}  // namespace plica
