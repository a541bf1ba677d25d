#include "tools/options.h"

#include <charconv>
#include <cmath>
#include <limits>

#include "plica/tuning.h"
#include "tools/console.h"
#include "tools/exit.h"

namespace plica::tools {

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (;;) {
    const size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::optional<int64_t> parse_integer(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::vector<double>> parse_numbers(std::string_view text) {
  std::vector<double> numbers;
  for (const std::string& part : split(text, ',')) {
    const size_t begin = part.find_first_not_of(' ');
    if (begin == std::string::npos) return std::nullopt;
    double value = 0;
    const char* const last = part.data() + part.find_last_not_of(' ') + 1;
    const auto [end, error] = std::from_chars(part.data() + begin, last, value);
    if (error != std::errc() || end != last || !std::isfinite(value)) return std::nullopt;
    numbers.push_back(value);
  }
  return numbers;
}

Dims parse_dims(std::string_view text, std::string_view option) {
  Dims dims;
  if (text.empty()) return dims;
  for (const std::string& part : split(text, 'x')) {
    const auto value = parse_integer(part);
    if (!value || *value < 0) exit_with(kUsage, "{}: {} is no shape like 1x3x224x224", option, quoted(text));
    dims.push_back(*value);
  }
  return dims;
}

namespace {

// "x:1x3x48x64..320..16" as the shapes x:1x3x48x64, x:1x3x48x80, ..., x:1x3x48x320.
std::vector<std::string> sizes_of_sweep(const std::string& text) {
  constexpr int64_t kMostSizes = 10000;
  const size_t colon = text.rfind(':') == std::string::npos ? 0 : text.rfind(':') + 1;
  std::vector<std::string> before = {text.substr(0, colon)};
  for (const std::string& dim : split(std::string_view(text).substr(colon), 'x')) {
    std::vector<std::string> dims = {dim};
    if (const size_t dots = dim.find(".."); dots != std::string::npos) {
      const size_t last_dots = dim.rfind("..");
      const auto first = parse_integer(std::string_view(dim).substr(0, dots));
      const auto last = parse_integer(std::string_view(dim).substr(
          dots + 2, last_dots == dots ? std::string::npos : last_dots - dots - 2));
      const auto step = last_dots == dots ? std::optional<int64_t>(1)
                                          : parse_integer(std::string_view(dim).substr(last_dots + 2));
      if (!first || !last || !step || *first < 0 || *step < 1 || *last < *first ||
          (*last - *first) / *step >= kMostSizes)
        exit_with(kUsage, "--sweep: {} is not FIRST..LAST..STEP", quoted(dim));
      dims.clear();
      for (int64_t d = *first; d <= *last; d += *step) dims.push_back(std::to_string(d));
    }
    std::vector<std::string> after;
    for (const std::string& shape : before) {
      for (const std::string& d : dims) after.push_back(shape + (shape.size() > colon ? "x" : "") + d);
    }
    before = std::move(after);
    if (before.size() > kMostSizes) exit_with(kUsage, "--sweep: more than {} sizes", kMostSizes);
  }
  return before;
}

}  // namespace

DimSizes ShapeOptions::resolve(const Model& model) const {
  DimSizes sizes;
  for (const std::string& text : shapes) {
    const size_t colon = text.rfind(':');
    std::string name = text.substr(0, colon == std::string::npos ? 0 : colon);
    if (colon == std::string::npos) {
      std::vector<TensorInfo> inputs;
      for (TensorInfo& input : model.inputs()) {
        if (!input.has_default) inputs.push_back(std::move(input));
      }
      if (inputs.size() != 1) {
        exit_with(kUsage, "--shape {}: say which of the {} inputs, as NAME:1x3x224x224", quoted(text),
                  inputs.size());
      }
      name = inputs[0].name;
    }
    sizes.shapes[name] = parse_dims(text.substr(colon == std::string::npos ? 0 : colon + 1), "--shape");
  }
  for (const std::string& text : dims) {
    const size_t equals = text.rfind('=');
    const auto value =
        equals == std::string::npos ? std::nullopt : parse_integer(std::string_view(text).substr(equals + 1));
    if (!value || *value < 0) exit_with(kUsage, "--dim: {} is not like N=1", quoted(text));
    sizes.symbols[text.substr(0, equals)] = *value;
  }
  model.validate(sizes);
  return sizes;
}

std::vector<DimSizes> ShapeOptions::resolve_all(const Model& model, const std::string& sweep) const {
  if (sweep.empty()) return {resolve(model)};
  std::vector<DimSizes> all;
  for (std::string& size : sizes_of_sweep(sweep)) {
    ShapeOptions one = *this;
    one.shapes.push_back(std::move(size));
    all.push_back(one.resolve(model));
  }
  return all;
}

CLI::Option* add_list(CLI::App& app, const std::string& names, std::vector<std::string>& values,
                      const std::string& help) {
  return app.add_option(names, values, help)->allow_extra_args(false)->type_size(1);
}

void add_shape_options(CLI::App& app, ShapeOptions& options) {
  add_list(app, "--shape", options.shapes,
           "Shape of an input, NAME:1x3x224x224 (NAME: may be left out when there is one)")
      ->type_name("[NAME:]DIMS");
  add_list(app, "--dim", options.dims, "Size of a symbolic dimension, N=1")->type_name("SYMBOL=N");
}

void add_sweep(CLI::App& app, std::string& sweep, const std::string& help) {
  app.add_option("--sweep", sweep, help)->type_name("[NAME:]DIMS");
}

void add_model(CLI::App& app, std::string& model) {
  app.add_option("MODEL", model, "ONNX file or compiled one (plica compile), or - for the standard input")->required();
}

void add_threads(CLI::App& app, int& threads) {
  app.add_option("--threads", threads, "Threads to run with (default: the CPUs that this process may use)")
      ->check(CLI::Range(1, 1024))
      ->type_name("T");
}

void add_threads_list(CLI::App& app, std::vector<int>& threads, const std::string& help) {
  app.add_option("--threads", threads, help + ", 1,2 (default: the CPUs that this process may use)")
      ->delimiter(',')
      ->check(CLI::Range(1, 1024))
      ->type_name("T,...");
}

void add_session_options(CLI::App& app, SessionOptions& options) {
  add_threads(app, options.threads);
  add_choices(app, options);
}

void add_choices(CLI::App& app, SessionOptions& options) {
  app.add_flag("--exact", options.exact,
               "Sums as the operators define them: no Winograd, which rounds somewhat more");
  app.add_flag("--tuned", options.tuning,
               "Choices that plica tune measured, from its default file or --tuned=FILE")
      ->transform(CLI::Validator(
          [](std::string& file) {
            if (file == "true") file = default_tuning_file();
            return std::string();
          },
          ""));
}

void note_tuning(const Session& session) {
  if (!session.tuning_note().empty()) note(session.tuning_note());
}

void add_json(CLI::App& app, bool& json) {
  app.add_flag("--json", json, "Print one JSON object instead of text");
}

}  // namespace plica::tools
