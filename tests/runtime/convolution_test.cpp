#include "runtime/plan/layout_policy.h"
#include "runtime_test.h"

namespace plica::testing {
namespace {

using Ints = std::vector<int64_t>;

struct Case {
  Dims x, w;
  Ints strides, pads, dilations;
  int64_t groups = 1;
  bool bias = true;
  std::string chain;  // letters: r relu, c clip, s swish parts, h hard-swish, m mul by channel, a add by
                      // channel, + residual
};

std::string describe(const Case& c) {
  return to_string(c.x) + " by " + to_string(c.w) + " groups " + std::to_string(c.groups) + " chain '" +
         c.chain + "'";
}

Value* add_chain(GraphMaker& g, Value* v, const std::string& chain, const Dims& y) {
  Dims by_channel(y.size(), 1);
  by_channel[1] = y[1];
  for (char letter : chain) {
    switch (letter) {
      case 'r':
        v = g.node("Relu", {v});
        break;
      case 'c':
        v = g.node("Clip", {v, g.scalar(-0.5f), g.scalar(0.75f)});
        break;
      case 's':
        v = g.node("Mul", {v, g.node("Sigmoid", {v})});
        break;
      case 'h':
        v = g.node("HardSwish", {v});
        break;
      case 'm':
        v = g.node("Mul", {v, g.constant(g.random(by_channel, 0.5, 2))});
        break;
      case 'a':
        v = g.node("Add", {v, g.constant(g.random(by_channel))});
        break;
      case '+':
        v = g.node("Add", {v, g.input(y)});
        break;
      case '-':
        v = g.node("Sub", {g.input(y), v});
        break;
      case 'l':
        v = g.node("LeakyRelu", {v}, {{"alpha", 0.1f}});
        break;
      case 'k':
        v = g.node("Add", {g.node("Mul", {g.scalar(1.5f), v}), g.scalar(0.25f)});
        break;
      case 'H':
        v = g.node(
            "Div",
            {g.node("Mul", {v, g.node("Clip", {g.node("Add", {v, g.scalar(3)}), g.scalar(0), g.scalar(6)})}),
             g.scalar(6)});
        break;
      case 'e':
        v = g.node("Erf", {v});
        break;
    }
  }
  return v;
}

PlanInfo check(const Case& c, uint32_t seed) {
  SCOPED_TRACE(describe(c));
  GraphMaker g(seed);
  Value* x = g.input(c.x);
  std::vector<Value*> inputs = {x, g.weights(c.w)};
  if (c.bias) inputs.push_back(g.constant(g.random({c.w[0]})));
  std::vector<std::pair<std::string, AttributeValue>> attributes = {{"group", c.groups}};
  if (!c.strides.empty()) attributes.push_back({"strides", c.strides});
  if (!c.pads.empty()) attributes.push_back({"pads", c.pads});
  if (!c.dilations.empty()) attributes.push_back({"dilations", c.dilations});
  Value* v = g.node("Conv", inputs, attributes);
  const NamedTensors first = g.feed();
  Dims y;
  {  // the result's shape
    GraphMaker alone(seed);
    std::vector<Value*> in = {alone.input(c.x), alone.weights(c.w)};
    alone.output(alone.node("Conv", in, attributes));
    y = evaluate_graph(alone.graph(), alone.feed())[0].dims();
  }
  g.output(add_chain(g, v, c.chain, y));
  double reduction = 1;
  for (size_t i = 1; i < c.w.size(); ++i) reduction *= static_cast<double>(c.w[i]);
  const bool winograd = c.w.size() == 4 && c.w[2] == 3 && c.w[3] == 3 && c.groups == 1;
  return check_against_reference(g, g.feed(), reduction * (winograd ? kWinogradFactor : 1));
}

TEST(Convolution, Shapes) {
  const std::vector<Case> cases = {
      {{1, 3, 17, 19}, {20, 3, 3, 3}, {2, 2}, {1, 1, 1, 1}, {}},
      {{3, 16, 9, 9}, {32, 16, 3, 3}, {}, {1, 1, 1, 1}, {}},
      {{1, 24, 14, 14}, {40, 24, 1, 1}, {}, {}, {}},
      {{1, 5, 7, 11}, {7, 5, 3, 2}, {1, 2}, {0, 1, 2, 0}, {}},
      {{2, 12, 10, 10}, {18, 12, 3, 3}, {}, {2, 2, 2, 2}, {2, 2}},
      {{1, 32, 8, 8}, {32, 1, 3, 3}, {}, {1, 1, 1, 1}, {}, 32},
      {{1, 19, 8, 9}, {19, 1, 5, 5}, {2, 2}, {2, 2, 2, 2}, {}, 19},
      {{1, 16, 8, 8}, {32, 4, 3, 3}, {}, {1, 1, 1, 1}, {}, 4},
      {{1, 8, 6, 6}, {16, 1, 3, 3}, {}, {1, 1, 1, 1}, {}, 8},
      {{1, 64, 1, 1}, {4, 64, 1, 1}, {}, {}, {}},
      {{1, 4, 1, 1}, {64, 4, 1, 1}, {}, {}, {}},
      {{1, 16, 3, 3}, {16, 16, 3, 3}, {}, {}, {}, 1, false},
      {{2, 6, 13}, {10, 6, 3}, {2}, {1, 1}, {}},
      {{1, 4, 5, 6, 7}, {9, 4, 3, 3, 3}, {}, {1, 1, 1, 1, 1, 1}, {}},
      {{1, 64, 28, 28}, {64, 64, 3, 3}, {}, {1, 1, 1, 1}, {}},
  };
  uint32_t seed = 1;
  for (const Case& c : cases) check(c, seed++);
}

TEST(Convolution, Chains) {
  uint32_t seed = 100;
  for (const Dims& w : {Dims{20, 12, 1, 1}, Dims{32, 12, 3, 3}, Dims{12, 1, 3, 3}, Dims{24, 12, 1, 3}}) {
    for (const char* chain :
         {"r", "c",   "s",  "h",   "ma", "mas", "mar", "ar+", "+",   "+r", "r+", "h+", "-r",  "mah+r",
          "e", "+e+", "lm", "m+s", "k",  "kh",  "hk",  "khk", "kHk", "H",  "kr", "ks", "kck", "kkmk"}) {
      Case c{{1, 12, 10, 10}, w, {}, {}, {}, w[1] == 1 ? 12 : 1, true, chain};
      check(c, seed++);
    }
  }
}

TEST(Convolution, ChannelsThatDontFillTheirBlock) {
  uint32_t seed = 300;
  for (int64_t out : {60, 120, 4}) {
    for (const char* chain : {"m", "a", "ma", "mas", "+"}) {
      check({{1, 480, 1, 40}, {out, 480, 1, 3}, {}, {0, 1, 0, 1}, {}, 1, false, chain}, seed++);
      check({{1, 60, 1, 40}, {out, 60, 1, 1}, {}, {}, {}, 1, false, chain}, seed++);
    }
  }
}

TEST(Convolution, RandomShapes) {
  GraphMaker r(7);
  for (uint32_t seed = 0; seed < 40; ++seed) {
    Case c;
    c.groups = r.pick(0, 2) == 0 ? r.pick(2, 6) : 1;
    const int64_t in = r.pick(1, 24), out = r.pick(1, 24);
    c.x = {r.pick(1, 3), in * c.groups, r.pick(5, 14), r.pick(5, 14)};
    c.w = {out * c.groups, in, r.pick(1, 4), r.pick(1, 4)};
    c.strides = {r.pick(1, 3), r.pick(1, 3)};
    c.pads = {r.pick(0, 2), r.pick(0, 2), r.pick(0, 2), r.pick(0, 2)};
    if (r.pick(0, 3) == 0) {
      c.dilations = {2, 1};
      c.w[2] = 2;
    }
    c.bias = r.pick(0, 1) == 1;
    check(c, seed);
  }
}

TEST(Convolution, WeightsFromTheGraph) {
  GraphMaker g;
  Value* w = g.node("Mul", {g.input({8, 6, 3, 3}), g.scalar(0.5f)});
  g.output(g.node("Conv", {g.input({1, 6, 8, 8}), w}));
  check_against_reference(g, g.feed(), 54 * kWinogradFactor);
}

TEST(Convolution, ExactMeansNoWinograd) {
  GraphMaker g;
  g.output(g.node("Conv", {g.input({1, 64, 16, 16}), g.weights({64, 64, 3, 3})}));
  const auto implementation = [&](bool exact) {
    return Executor(g.model(), {.threads = 1, .exact = exact}).describe(g.feed()).steps.at(1).implementation;
  };
  EXPECT_EQ(implementation(false), "winograd F(4x4,3x3)");
  EXPECT_EQ(implementation(true).find("wino"), std::string::npos);
}

TEST(Convolution, EmptyBatch) {
  GraphMaker g;
  g.output(g.node("Relu", {g.node("Conv", {g.input({0, 6, 8, 8}), g.weights({8, 6, 3, 3})})}));
  check_against_reference(g, g.feed());
}

TEST(Convolution, BatchNormAndResidual) {
  GraphMaker g(3);
  Value* x = g.input({1, 24, 12, 12});
  Value* c = g.node("Conv", {x, g.weights({24, 24, 3, 3})}, {{"pads", Ints{1, 1, 1, 1}}});
  Value* bn = g.node("BatchNormalization", {c, g.constant(g.random({24}, 0.5, 2)), g.constant(g.random({24})),
                                            g.constant(g.random({24})), g.constant(g.random({24}, 0.5, 2))});
  Value* r = g.node("Relu", {g.node("Add", {bn, x})});
  // The residual is read again later, so that nothing may be summed into it.
  Value* d = g.node("Conv", {r, g.weights({24, 24, 1, 1})});
  g.output(g.node("Add", {g.node("Add", {d, r}), g.node("Relu", {r})}));
  check_against_reference(g, g.feed(), 24 * 9 * kWinogradFactor);
}

TEST(Convolution, SumsIntoADyingResidual) {
  GraphMaker g(4);
  Value* x = g.node("Conv", {g.input({1, 16, 12, 12}), g.weights({32, 16, 1, 1})});
  Value* a = g.node("Relu", {g.node("Conv", {x, g.weights({32, 32, 1, 1})})});
  Value* b = g.node("Conv", {a, g.weights({32, 32, 1, 1})});
  g.output(
      g.node("Relu", {g.node("Conv", {g.node("Relu", {g.node("Add", {b, x})}), g.weights({8, 32, 1, 1})})}));
  const PlanInfo info = check_against_reference(g, g.feed(), 32);
  EXPECT_EQ(count_steps(info, "Conv"), 4);
  EXPECT_EQ(count_steps(info, "Pointwise"), 0);
}

struct DeconvolutionCase {
  Dims x, w;
  Ints strides, pads, output_padding, dilations;
  int64_t groups = 1;
};

TEST(Deconvolution, Shapes) {
  const std::vector<DeconvolutionCase> cases = {
      {{1, 24, 8, 8}, {24, 24, 2, 2}, {2, 2}, {}, {}, {}},
      {{1, 24, 8, 8}, {24, 1, 2, 2}, {2, 2}, {}, {}, {}},
      {{2, 5, 6, 7}, {5, 9, 3, 3}, {2, 2}, {1, 1, 1, 1}, {1, 1}, {}},
      {{1, 8, 6, 7}, {8, 3, 3, 3}, {1, 1}, {0, 1, 1, 0}, {}, {}, 2},
      {{1, 6, 9}, {6, 4, 4}, {3}, {1, 0}, {}, {}},
      {{1, 4, 5, 5}, {4, 6, 3, 3}, {1, 1}, {}, {}, {2, 2}},
      {{3, 16, 5, 5}, {16, 32, 3, 3}, {3, 3}, {}, {}, {}},
      {{2, 20, 3, 5}, {20, 48, 2, 3}, {2, 3}, {}, {}, {}},
      {{1, 16, 7, 4}, {16, 16, 1, 4}, {1, 4}, {}, {}, {}},
  };
  uint32_t seed = 50;
  for (const auto& c : cases) {
    for (const bool relu : {false, true}) {
      SCOPED_TRACE(to_string(c.x) + " by " + to_string(c.w));
      GraphMaker g(seed++);
      std::vector<std::pair<std::string, AttributeValue>> attributes = {{"group", c.groups},
                                                                        {"strides", c.strides}};
      if (!c.pads.empty()) attributes.push_back({"pads", c.pads});
      if (!c.output_padding.empty()) attributes.push_back({"output_padding", c.output_padding});
      if (!c.dilations.empty()) attributes.push_back({"dilations", c.dilations});
      Value* v =
          g.node("ConvTranspose", {g.input(c.x), g.weights(c.w), g.constant(g.random({c.w[1] * c.groups}))},
                 attributes);
      if (relu) v = g.node("Sigmoid", {g.node("Relu", {v})});
      g.output(v);
      check_against_reference(g, g.feed(), static_cast<double>(c.w[0] * c.w[2]));
    }
  }
}

// As in a U-Net: the result is computed in its place of the Concat.
TEST(Deconvolution, IntoAConcat) {
  GraphMaker g;
  Value* x = g.input({1, 3, 8, 8});
  Value* skipped = g.node("Conv", {x, g.weights({16, 3, 1, 1})});
  Value* down = g.node("MaxPool", {skipped}, {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}});
  Value* up = g.node("ConvTranspose",
                     {g.node("Conv", {down, g.weights({64, 16, 1, 1})}), g.weights({64, 32, 2, 2}),
                      g.constant(g.random({32}))},
                     {{"strides", Ints{2, 2}}});
  Value* both = g.node("Concat", {up, skipped}, {{"axis", int64_t{1}}});
  g.output(g.node("Conv", {both, g.weights({16, 48, 1, 1})}));
  const PlanInfo info = check_against_reference(g, g.feed(), 3 * 16 * 64 * 48);
  const onednn::Layout layout = choose_layout();
  if (layout != onednn::Layout::blocked8 && layout != onednn::Layout::blocked16) return;
  EXPECT_EQ(count_steps(info, "Concat"), 0) << steps_of(info);
  // At most of the model's input and output.
  EXPECT_LE(count_steps(info, "reorder"), 2) << steps_of(info);
}

}  // namespace
}  // namespace plica::testing
