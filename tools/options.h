// Options that several commands share, and the parsing of their values.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "plica/model.h"
#include "plica/session.h"

namespace plica::tools {

// What main() runs after the command line is parsed; commands set `run`.
struct Invocation {
  std::function<int()> run;
  bool runs_models = false;  // on several threads
};

struct ShapeOptions {
  std::vector<std::string> shapes, dims;
  // Resolved and checked against the model. Throws Exit(kUsage) on syntax, Error(invalid_argument) when they
  // don't fit.
  DimSizes resolve(const Model& model) const;
  // With each size of a sweep, "x:1x3x48x64..320..16"; an empty one is as above.
  std::vector<DimSizes> resolve_all(const Model& model, const std::string& sweep) const;
};
void add_shape_options(CLI::App& app, ShapeOptions& options);

void add_model(CLI::App& app, std::string& model);
void add_threads(CLI::App& app, int& threads);
void add_threads_list(CLI::App& app, std::vector<int>& threads, const std::string& help);
void add_sweep(CLI::App& app, std::string& sweep, const std::string& help);
void add_session_options(CLI::App& app, SessionOptions& options);  // --threads, --exact, --tuned
void add_choices(CLI::App& app, SessionOptions& options);          // --exact, --tuned
// Says so when the session goes without its tuning file.
void note_tuning(const Session& session);
void add_json(CLI::App& app, bool& json);

// An option that may be given several times and takes one value each time.
CLI::Option* add_list(CLI::App& app, const std::string& names, std::vector<std::string>& values,
                      const std::string& help);

// "1x3x224x224". Throws Exit(kUsage) naming the option.
Dims parse_dims(std::string_view text, std::string_view option);
// "0.485,0.456,0.406"; nullopt when it is no list of finite numbers.
std::optional<std::vector<double>> parse_numbers(std::string_view text);
std::optional<int64_t> parse_integer(std::string_view text);
std::vector<std::string> split(std::string_view text, char separator);

}  // namespace plica::tools
