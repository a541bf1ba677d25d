// Rows: the linear operators, and chains of affines.
#include "tests/passes/fold_rows.h"

namespace plica::testing {
namespace {

using Ints = std::vector<int64_t>;
using G = RowBuilder;
using enum RowBuilder::Signs;

const Row kRows[] = {
    // ---- Conv, ConvTranspose
    {"conv_bn", "Conv", "Conv", 0, "", kFromOpset1, [](G& g) { conv_and_bn(g, {.bias = 0}, g.c(), g.m()); }},
    {"conv_bias_bn", "Conv", "Conv", 0, "", kFromOpset1,
     [](G& g) { conv_and_bn(g, {.bias = 1}, g.c(), g.m()); }},
    {"conv1d_bn", "Conv", "Conv", 0, "", kFromOpset1,
     [](G& g) {
       Value* x = g.input("x", {3, g.c(), 9}, g.type());
       const auto conv = [&](Value* v) {
         return g.op("Conv", "conv", {v, g.b.random("w", {g.m(), g.c(), 3})}, {{"strides", Ints{2}}});
       };
       g.output(g.mirrored ? conv(g.bn(x, g.c())) : g.bn(conv(x), g.m()));
     }},
    {"conv3d_bn", "Conv", "Conv", 0, "", kFromOpset1,
     [](G& g) {
       Value* x = g.input("x", {1, g.c(), 4, 3, 5}, g.type());
       const auto conv = [&](Value* v) {
         return g.op("Conv", "conv", {v, g.b.random("w", {g.m(), g.c(), 2, 1, 3})},
                     {{"dilations", Ints{2, 1, 1}}});
       };
       g.output(g.mirrored ? conv(g.bn(x, g.c())) : g.bn(conv(x), g.m()));
     }},
    {"dwconv_bn", "Conv", "Conv", 0, "", kFromOpset1,
     [](G& g) { conv_and_bn(g, {.group = g.c()}, g.c(), 2 * g.c()); }},
    {"gconv_bn", "Conv", "Conv", 0, "", kFromOpset1, [](G& g) { conv_and_bn(g, {.group = 3}, 6, 9); }},
    {"convT_bn", "ConvTranspose", "ConvTranspose|Conv ConvTranspose|ConvTranspose Add", 0, "", kFromOpset1,
     [](G& g) { conv_and_bn(g, {.transposed = true}, g.c(), g.m()); }},
    {"convT_g2_bn", "ConvTranspose", "ConvTranspose|Conv ConvTranspose|ConvTranspose Add", 0, "", kFromOpset1,
     [](G& g) { conv_and_bn(g, {.group = 2, .transposed = true}, 6, 10); }},
    {"convT_dw_bn", "ConvTranspose", "ConvTranspose|Conv ConvTranspose|ConvTranspose Add", 0, "", kFromOpset1,
     [](G& g) { conv_and_bn(g, {.group = g.c(), .transposed = true}, g.c(), g.c()); }},
    // ---- Gemm, MatMul
    {"gemm_bn", "Gemm", "Gemm", 0, "", kMatrices | kFromOpset1, [](G& g) { gemm_and_bn(g, {}); }},
    {"gemm_transB_bn", "Gemm", "Gemm", 0, "", kMatrices | kFromOpset1,
     [](G& g) {
       gemm_and_bn(g, {{"transB", int64_t{1}}});
     }},
    {"gemm_alpha_beta_bn", "Gemm", "Gemm", 0, "", kMatrices | kFromOpset1,
     [](G& g) {
       gemm_and_bn(g, {{"alpha", 0.5f}, {"beta", -3.f}});
     }},
    {"gemm_noC_beta_bn", "Gemm", "Gemm", 0, "", kMatrices,
     [](G& g) {
       gemm_and_bn(g, {{"beta", 0.25f}}, g.opset() < 11);
     }},
    {"matmul_bn", "MatMul Add", "MatMul Add", 0, "", kMatrices | kFromOpset1,
     [](G& g) {
       Value* x = g.matrix(g.c());
       g.output(g.mirrored ? g.matmul(g.bn(x, g.c()), g.c(), g.m()) : g.bn(g.matmul(x, g.c(), g.m()), g.m()));
     }},
    {"matmul_add_bn", "MatMul Add", "MatMul Add", 0, "", kMatrices | kFromOpset1,
     [](G& g) {
       Value* x = g.matrix(g.c());
       const auto fc = [&](Value* v) { return g.arithmetic("Add", g.matmul(v, g.c(), g.m()), g.m(), 2); };
       g.output(g.mirrored ? fc(g.bn(x, g.c())) : g.bn(fc(x), g.m()));
     }},
    // The channels of the batch norm are the rows of the product: another's weight, as square as it may be.
    {"matmul_square_transpose_bn", "", nullptr, 1, "", kMatrices | kSeveral,
     [](G& g) {
       Value* x = g.input("x", {g.c(), g.c()}, g.type());
       g.output(g.bn(g.transpose(g.matmul(x, g.c(), g.c()), {1, 0}), g.c()));
     }},
    {"matmul3d_transpose_bn", "MatMul Add Transpose", "MatMul Add Transpose", 0, "", kMatrices,
     [](G& g) {
       if (g.mirrored) {  // the batch norm's channels become the rows of the weight
         Value* x = g.input("x", {2, g.c(), 3}, g.type());
         g.output(g.matmul(g.transpose(g.bn(x, g.c()), {0, 2, 1}), g.c(), g.m()));
         return;
       }
       Value* x = g.input("x", {2, 3, g.c()}, g.type());
       g.output(g.bn(g.transpose(g.matmul(x, g.c(), g.m()), {0, 2, 1}), g.m()));
     }},
    // ---- the batch norm before
    {"bn_conv_pad0", "Conv", nullptr, 0, "", kFromOpset1,
     [](G& g) { g.output(g.conv(g.bn(g.image(g.c()), g.c()), g.c(), {.pad = 0})); }},
    {"bn_conv_pad1", "Conv Add|Conv Conv", nullptr, 0, "", kFromOpset1,
     [](G& g) { g.output(g.conv(g.bn(g.image(g.c()), g.c()), g.c(), {.kernel = 3, .pad = 1})); }},
    {"bn_dwconv_pad0", "Conv", nullptr, 0, "", kFromOpset1,
     [](G& g) {
       g.output(g.conv(g.bn(g.image(g.c()), g.c()), g.c(), {.out = 2 * g.c(), .group = g.c(), .pad = 0}));
     }},
    {"bn_gemm", "Gemm", nullptr, 0, "", kMatrices,
     [](G& g) { g.output(g.gemm(g.bn(g.matrix(g.c()), g.c()), g.c(), g.m())); }},
    {"bn_matmul", "MatMul Add", nullptr, 0, "", kMatrices,
     [](G& g) { g.output(g.matmul(g.bn(g.matrix(g.c()), g.c()), g.c(), g.m())); }},
    {"bn_flatten_gemm", "Flatten Gemm", nullptr, 0, "", kFromOpset1,
     [](G& g) {
       Value* x = g.image(g.c(), true);
       int64_t k = g.c();
       for (int i = 2; i < x->type().shape->rank(); ++i) k *= (*x->type().shape)[i].value();
       g.output(g.gemm(g.op("Flatten", "flatten", {g.bn(x, g.c())}), k, g.m()));
     }},
    // ---- chains
    {"bn_bn", "BatchNormalization", nullptr, -1, "", kFromOpset1,
     [](G& g) { g.output(g.bn(g.bn(g.image(g.c()), g.c()), g.c(), "bn2")); }},
    {"conv_bn_bn", "Conv", "Conv", 0, "", kFromOpset1,
     [](G& g) {
       Value* x = g.image(g.c());
       const auto twice = [&](Value* v, int64_t n) { return g.bn(g.bn(v, n), n, "bn2"); };
       g.output(g.mirrored ? g.conv(twice(x, g.c()), g.c()) : twice(g.conv(x, g.c()), g.m()));
     }},
    {"conv_add_bn", "Conv", "Conv", 0, "", kFromOpset1,
     [](G& g) { conv_between_bn(g, [&](Value* v, int64_t n) { return g.arithmetic("Add", v, n); }); }},
    {"conv_mul_bn", "Conv", "Conv", 0, "", kFromOpset1,
     [](G& g) { conv_between_bn(g, [&](Value* v, int64_t n) { return g.arithmetic("Mul", v, n); }); }},
    {"conv_bn_mul_add", "Conv", "Conv", 0, "", kFromOpset1,
     [](G& g) {
       Value* x = g.image(g.c());
       const auto chain = [&](Value* v, int64_t n) {
         return g.arithmetic("Add", g.arithmetic("Mul", g.bn(v, n), n), n);
       };
       g.output(g.mirrored ? g.conv(chain(x, g.c()), g.c()) : chain(g.conv(x, g.c()), g.m()));
     }},
    {"conv_sub_mul_add", "Conv", "Conv", 0, "", kFromOpset1,
     [](G& g) {
       Value* x = g.image(g.c());
       const auto chain = [&](Value* v, int64_t n) {
         return g.arithmetic("Add", g.arithmetic("Mul", g.arithmetic("Sub", v, n), n), n);
       };
       g.output(g.mirrored ? g.conv(chain(x, g.c()), g.c()) : chain(g.conv(x, g.c()), g.m()));
     }},
    {"conv_sub_div_mul_add_raw", "Conv", "Conv", 0, "", kAnyVariant,
     [](G& g) {  // (x - mean) / sqrt(var + eps) * scale + bias, the root computed by nodes
       Value* x = g.image(g.c());
       const auto chain = [&](Value* v, int64_t n) {
         Dims d = {n};
         d.resize(static_cast<size_t>(1 + g.spatial()), 1);
         Value* sum = g.op("Add", "eps", {g.b.random("v", d, 0.1, 2), g.b.numbers("e", {1e-3}, {})});
         Value* y = g.op("Div", "div", {g.arithmetic("Sub", v, n), g.op("Sqrt", "sqrt", {sum})});
         return g.arithmetic("Add", g.arithmetic("Mul", y, n), n);
       };
       g.output(g.mirrored ? g.conv(chain(x, g.c()), g.c()) : chain(g.conv(x, g.c()), g.m()));
     }},
};

}  // namespace

std::span<const Row> linear_rows() { return kRows; }

}  // namespace plica::testing
