// plica test: runs directories of the ONNX backend suite, and keeps a list of those that pass.
#include <array>
#include <memory>
#include <set>

#include "engine/core/fail.h"
#include "tools/commands.h"
#include "tools/console.h"
#include "tools/exit.h"
#include "tools/files.h"
#include "tools/test_case.h"

namespace plica::tools {
namespace {

struct TestOptions {
  std::vector<std::string> dirs;
  std::string list, exceptions;
  int threads = 1;
  double timeout = 120;
  bool optimize = true, update_list = false, json = false;
};

// One name a line; # begins a comment.
std::set<std::string> read_list(const std::string& path) {
  std::set<std::string> names;
  for (const std::string& line : split(read_input(path).text(), '\n')) {
    const std::string name = line.substr(0, line.find_first_of("# \t\r"));
    if (!name.empty()) names.insert(name);
  }
  return names;
}

void write_list(const std::string& path, const std::set<std::string>& names) {
  std::string text =
      "# Cases of the ONNX suite that pass, optimizer on and off. The list may only grow: plica test "
      "--update-list adds to it.\n";
  for (const std::string& name : names) text += name + "\n";
  write_output(path, text);
}

Style style_of(TestResult::Kind kind) {
  return kind == TestResult::Kind::passed   ? Style::green
         : kind == TestResult::Kind::failed ? Style::red
                                            : Style::yellow;
}

// Compares with the list; returns whether every listed case passed.
bool check_list(const TestOptions& options, const std::set<std::string>& listed,
                const std::set<std::string>& passed, const std::set<std::string>& present) {
  size_t lost = 0, fresh = 0;
  for (const std::string& name : listed) {
    if (passed.contains(name)) continue;
    ++lost;
    print_error(fmt::format("{} is in {} but {}", name, options.list,
                            present.contains(name) ? "does not pass" : "is not there"));
  }
  for (const std::string& name : passed) {
    if (listed.contains(name)) continue;
    ++fresh;
    if (!options.update_list) note("{} passes and is not in {}", name, options.list);
  }
  if (options.update_list && fresh) {
    std::set<std::string> all = listed;
    all.insert(passed.begin(), passed.end());
    write_list(options.list, all);
    note("{} new cases are in {}", fresh, options.list);
  } else if (fresh) {
    note("{} cases that pass are not in {} (--update-list adds them)", fresh, options.list);
  }
  return lost == 0;
}

// Whether all passed but those that are excepted.
bool check_exceptions(const TestOptions& options, const std::set<std::string>& excepted,
                      const std::set<std::string>& passed, const std::set<std::string>& present) {
  bool all = true;
  for (const std::string& name : present) {
    if (passed.contains(name) == !excepted.contains(name)) continue;
    if (passed.contains(name)) {
      note("{} passes, and need not be in {}", name, options.exceptions);
    } else {
      print_error(fmt::format("{} does not pass and is not in {}", name, options.exceptions));
      all = false;
    }
  }
  for (const std::string& name : excepted) {
    if (!present.contains(name)) note("{} is in {} but is not there", name, options.exceptions);
  }
  return all;
}

int test(const TestOptions& options) {
  if (options.update_list && options.list.empty()) exit_with(kUsage, "--update-list needs --list FILE");
  std::vector<TestCase> cases;
  for (const std::string& dir : options.dirs) {
    for (TestCase& found : find_test_cases(dir)) cases.push_back(std::move(found));
  }
  if (cases.empty()) exit_with(kInvalid, "there is no model.onnx below {}", fmt::join(options.dirs, ", "));
  std::set<std::string> listed;
  const bool list_exists = !options.list.empty() && std::filesystem::exists(options.list);
  if (!options.list.empty() && (list_exists || !options.update_list)) listed = read_list(options.list);

  std::set<std::string> excepted;
  if (!options.exceptions.empty()) excepted = read_list(options.exceptions);

  std::array<int64_t, 3> counts = {};
  std::set<std::string> passed, present;
  Json json_cases = Json::array();
  run_isolated(
      cases, options.optimize, options.threads, options.timeout, [&](size_t i, const TestResult& result) {
        const TestCase& test = cases[i];
        ++counts[static_cast<size_t>(result.kind)];
        present.insert(test.name);
        if (result.kind == TestResult::Kind::passed) passed.insert(test.name);
        if (options.json) {
          json_cases.push_back({{"dir", test.dir.string()},
                                {"name", test.name},
                                {"result", to_string(result.kind)},
                                {"detail", result.detail}});
          progress(fmt::format("{} of {}", i + 1, cases.size()));
          return;
        }
        print("{}  {}{}{}\n", styled(style_of(result.kind), fmt::format("{:<11}", to_string(result.kind))),
              escaped(test.name), result.detail.empty() ? "" : ": ", result.detail);
      });
  if (options.json) {
    print_json({{"schema", 1},
                {"passed", counts[0]},
                {"failed", counts[1]},
                {"unsupported", counts[2]},
                {"cases", std::move(json_cases)}});
  } else {
    print("{} passed, {} failed, {} unsupported\n", counts[0], counts[1], counts[2]);
  }
  if (!options.list.empty()) return check_list(options, listed, passed, present) ? kOk : kDiffer;
  if (!options.exceptions.empty())
    return check_exceptions(options, excepted, passed, present) ? kOk : kDiffer;
  return counts[1] == 0 ? kOk : kDiffer;
}

}  // namespace

void add_test(CLI::App& program, Invocation& invocation) {
  auto options = std::make_shared<TestOptions>();
  CLI::App* app = program.add_subcommand("test", "Run directories of the ONNX backend suite");
  app->add_option("DIR", options->dirs, "Directories with model.onnx and test_data_set_*, at any depth")
      ->required();
  app->add_flag("--optimize,!--no-optimize", options->optimize,
                "Optimize the models first (the default), or not");
  CLI::Option* list =
      app->add_option("--list", options->list, "Cases that must pass, one a line; others may fail");
  list->type_name("FILE");
  app->add_option("--except", options->exceptions, "Cases that need not pass, one a line; all others must")
      ->type_name("FILE")
      ->excludes(list);
  app->add_flag("--update-list", options->update_list, "Add to the list what passes and is not in it");
  app->add_option("--timeout", options->timeout, "Seconds after which a case has failed (default 120)")
      ->check(CLI::Range(0.1, 86400.0))
      ->type_name("S");
  app->add_option("--threads", options->threads, "Threads for each case (default 1)")
      ->check(CLI::Range(1, 1024))
      ->type_name("T");
  add_json(*app, options->json);
  app->footer(R"(
A case passes when its outputs have the expected types and shapes, and elements within atol + rtol |expected|: 1e-7 and 1e-3, or what its
tol.json says. Without a list the exit code is 3 when a case failed; with --list when a listed case did not pass, with --except when another
case did not. # begins a comment in both, for reasons.)");
  app->callback([options, &invocation] { invocation.run = [options] { return test(*options); }; });
}

}  // namespace plica::tools
