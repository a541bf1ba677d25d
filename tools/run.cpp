// plica run: runs a model once.
#include <algorithm>
#include <filesystem>
#include <memory>

#include "engine/core/fail.h"
#include "plica/plica.h"
#include "tools/commands.h"
#include "tools/console.h"
#include "tools/exit.h"
#include "tools/files.h"
#include "tools/inputs.h"
#include "tools/labels.h"
#include "tools/npy.h"
#include "tools/npz.h"
#include "tools/values.h"

namespace plica::tools {
namespace {

constexpr int64_t kDefaultTop = 5;

struct RunOptions {
  std::string model, output, labels, dump_directory;
  InputOptions inputs;
  ShapeOptions shapes;
  SessionOptions session;
  int64_t top = 0;  // 0: not given
  bool no_optimize = false, json = false;
};

struct Classes {
  std::string output;
  std::vector<std::string> labels;
  Ranking ranking;
};

// The first output that holds scores of as many classes as there are labels, or of any when only --top asks
// for classes.
std::optional<Classes> classify(const RunOptions& options, const Model& model, const TensorMap& results) {
  Classes classes;
  classes.labels =
      options.labels.empty() ? labels_of(model) : reading([&] { return read_labels(options.labels); });
  for (const TensorInfo& output : model.outputs()) {
    const Tensor& tensor = results.at(output.name);
    const auto count = class_count(tensor);
    if (!count) continue;
    const bool fits = *count == static_cast<int64_t>(classes.labels.size());
    if (!fits && options.labels.empty() && options.top == 0) continue;
    require(fits || options.labels.empty(), ErrorCode::invalid_argument,
            "{} has {} labels, output {} has {} classes", options.labels, classes.labels.size(),
            quoted(output.name), *count);
    if (!fits) classes.labels.clear();
    classes.output = output.name;
    classes.ranking = rank_classes(tensor, options.top > 0 ? options.top : kDefaultTop);
    return classes;
  }
  require(options.top == 0 && options.labels.empty(), ErrorCode::invalid_argument,
          "no output holds scores of classes: its shape would be [classes] or [batch, classes]");
  return std::nullopt;
}

std::string label_of(const Classes& classes, int64_t index) {
  const auto i = static_cast<size_t>(index);
  return classes.labels.empty() ? fmt::format("class {}", index) : escaped(classes.labels[i]);
}

void print_classes(const Classes& classes) {
  if (classes.ranking.softmax_applied)
    note("output {} does not look like probabilities: softmax was applied", quoted(classes.output));
  for (size_t s = 0; s < classes.ranking.samples.size(); ++s) {
    if (classes.ranking.samples.size() > 1) print("{}\n", styled(Style::bold, fmt::format("sample {}", s)));
    size_t width = 0;
    for (const Class& c : classes.ranking.samples[s])
      width = std::max(width, label_of(classes, c.index).size());
    bool best = true;
    for (const Class& c : classes.ranking.samples[s]) {
      print(
          "{}  {}  {:6.2f} %\n",
          styled(best ? Style::bold : Style::plain, fmt::format("{:<{}}", label_of(classes, c.index), width)),
          styled(best ? Style::green : Style::cyan, bar(c.probability, 30)), 100 * c.probability);
      best = false;
    }
  }
}

std::string file_name_of(const std::string& tensor) {
  std::string name;
  for (char c : tensor)
    name += std::isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-' || c == '_' ? c : '_';
  if (name.empty() || name[0] == '.') name.insert(0, "_");
  return name.substr(0, 200);
}

// Every tensor that the reference kernels compute, as .npy (or .pb where NumPy lacks the type).
void dump_tensors(const Model& model, const TensorMap& inputs, const std::string& directory) {
  TensorMap all;
  model.run_reference(inputs, &all);
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  require(!error, ErrorCode::io, "cannot make the directory {}: {}", quoted(directory), error.message());
  std::map<std::string, int> used;
  for (const auto& [name, tensor] : std::map<std::string, Tensor>(all.begin(), all.end())) {
    if (!tensor.defined()) continue;
    std::string file = file_name_of(name);
    if (const int n = used[file]++; n > 0) file += fmt::format("~{}", n);
    const bool numpy = is_numeric(tensor.type()) || tensor.type() == DataType::string;
    const std::string contents = numpy ? serialize_npy(tensor) : serialize_tensor_proto(tensor, name);
    write_output((std::filesystem::path(directory) / (file + (numpy ? ".npy" : ".pb"))).string(), contents);
  }
  note("{} tensors of the reference kernels are in {}", all.size(), quoted(directory));
}

void write_results(const Model& model, const TensorMap& results, const std::string& path) {
  NamedArrays arrays;
  for (const TensorInfo& output : model.outputs()) arrays.emplace_back(output.name, results.at(output.name));
  const bool npy = path.ends_with(".npy"), pb = path.ends_with(".pb");
  require(path == "-" || npy || pb || path.ends_with(".npz"), ErrorCode::invalid_argument,
          "{}: outputs are written to .npz, .npy or .pb files", quoted(path));
  if (npy || pb) {
    require(arrays.size() == 1, ErrorCode::invalid_argument, "{} outputs don't fit one {} file: use .npz",
            arrays.size(), npy ? ".npy" : ".pb");
    write_output(path, npy ? serialize_npy(arrays[0].second)
                           : serialize_tensor_proto(arrays[0].second, arrays[0].first));
  } else {
    write_output(path, serialize_npz(arrays));
  }
}

Json to_json(const RunOptions& options, const Model& model, const Inputs& inputs, const TensorMap& results,
             const std::optional<Classes>& classes) {
  Json root = {{"schema", 1},
               {"model", options.model},
               {"optimized", !options.no_optimize},
               {"inputs", Json::array()},
               {"outputs", Json::array()}};
  for (const auto& [name, source] : inputs.sources) {
    const Tensor& tensor = inputs.tensors.at(name);
    root["inputs"].push_back(
        {{"name", name}, {"type", to_string(tensor.type())}, {"shape", tensor.dims()}, {"source", source}});
  }
  for (const TensorInfo& output : model.outputs()) {
    Json entry = {{"name", output.name}};
    entry.update(summary_json(results.at(output.name)));
    root["outputs"].push_back(std::move(entry));
  }
  if (classes) {
    root["softmax_applied"] = classes->ranking.softmax_applied;
    root["classes"] = Json::array();
    for (const auto& sample : classes->ranking.samples) {
      Json list = Json::array();
      for (const Class& c : sample) {
        list.push_back(
            {{"index", c.index}, {"label", label_of(*classes, c.index)}, {"probability", c.probability}});
      }
      root["classes"].push_back(std::move(list));
    }
  }
  return root;
}

int run(RunOptions options) {
  if (options.output == "-" && options.json)
    exit_with(kUsage, "-o - and --json both want the standard output");
  Model model = load_model(options.model);
  std::optional<Session> session;
  about_model(options.model, [&] {
    options.inputs.sizes = options.shapes.resolve(model);
    if (!options.no_optimize) optimize_to_run(model);
    session.emplace(model, options.session);
    note_tuning(*session);
  });
  const Inputs inputs = gather_inputs(model, options.inputs);
  const TensorMap results = about_model(options.model, [&] { return session->run(inputs.tensors); });
  const std::optional<Classes> classes = classify(options, model, results);
  if (!options.dump_directory.empty()) dump_tensors(model, inputs.tensors, options.dump_directory);
  if (!options.output.empty()) write_results(model, results, options.output);
  if (options.json) {
    print_json(to_json(options, model, inputs, results, classes));
  } else if (options.output == "-") {
    return kOk;  // stdout has the outputs
  } else if (classes) {
    print_classes(*classes);
  } else {
    for (const TensorInfo& output : model.outputs()) {
      print("{}  {}\n", styled(Style::bold, escaped(output.name)), summary(results.at(output.name)));
    }
  }
  return kOk;
}

}  // namespace

void add_run(CLI::App& program, Invocation& invocation) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* app = program.add_subcommand("run", "Run a model once, on arrays or pictures");
  add_model(*app, options->model);
  add_list(*app, "-i,--input", options->inputs.files,
           "Input: .npy, .npz, .pb, a picture (.png .jpg .bmp) or raw elements; - is the standard input. "
           "Without NAME= when the model has one "
           "input. What is not given is random")
      ->type_name("[NAME=]FILE");
  app->add_option("-o,--output", options->output,
                  "Write the outputs to .npz, or one to .npy or .pb; - writes .npz to stdout")
      ->type_name("FILE");
  app->add_option("--labels", options->labels,
                  "Names of the classes, one a line (default: the model's metadata)")
      ->type_name("FILE");
  app->add_option("--top", options->top, "Print the K best classes (default 5 when there are labels)")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40))
      ->type_name("K");
  app->add_option("--mean", options->inputs.mean,
                  "Pictures: value = (byte - mean) * scale; one number or one a channel")
      ->type_name("M[,M,M]");
  app->add_option("--scale", options->inputs.scale,
                  "Pictures: see --mean (default: the model's metadata, else 1/255)")
      ->type_name("S[,S,S]");
  app->add_option("--layout", options->inputs.layout,
                  "Pictures: nchw or nhwc (default: by the input's shape)")
      ->check(CLI::IsMember({"nchw", "nhwc"}, CLI::ignore_case))
      ->type_name("LAYOUT");
  app->add_option("--resize", options->inputs.resize,
                  "Pictures: to this size (default: the size that the model fixes)")
      ->type_name("WxH");
  app->add_option("--seed", options->inputs.seed, "Of random inputs (default 0)")->type_name("N");
  add_shape_options(*app, options->shapes);
  add_session_options(*app, options->session);
  app->add_flag("--no-optimize", options->no_optimize, "Run the graph as it is in the file");
  app->add_option("--dump-tensors", options->dump_directory,
                  "Write every tensor, as the reference kernels compute it, to this directory")
      ->type_name("DIR");
  add_json(*app, options->json);
  app->footer(R"(
Examples:
  plica run digits.onnx -i two.png
  plica run orientation.onnx -i page.jpg --mean 123.675,116.28,103.53 --scale 0.0171,0.0175,0.0174
  plica run net.onnx -i x=x.npy -i mask=mask.npy -o out.npz
  plica run net.onnx --dim N=4 --seed 7 --json)");
  app->callback([options, &invocation] { invocation = {[options] { return run(*options); }, true}; });
}

}  // namespace plica::tools
