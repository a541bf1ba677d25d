// plica list-ops, list-rules, version: what this build is and can do.
#include <map>
#include <memory>

#include "plica/plica.h"
#include "tools/commands.h"
#include "tools/console.h"
#include "tools/exit.h"

namespace plica::tools {
namespace {

int list_operators(bool json) {
  if (json) {
    Json root = {{"schema", 1}, {"operators", Json::array()}};
    for (const OperatorInfo& op : supported_operators()) {
      root["operators"].push_back({{"name", op.name},
                                   {"domain", op.domain},
                                   {"since", op.since},
                                   {"until", op.until ? Json(*op.until) : Json()}});
    }
    print_json(root);
    return kOk;
  }
  // Versions of one operator share a line.
  std::map<std::string, std::string> lines;
  for (const OperatorInfo& op : supported_operators()) {
    std::string& versions = lines[op.domain.empty() ? op.name : op.domain + "." + op.name];
    if (!versions.empty()) versions += ", ";
    versions += !op.until               ? fmt::format("{}-", op.since)
                : *op.until == op.since ? fmt::format("{}", op.since)
                                        : fmt::format("{}-{}", op.since, *op.until);
  }
  Table table({"operator", "opset versions"}, {Table::Align::left, Table::Align::left});
  for (const auto& [name, versions] : lines) table.add({name, versions});
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
  add("list-ops", "List the operators that Plica has, with their opset versions", list_operators);
  add("list-rules", "List the optimizer's rules, for --disable and --only", list_rules);
  add("version", "Print the versions of Plica and of oneDNN", print_version);
}

}  // namespace plica::tools
