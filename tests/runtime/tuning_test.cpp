// Choices by measurement: their keys, what each does to a plan, and that results stay right whatever is
// chosen.
#include "runtime/plan/tuning.h"

#include "runtime/tuner.h"
#include "runtime_test.h"

namespace plica::testing {
namespace {

using Ints = std::vector<int64_t>;

// A 3x3 convolution that can be done in all ways, one of stride 2 that Winograd's method can't do, and a
// residual.
GraphMaker two_convolutions() {
  GraphMaker g(7);
  Value* x = g.node("Relu", {g.node("Conv", {g.input({1, 32, 20, 20}), g.weights({32, 32, 3, 3})},
                                    {{"pads", Ints{1, 1, 1, 1}}})});
  Value* y = g.node("Conv", {x, g.weights({32, 32, 3, 3})}, {{"pads", Ints{1, 1, 1, 1}}});
  g.output(g.node("Conv", {g.node("Add", {x, y}), g.weights({24, 32, 3, 3})}, {{"strides", Ints{2, 2}}}));
  return g;
}

Executor executor_of(GraphMaker& g, Tuning tuning, int threads, bool exact = false) {
  return Executor(
      g.model(),
      {.threads = threads, .exact = exact, .tuning = std::make_shared<const Tuning>(std::move(tuning))});
}

std::string implementation(const PlanInfo& info, int nth) {
  for (const StepInfo& s : info.steps) {
    if (s.kind == "Conv" && nth-- == 0) return s.implementation;
  }
  return "";
}

TEST(Tuning, EveryChoiceGivesTheSameResults) {
  for (const TunedLayout layout :
       {TunedLayout::blocked16, TunedLayout::blocked8, TunedLayout::channels_last}) {
    for (const int tile : {4, 2, 0}) {
      for (const bool one_thread : {false, true}) {
        GraphMaker g = two_convolutions();
        const NamedTensors inputs = g.feed();
        const std::vector<Tensor> expected = evaluate_graph(g.graph(), inputs);
        Tuning tuning;
        tuning.others.layout = layout;
        tuning.others.others = {tile, one_thread};
        const Executor executor = executor_of(g, tuning, 2);
        // Three layers' errors: theirs add up, each at most that of a sum of 9 * 32 products.
        expect_close(executor.run(inputs).begin()->second, expected[0], 3 * 3 * 9 * 32 * kWinogradFactor);
        const PlanInfo info = executor.describe(inputs);
        const bool winograd = tile > 0 && layout != TunedLayout::channels_last;
        if (winograd) {
          EXPECT_EQ(implementation(info, 0), tile == 4 ? "winograd F(4x4,3x3)" : "winograd F(2x2,3x3)");
        }
        EXPECT_EQ(implementation(info, 0).starts_with("winograd"), winograd);
        EXPECT_FALSE(implementation(info, 2).starts_with("winograd"));
      }
    }
  }
}

TEST(Tuning, ExactIgnoresWinograd) {
  GraphMaker g = two_convolutions();
  Tuning tuning;
  tuning.others.others.tile = 4;
  for (const StepInfo& s : executor_of(g, tuning, 1, true).describe(g.feed()).steps)
    EXPECT_FALSE(s.implementation.starts_with("winograd")) << s.nodes;
}

TEST(Tuning, IsByStepPlanAndThreads) {
  GraphMaker g = two_convolutions();
  const PlanInfo one = executor_of(g, {}, 1).describe(g.feed()),
                 two = executor_of(g, {}, 2).describe(g.feed());
  std::vector<const StepInfo*> convolutions;
  for (const StepInfo& s : one.steps) {
    if (s.kind == "Conv") convolutions.push_back(&s);
  }
  ASSERT_EQ(convolutions.size(), 3u);
  EXPECT_EQ(convolutions[0]->step,
            "Conv+Relu 1x32x20x20,w32x32x3x3 to 1x32x20x20 k3x3 s1x1 d1x1 p1x1/1x1 g1");
  EXPECT_NE(convolutions[0]->step, convolutions[1]->step);
  EXPECT_NE(one.steps[0].plan, two.steps[0].plan);
  EXPECT_TRUE(one.steps[0].plan.ends_with("-t1"));

  Tuning tuning;
  PlanChoice& plan = tuning.plans[one.steps[0].plan];
  plan.steps[convolutions[0]->step].tile = 2;
  plan.steps[convolutions[1]->step].tile = 0;
  const PlanInfo tuned = executor_of(g, tuning, 1).describe(g.feed());
  EXPECT_EQ(implementation(tuned, 0), "winograd F(2x2,3x3)");
  EXPECT_FALSE(implementation(tuned, 1).starts_with("winograd"));
  // The plan of two threads has no entry: as without a tuning.
  EXPECT_EQ(steps_of(executor_of(g, tuning, 2).describe(g.feed())), steps_of(two));
}

TEST(Tuning, ImpossibleChoicesAreIgnored) {
  GraphMaker g = two_convolutions();
  Tuning tuning;
  tuning.others.others.tile = 3;
  const std::string untuned = steps_of(Executor(g.model(), {.threads = 1}).describe(g.feed()));
  EXPECT_EQ(steps_of(executor_of(g, tuning, 1).describe(g.feed())), untuned);
}

TEST(Tuning, MeasuresAndIsDeterministic) {
  for (const int threads : {1, 2}) {
    GraphMaker g = two_convolutions();
    const NamedTensors inputs = g.feed();
    double done = -1;
    const TunerResult result =
        tune(g.model(), {.threads = threads}, inputs, {.seconds = 0.05, .progress = [&](double fraction) {
                                                         EXPECT_GE(fraction, done);
                                                         EXPECT_LE(fraction, 1);
                                                         done = fraction;
                                                       }});
    EXPECT_GE(done, 0);
    EXPECT_GT(result.before_ms, 0);
    EXPECT_LE(result.after_ms, result.before_ms);
    EXPECT_EQ(result.tuning.plans.size(), 1u);
    const auto plan_text = [&] { return steps_of(executor_of(g, result.tuning, threads).describe(inputs)); };
    EXPECT_EQ(plan_text(), plan_text());
    const std::vector<Tensor> expected = evaluate_graph(g.graph(), inputs);
    expect_close(executor_of(g, result.tuning, threads).run(inputs).begin()->second, expected[0],
                 3 * 3 * 9 * 32 * kWinogradFactor);
  }
}

}  // namespace
}  // namespace plica::testing
