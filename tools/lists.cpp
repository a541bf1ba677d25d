// plica list-ops, list-rules, version: what this build is and can do.
#include <map>
#include <memory>

#include "plica/plica.h"
#include "tools/commands.h"
#include "tools/console.h"
#include "tools/exit.h"

namespace plica::tools {
namespace {

std::string versions_of(const OperatorInfo& op) {
  return !op.until               ? fmt::format("{}-", op.since)
         : *op.until == op.since ? fmt::format("{}", op.since)
                                 : fmt::format("{}-{}", op.since, *op.until);
}

std::string full_name(const OperatorInfo& op) {
  return op.domain.empty() ? op.name : op.domain + "." + op.name;
}

// Types of inputs that are like those before them are not repeated.
std::string types_of(const OperatorInfo& op) {
  std::vector<std::string> list = op.input_types;
  while (list.size() > 1 && list.back() == list[list.size() - 2]) list.pop_back();
  return fmt::format("{}", fmt::join(list, "; "));
}

// Versions of one operator share a line; its types are those of the newest.
struct Line {
  std::string versions, types, kernel;
};

std::map<std::string, Line> lines_of(const std::vector<OperatorInfo>& operators) {
  std::map<std::string, Line> lines;
  for (const OperatorInfo& op : operators) {
    Line& line = lines[full_name(op)];
    line.versions += (line.versions.empty() ? "" : ", ") + versions_of(op);
    line.types = types_of(op);
    line.kernel = op.kernel;
  }
  return lines;
}

// docs/operators.md
constexpr std::string_view kOperatorsPage = R"(# Operators

What this build runs: `plica list-ops --markdown` writes this page, and a test compares them.

**Types** are those of the inputs of the newest version; the last holds for all further inputs. float: float32, float64, float16, bfloat16. signed: int8 to int64,
unsigned: uint8 to uint64, integer: both, numeric: float and integer. float8: the five 8-bit formats. packed: int4, uint4, int2, uint2, float4_e2m1fn. any: all of these, bool, string and
complex. sequence, optional and map are ONNX's containers.

**kernel** says what computes operators on float32, and products of 8-bit integers (on CPUs that sum them exactly: AVX-VNNI, AVX-512 VNNI), when shapes are known: *oneDNN* is a primitive of oneDNN; *post-op* is fused into the primitive before, or runs as one pass over memory with its
neighbours; *own* is a kernel of the runtime, or no step at all. Everything else runs by the portable kernels.
)";

void print_page() {
  print("{}", kOperatorsPage);
  std::map<std::string, std::vector<OperatorInfo>> domains;
  for (const OperatorInfo& op : supported_operators()) domains[op.domain].push_back(op);
  for (const auto& [domain, operators] : domains) {
    print("\n## {}\n\n| operator | opset versions | kernel | types of inputs |\n| --- | --- | --- | --- |\n",
          domain.empty() ? "ai.onnx" : domain);
    for (const auto& [name, line] : lines_of(operators))
      print("| {} | {} | {} | {} |\n", name, line.versions, line.kernel, line.types);
  }
}

int list_operators(bool json) {
  if (json) {
    Json root = {{"schema", 1}, {"operators", Json::array()}};
    for (const OperatorInfo& op : supported_operators()) {
      root["operators"].push_back({{"name", op.name},
                                   {"domain", op.domain},
                                   {"since", op.since},
                                   {"until", op.until ? Json(*op.until) : Json()},
                                   {"input_types", op.input_types},
                                   {"kernel", op.kernel}});
    }
    print_json(root);
    return kOk;
  }
  using Align = Table::Align;
  Table table({"operator", "opset versions", "float32", "types of inputs"},
              {Align::left, Align::left, Align::left, Align::left});
  for (const auto& [name, line] : lines_of(supported_operators()))
    table.add({name, line.versions, line.kernel, line.types});
  print(table.text());
  return kOk;
}

int list_rules(bool json) {
  if (json) {
    Json root = {{"schema", 1}, {"rules", Json::array()}};
    for (const OptimizerRule& rule : optimizer_rules()) {
      root["rules"].push_back({{"name", rule.name}, {"pass", rule.pass}, {"summary", rule.summary}});
    }
    print_json(root);
    return kOk;
  }
  Table table({"rule", "pass", "what it does"}, {Table::Align::left, Table::Align::left, Table::Align::left});
  for (const OptimizerRule& rule : optimizer_rules()) table.add({rule.name, rule.pass, rule.summary});
  print(table.text());
  return kOk;
}

int print_version(bool json) {
  if (json) {
    print_json({{"schema", 1}, {"plica", version()}, {"onednn", onednn_version()}});
  } else {
    print("plica {}\noneDNN {}\n", version(), onednn_version());
  }
  return kOk;
}

}  // namespace

void add_lists(CLI::App& program, Invocation& invocation) {
  const auto add = [&](const char* name, const char* help, int (*list)(bool)) {
    auto json = std::make_shared<bool>(false);
    CLI::App* app = program.add_subcommand(name, help);
    add_json(*app, *json);
    app->callback([json, list, &invocation] { invocation.run = [json, list] { return list(*json); }; });
  };
  auto json = std::make_shared<bool>(false), markdown = std::make_shared<bool>(false);
  CLI::App* app =
      program.add_subcommand("list-ops", "List the operators that Plica has, with their opset versions");
  add_json(*app, *json);
  app->add_flag("--markdown", *markdown, "Print docs/operators.md");
  app->callback([json, markdown, &invocation] {
    invocation.run = [json, markdown] {
      if (*markdown) print_page();
      return *markdown ? kOk : list_operators(*json);
    };
  });
  add("list-rules", "List the optimizer's rules, for --disable and --only", list_rules);
  add("version", "Print the versions of Plica and of oneDNN", print_version);
}

}  // namespace plica::tools
