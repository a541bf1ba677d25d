// plica inspect, plica check: what a model is, and whether it is sound.
#include <algorithm>
#include <filesystem>
#include <memory>

#include "engine/core/fail.h"
#include "engine/core/limits.h"
#include "plica/plica.h"
#include "tools/commands.h"
#include "tools/console.h"
#include "tools/exit.h"
#include "tools/files.h"

namespace plica::tools {
namespace {

struct InspectOptions {
  std::string model, html, dot;
  ShapeOptions shapes;
  bool json = false, values = false;
};

Json shape_json(const TensorInfo& info) {
  if (!info.shape) return nullptr;
  Json dims = Json::array();
  for (const Dim& dim : *info.shape)
    dims.push_back(dim.is_known() ? Json(dim.value()) : dim.is_symbol() ? Json(dim.symbol()) : Json());
  return dims;
}

Json tensors_json(const std::vector<TensorInfo>& list) {
  Json out = Json::array();
  for (const TensorInfo& info : list) {
    Json entry = {{"name", info.name},
                  {"type", info.is_tensor ? std::string(to_string(info.type)) : info.text},
                  {"shape", shape_json(info)}};
    if (info.has_default) entry["has_default"] = true;
    out.push_back(std::move(entry));
  }
  return out;
}

// "2 warnings, 1 note", or "good".
std::string health_text(const ModelSummary::BatchNorm& b) {
  using enum HealthFinding::Severity;
  std::vector<std::string> parts;
  for (const HealthFinding::Severity severity : {error, warning, note}) {
    const auto count = std::ranges::count(b.health, severity, &HealthFinding::severity);
    if (count) parts.push_back(fmt::format("{} {}{}", count, to_string(severity), count == 1 ? "" : "s"));
  }
  return parts.empty() ? "good" : fmt::format("{}", fmt::join(parts, ", "));
}

Json health_json(const std::vector<HealthFinding>& findings) {
  Json out = Json::array();
  for (const HealthFinding& f : findings) {
    out.push_back({{"kind", f.kind},
                   {"severity", to_string(f.severity)},
                   {"channels", f.channels},
                   {"first_channels", f.first_channels},
                   {"message", f.message},
                   {"fix", f.fix}});
  }
  return out;
}

void print_findings(const ModelSummary& s) {
  for (const auto& b : s.batch_norms) {
    for (const HealthFinding& f : b.health) {
      using enum HealthFinding::Severity;
      const Style style = f.severity == error     ? Style::red
                          : f.severity == warning ? Style::yellow
                                                  : Style::dim;
      print("{}: {}: {}{}{}\n", styled(style, to_string(f.severity)), escaped(b.node), escaped(to_text(f)),
            f.fix.empty() ? "" : "; to change that: ", escaped(f.fix));
    }
  }
}

Json to_json(const std::string& path, const Model& model, const ModelSummary& s) {
  Json root = {{"schema", 1},
               {"model", path},
               {"ir_version", s.ir_version},
               {"opsets", Json::object()},
               {"producer", s.producer},
               {"producer_version", s.producer_version},
               {"domain", s.domain},
               {"model_version", s.model_version},
               {"inputs", tensors_json(model.inputs())},
               {"outputs", tensors_json(model.outputs())},
               {"nodes", s.nodes},
               {"operators", s.operators},
               {"functions", s.functions},
               {"parameters", s.parameters},
               {"parameter_bytes", s.parameter_bytes},
               {"macs", s.macs},
               {"macs_unknown", s.macs_unknown},
               {"assumptions", s.assumptions},
               {"batch_norms", Json::array()},
               {"metadata", Json::object()}};
  for (const auto& [domain, version] : s.opsets)
    root["opsets"][domain.empty() ? "ai.onnx" : domain] = version;
  for (const auto& b : s.batch_norms) {
    root["batch_norms"].push_back({{"node", b.node},
                                   {"channels", b.channels},
                                   {"epsilon", b.epsilon},
                                   {"training", b.training},
                                   {"dead", b.dead},
                                   {"tiny_variance", b.tiny_variance},
                                   {"bad", b.bad},
                                   {"min_variance", b.min_variance},
                                   {"max_variance", b.max_variance},
                                   {"min_gain", b.min_gain},
                                   {"max_gain", b.max_gain},
                                   {"health", health_json(b.health)}});
  }
  for (const auto& [key, value] : model.metadata()) root["metadata"][key] = value;
  return root;
}

void line(std::string_view head, std::string_view text) {
  if (!text.empty()) print("{}  {}\n", styled(Style::bold, fmt::format("{:<12}", head)), text);
}

std::string shortened(const std::string& text, size_t most) {
  // Cut between characters of UTF-8.
  size_t end = std::min(most, text.size());
  while (end < text.size() && end > 0 && (text[end] & 0xc0) == 0x80) --end;
  return escaped(std::string_view(text).substr(0, end)) +
         (end < text.size() ? fmt::format("... ({} bytes)", text.size()) : "");
}

void print_summary(const std::string& path, const Model& model, const ModelSummary& s) {
  line("model", shown(path));
  line("IR", fmt::format("{}", s.ir_version));
  std::vector<std::string> opsets;
  for (const auto& [domain, version] : s.opsets)
    opsets.push_back(fmt::format("{} {}", domain.empty() ? "ai.onnx" : escaped(domain), version));
  line("opsets", fmt::format("{}", fmt::join(opsets, ", ")));
  line("producer", escaped(s.producer + (s.producer_version.empty() ? "" : " " + s.producer_version)));
  for (const auto& [head, list] :
       {std::pair("input", model.inputs()), std::pair("output", model.outputs())}) {
    for (const TensorInfo& info : list) {
      line(head, fmt::format("{}  {}{}", escaped(info.name), escaped(info.text),
                             info.has_default ? "  (has a default)" : ""));
    }
  }
  line("parameters", fmt::format("{} ({})", human_count(static_cast<double>(s.parameters)),
                                 human_bytes(static_cast<double>(s.parameter_bytes))));
  std::string macs = human_count(static_cast<double>(s.macs));
  if (s.macs_unknown)
    macs += fmt::format(" and those of {} nodes whose shapes are not known", s.macs_unknown);
  if (!s.assumptions.empty()) macs += escaped(fmt::format(" (with {})", fmt::join(s.assumptions, ", ")));
  line("MACs", macs);
  for (const auto& [key, value] : model.metadata())
    line("metadata", fmt::format("{} = {}", escaped(key), shortened(value, 60)));

  print("\n");
  using enum Table::Align;
  Table operators({"operator", "nodes"}, {left, right});
  std::vector<std::pair<std::string, int64_t>> sorted(s.operators.begin(), s.operators.end());
  std::ranges::stable_sort(sorted, std::greater(), &std::pair<std::string, int64_t>::second);
  for (const auto& [name, count] : sorted) operators.add({escaped(name), fmt::format("{}", count)});
  operators.add({"all", fmt::format("{}", s.nodes)});
  print(operators.text());
  if (s.batch_norms.empty()) return;

  print("\n");
  Table norms({"batch norm", "channels", "variance", "gain", "health"}, {left, right, left, left, left});
  for (const auto& b : s.batch_norms) {
    norms.add({escaped(b.node), fmt::format("{}", b.channels),
               b.channels ? fmt::format("{:.3g} .. {:.3g}", b.min_variance, b.max_variance) : "",
               b.channels ? fmt::format("{:.3g} .. {:.3g}", b.min_gain, b.max_gain) : "", health_text(b)});
  }
  print(norms.text());
  if (std::ranges::any_of(s.batch_norms, [](const auto& b) { return !b.health.empty(); })) print("\n");
  print_findings(s);
}

Json values_json(const std::vector<ValueInfo>& values) {
  Json out = Json::array();
  for (const ValueInfo& v : values) {
    Json entry = {
        {"name", v.name}, {"type", v.type}, {"node", v.node}, {"op_type", v.op_type}, {"depth", v.depth}};
    if (!v.elements.empty()) entry["elements"] = v.elements;
    out.push_back(std::move(entry));
  }
  return out;
}

void print_values(const std::vector<ValueInfo>& values) {
  using enum Table::Align;
  Table table({"value", "type", "computed by", "elements"}, {left, left, left, left});
  for (const ValueInfo& v : values) {
    if (v.op_type == "initializer") continue;
    const std::string by = v.node.empty() ? v.op_type : fmt::format("{} ({})", v.node, v.op_type);
    const std::string indent(static_cast<size_t>(v.depth) * 2, ' ');
    table.add({indent + escaped(v.name), escaped(v.type), escaped(by),
               v.elements.empty() ? "" : escaped(fmt::format("{}", fmt::join(v.elements, ", ")))});
  }
  print("\n{}", table.text());
}

int inspect(const InspectOptions& options) {
  for (const std::string* file : {&options.html, &options.dot}) {
    if (!file->empty()) refuse_overwrite(options.model, *file, false);
  }
  if ((options.html == "-") + (options.dot == "-") + options.json > 1)
    exit_with(kUsage, "only one of --html, --dot and --json can have the standard output");
  const Model model = load_model(options.model);
  const ModelSummary summary =
      about_model(options.model, [&] { return model.summarize(options.shapes.resolve(model)); });
  if (!options.html.empty()) {
    const std::string title =
        options.model == "-" ? "" : std::filesystem::path(options.model).filename().string();
    write_output(options.html, model.to_html(title, options.shapes.resolve(model)));
  }
  if (!options.dot.empty()) write_output(options.dot, model.to_dot());
  if (options.html == "-" || options.dot == "-") return kOk;
  const std::vector<ValueInfo> values =
      options.values ? model.values(options.shapes.resolve(model)) : std::vector<ValueInfo>();
  if (options.json) {
    Json json = to_json(options.model, model, summary);
    if (options.values) json["values"] = values_json(values);
    print_json(json);
  } else {
    print_summary(options.model, model, summary);
    if (options.values) print_values(values);
  }
  return kOk;
}

int check(const std::string& path, bool json) {
  std::vector<Finding> findings;
  try {
    findings = load_model(path).check();
  } catch (const Error& error) {
    if (ends_work(error)) throw;
    findings.push_back({error.code(), "", error.message()});
  }
  const auto is_unsupported = [](const Finding& f) { return f.code == ErrorCode::unsupported; };
  const ExitCode code = findings.empty()                                ? kOk
                        : std::ranges::all_of(findings, is_unsupported) ? kUnsupported
                                                                        : kInvalid;
  if (json) {
    Json root = {{"schema", 1},
                 {"model", path},
                 {"valid", code != kInvalid},
                 {"supported", code == kOk},
                 {"findings", Json::array()}};
    for (const Finding& f : findings)
      root["findings"].push_back({{"kind", to_string(f.code)}, {"node", f.node}, {"message", f.message}});
    print_json(root);
    return code;
  }
  for (const Finding& f : findings) {
    print("{}: {}{}{}\n", styled(is_unsupported(f) ? Style::yellow : Style::red, to_string(f.code)), f.node,
          f.node.empty() ? "" : ": ", f.message);
  }
  if (findings.empty()) print("{}: {}\n", shown(path), styled(Style::green, "valid and supported"));
  return code;
}

}  // namespace

void add_inspect(CLI::App& program, Invocation& invocation) {
  auto options = std::make_shared<InspectOptions>();
  CLI::App* app =
      program.add_subcommand("inspect", "Show inputs, outputs, operators, size, MACs and batch norms");
  add_model(*app, options->model);
  app->add_option("--html", options->html, "Write it as a page, with plots of every batch norm by channel")
      ->type_name("FILE");
  app->add_option("--dot", options->dot, "Write the graph for Graphviz")->type_name("FILE");
  app->add_flag(
      "--values", options->values,
      "List every value too: its type with symbolic dimensions, what computes it, and the elements of small "
      "integer tensors as far as they are known");
  add_shape_options(*app, options->shapes);
  add_json(*app, options->json);
  app->callback([options, &invocation] { invocation.run = [options] { return inspect(*options); }; });
}

void add_check(CLI::App& program, Invocation& invocation) {
  auto options = std::make_shared<InspectOptions>();
  CLI::App* app =
      program.add_subcommand("check", "Tell everything that is wrong with a model or not supported");
  add_model(*app, options->model);
  add_json(*app, options->json);
  app->footer("\nExits with 4 when the model is invalid, with 5 when it is valid but not supported.");
  app->callback([options, &invocation] {
    invocation.run = [options] { return check(options->model, options->json); };
  });
}

}  // namespace plica::tools
