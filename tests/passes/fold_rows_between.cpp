// Rows: operators between the batch norm and the linear operator.
#include "tests/passes/fold_rows.h"

namespace plica::testing {
namespace {

using Ints = std::vector<int64_t>;
using G = RowBuilder;
using enum RowBuilder::Signs;

const Row kRows[] = {
    // ---- through ReLU
    {"conv_relu_bn", "Conv Relu Add", nullptr, 0, "", kFromOpset1,
     [](G& g) {
       conv_between_bn(
           g, [&](Value* v, int64_t) { return g.op("Relu", "relu", {v}); }, {}, positive);
     }},
    {"conv_relu_bn_signs", "", nullptr, 1, "", kFromOpset1 | kSeveral,
     [](G& g) { conv_between_bn(g, [&](Value* v, int64_t) { return g.op("Relu", "relu", {v}); }); }},
    {"conv_relu_bn_conv0", "Conv Relu Conv", nullptr, 0, "", kFromOpset1,
     [](G& g) {
       Value* y = g.op("Relu", "relu", {g.conv(g.image(g.c()), g.c())});
       g.output(g.conv(g.bn(y, g.m()), g.m(), {.out = 3, .kernel = 1, .pad = 0, .name = "conv2"}));
     }},
    {"bn_relu_conv", "Conv Relu Conv|Add Relu Conv", nullptr, 0, "", kFromOpset1,
     [](G& g) {
       g.output(g.conv(g.op("Relu", "relu", {g.bn(g.image(g.c()), g.c(), "bn", positive)}), g.c(),
                       {.kernel = 3, .pad = 1}));
     }},
    {"bn_relu_conv_signs", "", nullptr, 1, "", kFromOpset1 | kSeveral,
     [](G& g) { g.output(g.conv(g.op("Relu", "relu", {g.bn(g.image(g.c()), g.c())}), g.c())); }},
    {"conv_leaky_bn", "Conv LeakyRelu Add", "Conv LeakyRelu Conv|Add LeakyRelu Conv", 0, "", kFromOpset1,
     [](G& g) {
       conv_between_bn(
           g, [&](Value* v, int64_t) { return g.op("LeakyRelu", "leaky", {v}); }, {}, positive);
     }},
    {"conv_maxpool_bn", "Conv MaxPool", "MaxPool Conv", 0, "", kFromOpset1,
     [](G& g) {
       conv_between_bn(
           g, [&](Value* v, int64_t) { return g.pool("MaxPool", v); }, {.kernel = 1}, positive);
     }},
    // ---- Concat, Split, Add
    {"concat_convs_bn", "Conv Conv Concat", "Concat Conv", 0, "", kAnyVariant,
     [](G& g) {
       Value* x = g.image(g.c());
       const G::Conv one{.kernel = 1, .pad = 0};
       if (g.mirrored) {  // only one of the two that come together is normalized
         Value* joined = g.op("Concat", "concat", {g.bn(x, g.c()), g.image(2)}, {{"axis", int64_t{1}}});
         g.output(g.conv(joined, g.c() + 2, one));
         return;
       }
       Value* left = g.conv(x, g.c(), one);
       Value* right = g.conv(x, g.c(), {.out = 4, .kernel = 1, .pad = 0, .name = "conv2"});
       g.output(g.bn(g.op("Concat", "concat", {left, right}, {{"axis", int64_t{1}}}), g.m() + 4));
     }},
    {"bn_split_convs", "Split Conv Conv", nullptr, 0, "", kAnyVariant,
     [](G& g) {
       const auto [left, right] = g.split(g.bn(g.image(g.c() + 2), g.c() + 2), g.c(), 2);
       g.output(g.conv(left, g.c(), {.kernel = 1, .pad = 0}));
       g.output(g.conv(right, 2, {.kernel = 1, .pad = 0, .name = "conv2"}));
     }},
    {"add_convs_bn", "Conv Conv Add", nullptr, 0, "", kAnyVariant,
     [](G& g) {
       Value* x = g.image(g.c());
       Value* left = g.conv(x, g.c(), {.kernel = 1, .pad = 0});
       Value* right = g.conv(x, g.c(), {.kernel = 1, .pad = 0, .name = "conv2"});
       g.output(g.bn(g.op("Add", "add", {left, right}), g.m()));
     }},
    // ---- what does nothing
    {"conv_identity_bn", "Conv", "Conv", 0, "", kFromOpset1,
     [](G& g) { conv_between_bn(g, [&](Value* v, int64_t) { return g.op("Identity", "id", {v}); }); }},
    {"conv_dropout_bn", "Conv", "Conv", 0, "", kAnyVariant,
     [](G& g) { conv_between_bn(g, [&](Value* v, int64_t) { return g.op("Dropout", "drop", {v}); }); }},
    // ---- means
    {"conv_avgpool_bn", "Conv AveragePool", "AveragePool Conv", 0, "", kFromOpset1,
     [](G& g) {
       conv_between_bn(g, [&](Value* v, int64_t) { return g.pool("AveragePool", v); }, {.kernel = 1});
     }},
    {"conv_gap_bn", "Conv GlobalAveragePool", "GlobalAveragePool Conv", 0, "", kFromOpset1,
     [](G& g) {
       conv_between_bn(g, [&](Value* v, int64_t) { return g.op("GlobalAveragePool", "gap", {v}); },
                       {.kernel = 1});
     }},
    {"conv_mean_bn", "Conv ReduceMean", "ReduceMean Gemm", 0, "", kAnyVariant,
     [](G& g) {
       Ints axes;
       for (int i = 0; i < g.spatial(); ++i) axes.push_back(i + 2);
       const auto mean = [&](Value* v) {
         Value* y = g.with_axes("ReduceMean", v, axes);
         Attribute keep;
         keep.name = "keepdims", keep.value = int64_t{0};
         g.b.graph->set_attribute(y->producer(), keep);
         return y;
       };
       Value* x = g.image(g.c());
       g.output(g.mirrored ? g.gemm(mean(g.bn(x, g.c())), g.c(), g.m())
                           : g.bn(mean(g.conv(x, g.c())), g.m()));
     }},
    // ---- what moves the channels
    {"conv_transpose_bn", "Conv Transpose", "Transpose Conv", 0, "", kOnly2d,
     [](G& g) { conv_between_bn(g, [&](Value* v, int64_t) {
                  return g.transpose(v, {0, 1, 3, 2});
                }); }},
    {"conv_nhwc_mul_add", "Conv Transpose", nullptr, 0, "", kOnly2d,
     [](G& g) {  // channels last, as TensorFlow's exporters leave them
       Value* y = g.transpose(g.conv(g.image(g.c()), g.c()), {0, 2, 3, 1});
       y = g.op("Mul", "mul", {y, g.b.random("s", {g.m()})});
       g.only_batch_norms = false;
       g.output(g.op("Add", "add", {y, g.b.random("t", {1, 1, g.m()})}));
     }},
    {"conv_transpose_bn_of_rows", "", nullptr, 1, "", kOnly2d | kSeveral,
     [](G& g) {
       Value* x = g.input("x", {2, g.c(), g.m(), 4}, g.type());
       g.output(g.bn(g.transpose(g.conv(x, g.c(), {.kernel = 1, .pad = 0}), {0, 2, 1, 3}), g.m()));
     }},
    // The zeros become 0 s + t: one number for all channels does not exist (but for a single channel), so the
    // shift
    // stays an Add.
    {"conv_zeropad_bn", "Conv Pad Add|Conv Pad", "Conv Pad Conv|Pad Conv Add|Conv Add|Pad Conv", 0, "", kAnyVariant,
     [](G& g) {
       conv_between_bn(g, [&](Value* v, int64_t) { return g.pad(v, 0); }, {.kernel = 2, .pad = 0});
     }},
    {"conv_pad_bn_same_shift", "Conv Pad", nullptr, 0, "", kAnyVariant,
     [](G& g) {
       Value* y = g.pad(g.conv(g.image(g.c()), g.c(), {.kernel = 1, .pad = 0}), 0);
       Build::Statistics s = g.statistics(g.m());
       s.bias = g.b.numbers("same", std::vector<double>(static_cast<size_t>(g.m()), 0.75), {g.m()});
       s.mean = g.b.numbers("zero", std::vector<double>(static_cast<size_t>(g.m()), 0), {g.m()});
       g.output(g.bn_of(y, s));
     }},
    {"gemm_unsq_bn_sq", "Gemm Unsqueeze Squeeze|Gemm", "Unsqueeze Squeeze Gemm|Gemm", 0, "", kMatrices,
     [](G& g) {
       Value* x = g.matrix(g.c());
       const auto wrapped = [&](Value* v, int64_t n) {
         return g.with_axes("Squeeze", g.bn(g.with_axes("Unsqueeze", v, {2}), n), {2});
       };
       g.output(g.mirrored ? g.gemm(wrapped(x, g.c()), g.c(), g.m())
                           : wrapped(g.gemm(x, g.c(), g.m()), g.m()));
     }},
    {"conv_reshape_bn", "Conv Reshape", nullptr, 0, "", kAnyVariant,
     [](G& g) {
       Value* shape = g.b.constant("shape", Tensor::vector<int64_t>({0, g.m(), -1}));
       g.output(g.bn(g.op("Reshape", "reshape", {g.conv(g.image(g.c()), g.c()), shape}), g.m()));
     }},
    {"conv_resize_bn", "Conv Resize", "Resize Conv", 0, "", kOpset15,
     [](G& g) {
       conv_between_bn(g, [&](Value* v, int64_t) {
         std::vector<float> scales(static_cast<size_t>(g.spatial() + 2), 2.f);
         scales[0] = scales[1] = 1;
         return g.op("Resize", "resize",
                     {v, nullptr, g.b.constant("scales", Tensor::of(scales, {g.spatial() + 2}))});
       });
     }},
    // (Before it, four batch norm channels meet in one of the convolution's: only behind it.)
    {"conv_depth_to_space_bn", "Conv DepthToSpace", nullptr, 0, "", kOnly2d,
     [](G& g) {
       Value* y = g.conv(g.image(g.c()), g.c(), {.out = 4 * g.m()});
       g.output(g.bn(g.op("DepthToSpace", "blocks", {y}, {{"blocksize", int64_t{2}}}), g.m()));
     }},
};

}  // namespace

std::span<const Row> between_rows() { return kRows; }

}  // namespace plica::testing
