#include "plica/model.h"

#include <sys/stat.h>

#include <algorithm>
#include <climits>
#include <unordered_set>
#include <utility>

#include "api/compiled_file.h"
#include "api/findings.h"
#include "api/graph_walk.h"
#include "engine/core/fail.h"
#include "engine/core/file.h"
#include "engine/graph/inline_functions.h"
#include "engine/graph/model_graph.h"
#include "engine/onnx/onnx.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/table.h"
#include "passes/optimize.h"
#include "runtime/planned_kernel.h"

namespace plica {
namespace {

TensorInfo info_of(const Value& value) {
  TensorInfo info;
  info.name = value.name();
  info.text = to_string(value.type());
  info.is_tensor = value.type().is_tensor();
  info.type = value.type().tensor_type();
  if (info.is_tensor) info.shape = value.type().shape;
  info.has_default = value.initializer() != nullptr;
  return info;
}

void check_passes(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const auto rules = all_rules();
    require(std::any_of(rules.begin(), rules.end(), [&](const RuleInfo& rule) { return rule.pass == name; }),
            ErrorCode::invalid_argument, "there is no pass {}", quoted(name));
  }
}

Report report_of(OptimizeReport&& from) {
  Report report;
  report.nodes_before = from.nodes_before;
  report.nodes_after = from.nodes_after;
  report.rules = std::move(from.rules);
  for (BatchNormVerdict& v : from.batch_norms) {
    report.batch_norms.push_back({.node = std::move(v.node),
                                  .folded = v.folded,
                                  .into = std::move(v.into),
                                  .rule = std::move(v.rule),
                                  .reason = std::move(v.reason),
                                  .fix = std::move(v.fix),
                                  .blocking = std::move(v.blocking),
                                  .error_bound = v.error_bound,
                                  .offset_stays = v.offset_stays,
                                  .flushed = v.flushed,
                                  .type = v.health.type,
                                  .epsilon = v.health.epsilon,
                                  .channels = {.mean = std::move(v.health.mean),
                                               .variance = std::move(v.health.variance),
                                               .gain = std::move(v.health.gain),
                                               .shift = std::move(v.health.shift),
                                               .bounds = std::move(v.bounds),
                                               .marks = std::move(v.health.marks)},
                                  .health = {}});
    for (BatchNormFinding& f : v.health.findings)
      report.batch_norms.back().health.push_back(api_finding(std::move(f)));
  }
  if (from.last_rewrite) {
    report.last_rewrite = {.rule = std::move(from.last_rewrite->rule),
                           .node = std::move(from.last_rewrite->node),
                           .into = std::move(from.last_rewrite->into)};
  }
  return report;
}

std::map<std::string, int64_t> count_operators(const ModelGraph& model) {
  std::map<std::string, int64_t> operators;
  for_each_node(model.graph, [&](const Node& node) { ++operators[operator_name(node)]; });
  return operators;
}

// Null for a pipe, and what else is read to its end.
std::shared_ptr<const ReadableFile> regular_file(int descriptor, const std::string& name) {
  struct stat info;
  if (::fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode)) return nullptr;
  return ReadableFile::of(descriptor, name);
}

// Several exporters write dim_param "?" for every dimension that they don't know; those need not be equal.
bool is_shared_symbol(const Dim& dim) { return dim.is_symbol() && dim.symbol() != "?"; }

}  // namespace

Model::Model(std::shared_ptr<const ModelGraph> graph, std::shared_ptr<const CompiledFile> compiled)
    : graph_(std::move(graph)), compiled_(std::move(compiled)) {}

Model Model::load(const std::filesystem::path& path) {
  const auto file = ReadableFile::open(path);
  if (!CompiledFile::is_one(*file)) return Model(load_model(path));
  auto read = CompiledFile::read(file);
  return Model(std::move(read.model), std::move(read.file));
}

Model Model::load(int descriptor, const std::filesystem::path& directory) {
  const std::string name = descriptor == 0 ? "standard input" : "descriptor " + std::to_string(descriptor);
  const auto file = regular_file(descriptor, name);
  if (!file) {
    const auto bytes = std::make_shared<const std::string>(read_to_end(descriptor, name, INT_MAX));
    return with_context([&] { return parse(std::as_bytes(std::span(*bytes)), directory, bytes); },
                        [&] { return name; });
  }
  if (!CompiledFile::is_one(*file)) return Model(load_model(file, directory));
  auto read = CompiledFile::read(file);
  return Model(std::move(read.model), std::move(read.file));
}

const std::string& Model::compiled_note() const {
  static const std::string none;
  return compiled_ ? compiled_->note() : none;
}

Model Model::parse(std::span<const std::byte> bytes, std::shared_ptr<const void> owner) {
  return parse(bytes, {}, std::move(owner));
}

Model Model::parse(std::span<const std::byte> bytes, const std::filesystem::path& directory,
                   std::shared_ptr<const void> owner) {
  require(!CompiledFile::is_one(bytes), ErrorCode::invalid_argument,
          "a compiled file is mapped: it can be loaded by its name or descriptor, not from memory or a pipe");
  return Model(parse_model(bytes, directory, std::move(owner)));
}

Report Model::optimize(const OptimizeOptions& options) {
  check_passes(options.dump_after);
  plica::OptimizeOptions inner;
  inner.disable = options.disable;
  inner.only = options.only;
  inner.keep = options.keep;
  inner.max_rewrites = options.max_rewrites;
  inner.measure = options.measure;
  inner.progress = options.progress;
  if (options.on_dump && !options.dump_after.empty()) {
    inner.after_pass = [&](std::string_view pass, const ModelGraph& model) {
      if (std::ranges::find(options.dump_after, pass) != options.dump_after.end())
        options.on_dump(pass, print(model.graph));
    };
  }
  std::unique_ptr<ModelGraph> changed = graph_->clone();
  Report report = report_of(plica::optimize(*changed, inner));
  report.model = graph_->graph.name;
  report.operators_before = count_operators(*graph_);
  report.operators_after = count_operators(*changed);
  graph_ = std::move(changed);
  return report;
}

void Model::save(const std::filesystem::path& path, const SaveOptions& options) const {
  save_model(*graph_, path, {.external_data_threshold = options.external_data_threshold});
}

std::string Model::serialize() const { return serialize_model(*graph_); }

size_t Model::serialized_size() const { return plica::serialized_size(*graph_); }

std::vector<TensorInfo> Model::inputs() const {
  std::vector<TensorInfo> out;
  for (const Value* value : graph_->graph.inputs()) out.push_back(info_of(*value));
  return out;
}

std::vector<TensorInfo> Model::outputs() const {
  std::vector<TensorInfo> out;
  for (const Value* value : graph_->graph.outputs()) out.push_back(info_of(*value));
  return out;
}

const std::vector<std::pair<std::string, std::string>>& Model::metadata() const { return graph_->metadata; }

std::optional<std::string> Model::metadata(std::string_view key) const {
  const std::string* value = graph_->find_metadata(key);
  return value ? std::optional(*value) : std::nullopt;
}

std::string Model::listing() const { return print(graph_->graph); }

void Model::validate(const DimSizes& sizes) const {
  std::unordered_set<std::string> names, symbols;
  for (const TensorInfo& input : inputs()) {
    names.insert(input.name);
    if (!input.shape) continue;
    for (const Dim& dim : *input.shape) {
      if (dim.is_symbol()) symbols.insert(dim.symbol());
    }
  }
  for (const auto& [name, dims] : sizes.shapes) {
    require(names.contains(name), ErrorCode::invalid_argument, "the model has no input {}", quoted(name));
  }
  for (const auto& [symbol, size] : sizes.symbols) {
    require(symbols.contains(symbol), ErrorCode::invalid_argument, "no input has a dimension {}",
            quoted(symbol));
    require(size >= 0, ErrorCode::invalid_argument, "dimension {} can't be {}", quoted(symbol), size);
  }
}

Dims Model::concrete_dims(const TensorInfo& input, const DimSizes& sizes, int64_t open,
                          std::vector<std::string>* assumed) {
  const auto given = sizes.shapes.find(input.name);
  if (!input.shape) {
    require(given != sizes.shapes.end(), ErrorCode::invalid_argument,
            "the model does not say the shape of input {}: give it", quoted(input.name));
    return given->second;
  }
  const Shape& shape = *input.shape;
  if (given != sizes.shapes.end()) {
    bool fits = shape.rank() == static_cast<int>(given->second.size());
    for (int i = 0; fits && i < shape.rank(); ++i) {
      const int64_t size = given->second[static_cast<size_t>(i)];
      fits = size >= 0 && (!shape[i].is_known() || shape[i].value() == size);
    }
    require(fits, ErrorCode::invalid_argument, "input {} is {}, which {} does not fit", quoted(input.name),
            to_string(shape), to_string(given->second));
    return given->second;
  }
  Dims dims;
  std::map<std::string, int64_t> chosen;  // equal symbols are equal numbers
  for (int i = 0; i < shape.rank(); ++i) {
    const Dim& dim = shape[i];
    if (dim.is_known()) {
      dims.push_back(dim.value());
      continue;
    }
    if (const auto it = sizes.symbols.find(dim.symbol()); dim.is_symbol() && it != sizes.symbols.end()) {
      dims.push_back(it->second);
      continue;
    }
    int64_t size = i == 0 && shape.rank() > 1 ? 1 : open;
    if (is_shared_symbol(dim)) size = chosen.emplace(dim.symbol(), size).first->second;
    if (assumed) assumed->push_back(fmt::format("{}[{}] = {}", input.name, i, size));
    dims.push_back(size);
  }
  return dims;
}

TensorMap Model::run_reference(const TensorMap& inputs, TensorMap* all) const {
  const Graph& graph = graph_->graph;
  for (const auto& [name, tensor] : inputs) {
    const Value* value = graph.find(name);
    require(value && value->is_graph_input(), ErrorCode::invalid_argument, "the model has no input {}",
            quoted(name));
    const Type& type = value->type();
    require(type.tensor_type() == DataType::undefined || type.tensor_type() == tensor.type(),
            ErrorCode::invalid_argument, "input {} is {}, not {}", quoted(name), to_string(type), to_string(tensor));
    if (!type.is_tensor()) continue;
    bool fits = !type.shape || type.shape->rank() == tensor.rank();
    for (int i = 0; fits && type.shape && i < tensor.rank(); ++i) {
      fits = !(*type.shape)[i].is_known() || (*type.shape)[i].value() == tensor.dim(i);
    }
    require(fits, ErrorCode::invalid_argument, "input {} is {}, not {}", quoted(name), to_string(type),
            to_string(tensor));
  }
  const auto inlined = with_functions_inlined(*graph_);
  std::vector<Tensor> values = evaluate_graph(inlined ? inlined->graph : graph, inputs, all);
  TensorMap out;
  for (size_t i = 0; i < values.size(); ++i)
    out.insert_or_assign(graph.outputs()[i]->name(), std::move(values[i]));
  return out;
}

std::vector<OperatorInfo> supported_operators() {
  std::vector<OperatorInfo> out;
  for (const OpDef* def : all_ops()) {
    OperatorInfo info{
        .name = std::string(def->name), .domain = std::string(def->domain), .since = def->since, .until = {}};
    if (def->until != kLatestOpset) info.until = def->until;
    for (const TypeSet& types : def->input_types) info.input_types.push_back(to_string(types));
    if (def->input_types.empty() && def->max_inputs > 0) info.input_types = {to_string(types::kAll)};
    if (const auto kernel = planned_kernel(def->domain, def->name)) {
      info.kernel = *kernel == PlannedKernel::onednn    ? "oneDNN"
                    : *kernel == PlannedKernel::post_op ? "post-op"
                                                        : "own";
    }
    out.push_back(std::move(info));
  }
  return out;
}

std::vector<OptimizerRule> optimizer_rules() {
  std::vector<OptimizerRule> out;
  for (const RuleInfo& rule : all_rules()) {
    out.push_back({std::string(rule.name), std::string(rule.pass), std::string(rule.summary)});
  }
  return out;
}

}  // namespace plica
