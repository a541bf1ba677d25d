// plica compile: the optimized model with its weights packed, in one file that is mapped.
#include <memory>

#include "engine/core/fail.h"
#include "plica/compile.h"
#include "plica/plica.h"
#include "tools/commands.h"
#include "tools/console.h"
#include "tools/exit.h"
#include "tools/files.h"
#include "tools/inputs.h"

namespace plica::tools {
namespace {

struct CompileCommand {
  std::string model, output, sweep;
  ShapeOptions shapes;
  SessionOptions session;
  std::vector<int> threads;
  bool no_optimize = false, json = false;
};

int compile_command(const CompileCommand& options) {
  if (options.output == "-") exit_with(kUsage, "OUT must be a file: it is mapped when it is loaded");
  refuse_overwrite(options.model, options.output, false);
  Model model = load_model(options.model);
  return about_model(options.model, [&] {
    if (!options.no_optimize) optimize_to_run(model);
    std::vector<std::string> assumed;
    std::vector<TensorMap> inputs;
    for (const DimSizes& sizes : options.shapes.resolve_all(model, options.sweep))
      inputs.push_back(random_inputs(model, sizes, 0, inputs.empty() ? &assumed : nullptr));
    note_assumed(assumed);
    CompileOptions how{.session = options.session, .threads = options.threads};
    how.progress = [&](size_t done, size_t total) {
      if (total > 1) progress(fmt::format("{} of {} plans", done, total));
    };
    const CompileReport report = Session::compile(model, inputs, options.output, how);
    progress("");
    if (!report.tuning_note.empty()) note(report.tuning_note);
    if (options.json) {
      print_json({{"schema", 1},
                  {"model", options.model},
                  {"file", options.output},
                  {"file_bytes", report.file_bytes},
                  {"plans", report.plans},
                  {"packed", report.packed},
                  {"packed_bytes", report.packed_bytes},
                  {"not_kept_bytes", report.not_kept_bytes}});
      return kOk;
    }
    print("{}: {}, {} packed tensors of {}\n", escaped(options.output),
          human_bytes(static_cast<double>(report.file_bytes)), report.packed,
          human_bytes(static_cast<double>(report.packed_bytes)));
    return kOk;
  });
}

}  // namespace

void add_compile(CLI::App& program, Invocation& invocation) {
  auto options = std::make_shared<CompileCommand>();
  CLI::App* app = program.add_subcommand(
      "compile", "Optimize, pack the weights for this CPU; write a file that loads at once");
  add_model(*app, options->model);
  app->add_option("OUT", options->output, "File to write, such as net.plica")->required();
  add_shape_options(*app, options->shapes);
  add_sweep(*app, options->sweep, "Sizes of an input to compile for, x:1x3x48x64..320..16");
  add_threads_list(*app, options->threads, "Numbers of threads to compile for");
  add_choices(*app, options->session);
  app->add_flag("--no-optimize", options->no_optimize, "Compile the graph as it is in the file");
  add_json(*app, options->json);
  app->footer(R"(
The file takes the place of the model in every other command. It is for this kind of CPU and these versions of Plica and
oneDNN: elsewhere it is the optimized model, whose weights are packed anew, and a note says so. With other shapes
and threads than it was compiled for it is right too, and what is packed alike is used.

Examples:
  plica compile net.onnx net.plica --shape x:1x3x224x224
  plica bench net.plica --compare net.onnx
  plica compile ocr.onnx ocr.plica --sweep x:1x3x48x64..320..16 --threads 1,2)");
  app->callback([options, &invocation] { invocation.run = [options] { return compile_command(*options); }; });
}

}  // namespace plica::tools
