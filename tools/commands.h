// The subcommands of the program, each in a file of its own: they add their options to `app` and set what is
// to be run.
#pragma once

#include "tools/options.h"

namespace plica::tools {

void add_run(CLI::App& program, Invocation& invocation);
void add_optimize(CLI::App& program, Invocation& invocation);
void add_inspect(CLI::App& program, Invocation& invocation);
void add_check(CLI::App& program, Invocation& invocation);
void add_bench(CLI::App& program, Invocation& invocation);
void add_compile(CLI::App& program, Invocation& invocation);
void add_tune(CLI::App& program, Invocation& invocation);
void add_profile(CLI::App& program, Invocation& invocation);
void add_evaluate(CLI::App& program, Invocation& invocation);
void add_test(CLI::App& program, Invocation& invocation);
void add_lists(CLI::App& program, Invocation& invocation);  // list-ops, list-rules, version

}  // namespace plica::tools
