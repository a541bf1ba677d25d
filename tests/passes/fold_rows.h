// The rows of the table of patterns that batch-norm folding is compared on (fold_table_test.cpp), as data:
// how each is built in every variant, and what must be left.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "tests/passes/build.h"

namespace plica::testing {

struct Variant {
  DataType type;
  int64_t opset;
  int64_t batch;
  int spatial;   // dimensions behind the channels
  int64_t c, m;  // channels in and out
  bool dynamic;  // sizes of inputs are symbols
};
std::string to_string(const Variant& v);

// Builds a row in one variant. Operators are named by what they are ("conv", "bn", "bn2"), constants after
// them.
class RowBuilder {
 public:
  RowBuilder(const Variant& variant, bool mirrored);

  // ---- shapes
  int64_t c() const { return v_.c; }
  int64_t m() const { return v_.m; }
  int spatial() const { return v_.spatial; }
  int64_t opset() const { return v_.opset; }
  DataType type() const { return v_.type; }
  // The batch norm comes before the linear operator.
  const bool mirrored;

  Value* image(int64_t channels, bool static_sizes = false);
  Value* matrix(int64_t columns);
  // Another input, of the very dims.
  Value* input(const std::string& name, Dims dims, DataType type);

  // ---- operators
  struct Conv {
    int64_t out = 0;  // channels; 0: m()
    int64_t group = 1;
    int64_t kernel = 0;  // 0: 1 to 3, by the variant
    int64_t pad = -1;    // on every side; -1: by the variant, none when mirrored
    int bias = -1;       // -1: by the variant
    bool transposed = false;
    const char* name = "conv";
    Value* weight = nullptr;
  };
  Value* conv(Value* x, int64_t in, const Conv& o);
  Value* conv(Value* x, int64_t in) { return conv(x, in, Conv()); }
  Value* gemm(Value* x, int64_t in, int64_t out, std::vector<NamedAttribute> attributes = {},
              bool with_c = true);
  Value* matmul(Value* x, int64_t in, int64_t out, const char* name = "fc") {
    return op("MatMul", name, {x, b.random("w", {in, out})});
  }

  enum class Signs { positive, both };
  Value* bn(Value* x, int64_t channels, const char* name = "bn", Signs signs = Signs::both);
  Value* bn_of(Value* x, const Build::Statistics& s, const char* name = "bn",
               std::vector<NamedAttribute> more = {});
  Build::Statistics statistics(int64_t channels, Signs signs = Signs::both);
  // Add, Sub, Mul or Div with a constant for each channel of axis 1 (or of the last axis of a matrix).
  Value* arithmetic(const char* op_type, Value* x, int64_t channels, int rank = 0);
  Value* op(const std::string& op_type, const std::string& name, std::vector<Value*> inputs,
            std::vector<NamedAttribute> attributes = {}) {
    return b.op(op_type, name, std::move(inputs), std::move(attributes));
  }
  Value* with_axes(const char* op_type, Value* x, std::vector<int64_t> axes);
  Value* pool(const char* op_type, Value* x);
  Value* transpose(Value* x, std::vector<int64_t> perm) {
    return op("Transpose", "transpose", {x}, {{"perm", perm}});
  }
  Value* pad(Value* x, double value);
  // Axis 1 in two.
  std::pair<Value*, Value*> split(Value* x, int64_t first, int64_t second);

  void output(Value* v, int rank = -1) { b.output(v, rank); }

  Build b;
  NamedTensors inputs;
  bool only_batch_norms = true;
  bool has_values = true;  // not: it computes NaN, or by the statistics of the batch

 private:
  Dims sizes() const;
  const Variant v_;
};

// The batch norm behind the linear operator, or before it in the mirrored row.
void conv_and_bn(RowBuilder& g, RowBuilder::Conv conv, int64_t in, int64_t out);
void gemm_and_bn(RowBuilder& g, std::vector<NamedAttribute> attributes, bool with_c = true);
// conv, `between` (of a value and its channels), bn; mirrored bn, `between`, conv.
void conv_between_bn(RowBuilder& g, const std::function<Value*(Value*, int64_t)>& between,
                     RowBuilder::Conv conv = {}, RowBuilder::Signs signs = RowBuilder::Signs::both);

enum Demands : unsigned {
  kAnyVariant = 0,
  kFromOpset1 = 1,  // also in opsets 1 and 6
  kMatrices = 2,    // no spatial dimensions in it: variants differ in the rest
  kOpset15 = 4,     // from this opset on
  kUpToOpset8 = 8,
  kFloat16Only = 16,
  kFloat64Only = 32,
  kFloat32Only = 64,
  kOnly2d = 128,
  kSeveral = 512,    // channels: with one alone it would fold
  kAnyReason = 256,  // mirrored: there are several
};

struct Row {
  const char* name;
  // Operators that must be left, in any order; '|' between alternatives. Empty: those that there were.
  const char* left;
  const char* left_mirrored;  // null: there is no such row
  int kept;                   // batch norms that stay
  const char* reason;         // a part of why they do
  unsigned demands;
  void (*build)(RowBuilder&);

  friend void PrintTo(const Row& row, std::ostream* out) { *out << row.name; }
};

std::span<const Row> linear_rows();
std::span<const Row> between_rows();
std::span<const Row> special_rows();
std::span<const Row> fold_rows();  // all of them
// The 62 patterns of the table that the rows must cover.
std::span<const char* const> table_patterns();

}  // namespace plica::testing
