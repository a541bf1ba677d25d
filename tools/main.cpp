// The plica program: parses the command line, runs a command, and turns errors into a line on stderr and an
// exit code.
#include <cstdio>
#include <map>
#include <new>

#include "engine/core/limits.h"
#include "plica/version.h"
#include "tools/commands.h"
#include "tools/console.h"
#include "tools/exit.h"
#include "tools/signals.h"
#include "tools/spinning.h"

namespace plica::tools {
namespace {

constexpr char kFooter[] = R"(
Examples:
  plica run digits.onnx -i two.png          classify a picture
  plica optimize net.onnx folded.onnx --explain --verify
  plica inspect net.onnx
  plica bench net.onnx --threads 2

Exit codes: 0 ok, 1 failed while running, 2 usage, 3 results differ, 4 invalid model or input, 5 unsupported, 130 interrupted.
`plica COMMAND --help` says more about a command.)";

int run_program(int argc, char** argv) {
  CLI::App app("Runs ONNX models on CPUs through oneDNN, and folds batch normalization out of them first.",
               "plica");
  app.footer(kFooter);
  app.set_version_flag("--version", "plica " + std::string(version()));
  app.require_subcommand(1);
  ColorMode color = ColorMode::automatic;
  bool quiet = false;
  app.add_option("--color", color, "auto (default), always or never")
      ->transform(CLI::CheckedTransformer(std::map<std::string, ColorMode>{
          {"auto", ColorMode::automatic}, {"always", ColorMode::always}, {"never", ColorMode::never}}))
      ->type_name("WHEN");
  app.add_flag("-q,--quiet", quiet, "No notes on stderr, only errors");
  LimitOptions limits;
  app.add_option("--max-memory", limits.max_memory,
                 "Memory that tensors may take, such as 512MB or 2GB; more is refused before it is allocated")
      ->transform(CLI::AsSizeValue(true))
      ->check(CLI::PositiveNumber)
      ->type_name("SIZE");
  app.add_option("--timeout", limits.timeout, "Seconds after which to give up (between two steps)")
      ->check(CLI::PositiveNumber)
      ->type_name("S");

  Invocation invocation;
  for (auto add : {add_run, add_optimize, add_inspect, add_check, add_bench, add_compile, add_tune, add_profile,
                   add_evaluate, add_test, add_lists})
    add(app, invocation);
  for (CLI::App* command : app.get_subcommands({})) command->fallthrough();

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    std::string command;
    for (const CLI::App* parsed : app.get_subcommands()) command = " " + parsed->get_name();
    throw Exit(kUsage, fmt::format("{} (see plica{} --help)", error.what(), command));
  }
  set_color_mode(color);
  set_quiet(quiet);
  if (invocation.runs_models) limit_spinning(argv);
  const LimitsScope scope(limits);
  try {
    const int code = invocation.run();
    flush_output();
    return code;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::cancelled || !scope.limits()->timed_out()) throw;
    throw Exit(kFailed, error.message());
  }
}

int guarded_main(int argc, char** argv) {
  try {
    return run_program(argc, argv);
  } catch (const Exit& exit) {
    print_error(exit.what());
    return exit.code();
  } catch (const Error& error) {
    print_error(error.code() == ErrorCode::internal ? error.message() + " (this is a bug in plica)"
                                                    : error.message());
    return exit_code_of(error.code());
  } catch (const std::bad_alloc&) {
    print_error("out of memory");
    return kFailed;
  } catch (const std::exception& error) {
    print_error(fmt::format("{} (this is a bug in plica)", error.what()));
    return kFailed;
  }
}

}  // namespace
}  // namespace plica::tools

int main(int argc, char** argv) {
  plica::tools::install_signal_handlers();
  return plica::tools::guarded_main(argc, argv);
}
