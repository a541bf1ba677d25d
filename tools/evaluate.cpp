// plica evaluate: accuracy, agreement and latency of models on labelled data, side by side.
#include <algorithm>
#include <chrono>
#include <memory>

#include "plica/plica.h"
#include "tools/commands.h"
#include "tools/console.h"
#include "tools/dataset.h"
#include "tools/exit.h"
#include "tools/files.h"
#include "tools/labels.h"

namespace plica::tools {
namespace {

struct EvaluateOptions {
  std::vector<std::string> models;
  std::string mean, scale, layout, resize;
  std::string data;
  SessionOptions session;
  int64_t batch = 32, limit = 0;
  bool fold = false, json = false;
};

// One row of the table.
struct Score {
  std::string model;
  int64_t batch_norms = 0;
  int64_t samples = 0, top1 = 0, top5 = 0;
  double milliseconds = 0;
  std::vector<int64_t> predictions;
};

void score_batch(const Tensor& output, const std::vector<int64_t>& labels, size_t first, size_t count,
                 Score& score) {
  const Ranking ranking = rank_classes(output, 5);
  if (ranking.samples.size() < count)
    exit_with(kInvalid, "the output holds {} samples for {} inputs", ranking.samples.size(), count);
  for (size_t i = 0; i < count; ++i) {
    const std::vector<Class>& best = ranking.samples[i];
    const int64_t label = labels[first + i];
    ++score.samples;
    score.top1 += best[0].index == label;
    score.top5 += std::ranges::any_of(best, [&](const Class& c) { return c.index == label; });
    score.predictions.push_back(best[0].index);
  }
}

const TensorInfo& single_input(const std::vector<TensorInfo>& inputs) {
  const TensorInfo* found = nullptr;
  for (const TensorInfo& input : inputs) {
    if (input.has_default) continue;
    if (found) exit_with(kInvalid, "only models with one input can be evaluated");
    found = &input;
  }
  if (!found) exit_with(kInvalid, "the model has no input");
  return *found;
}

Score evaluate_model(std::string name, const Model& model, const Dataset& data,
                     const EvaluateOptions& options) {
  Score score{.model = std::move(name),
              .batch_norms = static_cast<int64_t>(model.summarize().batch_norms.size())};
  const std::vector<TensorInfo> inputs = model.inputs();
  const TensorInfo& input = single_input(inputs);
  const bool is_fixed = input.shape && input.shape->rank() > 0 && (*input.shape)[0].is_known();
  const int64_t batch = is_fixed ? (*input.shape)[0].value() : options.batch;
  if (batch < 1) exit_with(kInvalid, "input {} takes batches of {}", quoted(input.name), batch);
  const Session session(model, options.session);
  note_tuning(session);
  const auto total = static_cast<int64_t>(data.labels().size());
  for (int64_t first = 0; first < total; first += batch) {
    const int64_t count = std::min(batch, total - first);
    progress(fmt::format("{}: {} of {}", score.model, first, total));
    const TensorMap given = {{input.name, data.batch(first, count, is_fixed ? batch : count)}};
    session.plan(given);  // compiling is no part of the latency
    const auto start = std::chrono::steady_clock::now();
    const TensorMap results = session.run(given);
    score.milliseconds +=
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    const Tensor* output = nullptr;
    for (const TensorInfo& info : model.outputs()) {
      const Tensor& tensor = results.at(info.name);
      if (!output && tensor.rank() > 1 && class_count(tensor)) output = &tensor;
    }
    if (!output)
      exit_with(kInvalid, "no output holds scores of classes: its shape would be [batch, classes]");
    score_batch(*output, data.labels(), static_cast<size_t>(first), static_cast<size_t>(count), score);
  }
  progress("");
  return score;
}

double share(int64_t part, int64_t whole) {
  return whole ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

int64_t agreeing(const Score& a, const Score& b) {
  int64_t same = 0;
  for (size_t i = 0; i < std::min(a.predictions.size(), b.predictions.size()); ++i)
    same += a.predictions[i] == b.predictions[i];
  return same;
}

void print_scores(const std::vector<Score>& scores) {
  using enum Table::Align;
  Table table({"model", "batch norms", "top-1", "top-5", "agrees with the first", "ms a sample"},
              {left, right, right, right, right, right});
  const auto cell = [](int64_t part, int64_t whole) {
    return fmt::format("{:.2f} % ({}/{})", 100 * share(part, whole), part, whole);
  };
  for (const Score& s : scores) {
    table.add({s.model, fmt::format("{}", s.batch_norms), cell(s.top1, s.samples), cell(s.top5, s.samples),
               cell(agreeing(scores[0], s), s.samples),
               fmt::format("{:.4f}", s.milliseconds / static_cast<double>(s.samples))});
  }
  print(table.text());
}

Json to_json(const std::vector<Score>& scores, const EvaluateOptions& options) {
  Json root = {{"schema", 1}, {"data", options.data}, {"models", Json::array()}};
  for (const Score& s : scores) {
    root["models"].push_back({{"model", s.model},
                              {"batch_norms", s.batch_norms},
                              {"samples", s.samples},
                              {"top1", share(s.top1, s.samples)},
                              {"top1_correct", s.top1},
                              {"top5", share(s.top5, s.samples)},
                              {"top5_correct", s.top5},
                              {"agreement", share(agreeing(scores[0], s), s.samples)},
                              {"agreeing", agreeing(scores[0], s)},
                              {"ms_per_sample", s.milliseconds / static_cast<double>(s.samples)}});
  }
  return root;
}

int evaluate(const EvaluateOptions& options) {
  std::vector<Score> scores;
  for (const std::string& path : options.models) {
    const Model model = load_model(path);
    const std::vector<TensorInfo> inputs = model.inputs();
    const Dataset data = reading([&] {
      return Dataset::open(options.data, model, single_input(inputs),
                           {.mean = options.mean,
                            .scale = options.scale,
                            .layout = options.layout,
                            .resize = options.resize,
                            .limit = options.limit});
    });
    about_model(path, [&] {
      scores.push_back(evaluate_model(shown(path), model, data, options));
      if (!options.fold) return;
      Model folded = model;
      folded.optimize();
      scores.push_back(evaluate_model(shown(path) + ", folded", folded, data, options));
    });
  }
  if (options.json) {
    print_json(to_json(scores, options));
  } else {
    print_scores(scores);
  }
  return kOk;
}

}  // namespace

void add_evaluate(CLI::App& program, Invocation& invocation) {
  auto options = std::make_shared<EvaluateOptions>();
  CLI::App* app = program.add_subcommand("evaluate", "Measure accuracy on labelled data");
  app->add_option("MODEL", options->models, "ONNX files that take one input and give scores of classes")
      ->required();
  app->add_option("--data", options->data,
                  "An .npz with the samples (under the input's name) and `labels`, or a directory with a "
                  "folder of pictures for each class")
      ->required()
      ->type_name("FILE.npz|DIR");
  app->add_flag("--fold", options->fold, "Also evaluate each model with its batch norms folded");
  app->add_option("--batch", options->batch, "Samples at once, where the model leaves that open (default 32)")
      ->check(CLI::Range(1, 65536))
      ->type_name("N");
  app->add_option("--limit", options->limit, "Use only the first N samples")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40))
      ->type_name("N");
  app->add_option("--mean", options->mean, "Pictures: as for plica run")->type_name("M[,M,M]");
  app->add_option("--scale", options->scale, "Pictures: as for plica run")->type_name("S[,S,S]");
  app->add_option("--layout", options->layout, "Pictures: nchw or nhwc")
      ->check(CLI::IsMember({"nchw", "nhwc"}, CLI::ignore_case))
      ->type_name("LAYOUT");
  app->add_option("--resize", options->resize, "Pictures: to this size")->type_name("WxH");
  add_session_options(*app, options->session);
  add_json(*app, options->json);
  app->footer(R"(
Models run as they are in their files; --fold adds a line for each with its batch norms folded.

Example:
  plica evaluate digits.onnx --data test.npz --fold)");
  app->callback([options, &invocation] { invocation = {[options] { return evaluate(*options); }, true}; });
}

}  // namespace plica::tools
