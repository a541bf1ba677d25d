// Einsum: https://onnx.ai/onnx/operators/onnx__Einsum.html. Operands are contracted two at a time, from the
// left: both are permuted to [batch, free, summed], which makes the contraction a batched matrix product.
#include <algorithm>
#include <map>
#include <numeric>

#include "engine/core/checked.h"
#include "engine/core/dispatch.h"
#include "engine/core/parallel.h"
#include "engine/ops/broadcast.h"
#include "engine/ops/dot_product.h"
#include "engine/ops/einsum_equation.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/matrix_product.h"
#include "engine/ops/strided_copy.h"
#include "engine/ops/table.h"
#include "engine/ops/widened_tensors.h"

namespace plica {
namespace {

using Labels = std::vector<EinsumLabel>;

bool contains(const Labels& labels, EinsumLabel label) {
  return std::ranges::find(labels, label) != labels.end();
}

std::string to_text(EinsumLabel label) {
  return label < kEllipsisLabel ? fmt::format("label {}", static_cast<char>(label)) : "an ellipsis dimension";
}

// How many dims the ellipsis stands for in a term, when an operand has this rank; throws when it cannot.
int ellipsis_dims(const EinsumTerm& term, int rank, int operand) {
  const int letters = static_cast<int>(term.letters.size());
  require(term.ellipsis ? rank >= letters : rank == letters, ErrorCode::invalid_model,
          "operand {} has rank {}, its term has {} labels", operand, rank, letters);
  return rank - letters;
}

void infer_einsum(InferContext& context) {
  const DataType type = common_type(context, 0, context.num_inputs());
  const EinsumEquation equation = parse_einsum(context.attributes().s("equation"), context.num_inputs());
  std::optional<int> ellipsis;
  std::map<EinsumLabel, Dim> sizes;
  bool all_ranks_known = true;
  for (int i = 0; i < context.num_inputs(); ++i) {
    const EinsumTerm& term = equation.inputs[static_cast<size_t>(i)];
    const auto& shape = context.input_shape(i);
    if (!shape) {
      all_ranks_known = false;
      continue;
    }
    const int count = ellipsis_dims(term, shape->rank(), i);
    if (term.ellipsis) {
      require(!ellipsis || *ellipsis == count, ErrorCode::invalid_model,
              "the ellipsis stands for {} dimensions, and for {}", ellipsis.value_or(0), count);
      ellipsis = count;
    }
    const Labels labels = term.labels(count);
    for (int d = 0; d < shape->rank(); ++d) {
      const EinsumLabel label = labels[static_cast<size_t>(d)];
      const Dim& dim = (*shape)[d];
      const auto [it, is_new] = sizes.try_emplace(label, dim);
      if (is_new || it->second.same_as(dim)) continue;
      Dim& known = it->second;
      // Of two lengths one may be 1, which stretches; so a length beside one that is not known is the length
      // unless it is 1.
      require(!known.is_known() || !dim.is_known() || known.value() == 1 || dim.value() == 1,
              ErrorCode::invalid_model, "{} has the sizes {} and {}", to_text(label), to_string(known),
              to_string(dim));
      if (known.is_known() && known.value() != 1) continue;
      known = dim.is_known() && dim.value() != 1 ? dim
              : known.is_known()                 ? dim
              : dim.is_known()                   ? known
                                                 : Dim();
    }
  }
  const bool output_rank_known = !equation.output.ellipsis || ellipsis || all_ranks_known;
  if (!output_rank_known) return context.set_output(0, type, std::nullopt);
  Shape out;
  for (const EinsumLabel label : equation.output.labels(ellipsis.value_or(0))) {
    const auto it = sizes.find(label);
    // What was not looked at may stretch a 1.
    const bool final =
        it != sizes.end() && (all_ranks_known || (it->second.is_known() && it->second.value() != 1));
    out.push_back(final ? it->second : Dim());
  }
  context.set_output(0, type, std::move(out));
}

// A tensor of which each dimension has a label; dims of length 1 are left out.
struct Operand {
  Tensor tensor;
  Labels labels;
  Dims dims, strides;

  int64_t size_of(EinsumLabel label) const {
    const auto at = std::ranges::find(labels, label);
    return at == labels.end() ? 1 : dims[static_cast<size_t>(at - labels.begin())];
  }
};

// A label that occurs twice is a diagonal: its strides add up.
Operand label_dims(const Tensor& tensor, const Labels& labels) {
  Operand result{tensor, {}, {}, {}};
  const Dims strides = row_major_strides(tensor.dims());
  for (size_t d = 0; d < labels.size(); ++d) {
    if (tensor.dims()[d] == 1) continue;
    const auto at = std::ranges::find(result.labels, labels[d]);
    if (at == result.labels.end()) {
      result.labels.push_back(labels[d]);
      result.dims.push_back(tensor.dims()[d]);
      result.strides.push_back(strides[d]);
    } else {
      result.strides[static_cast<size_t>(at - result.labels.begin())] += strides[d];
    }
  }
  return result;
}

// Row-major, the dims in this order; labels that the operand does not have are left out.
Operand permute(const Operand& in, const Labels& order) {
  Operand out;
  Dims from;
  for (const EinsumLabel label : order) {
    const auto at = std::ranges::find(in.labels, label);
    if (at == in.labels.end()) continue;
    out.labels.push_back(label);
    out.dims.push_back(in.dims[static_cast<size_t>(at - in.labels.begin())]);
    from.push_back(in.strides[static_cast<size_t>(at - in.labels.begin())]);
  }
  out.strides = row_major_strides(out.dims);
  checked_elements(out.dims);
  if (from == out.strides) {
    out.tensor = in.tensor.reshaped(out.dims);
    return out;
  }
  out.tensor = Tensor(in.tensor.type(), out.dims);
  if (out.tensor.size() > 0) {
    copy_strided(in.tensor.type(), out.dims, in.tensor.raw(), from, out.tensor.mutable_raw(), out.strides);
  }
  return out;
}

int64_t elements(const Operand& operand, const Labels& labels) {
  int64_t n = 1;
  for (const EinsumLabel label : labels) n = checked_mul(n, operand.size_of(label));
  return n;
}

Labels concatenate(std::initializer_list<const Labels*> lists) {
  Labels all;
  for (const Labels* list : lists) all.insert(all.end(), list->begin(), list->end());
  return all;
}

// Sums over the labels that are not in `kept`.
template <class T>
Operand sum_others(const Operand& in, const auto& is_kept) {
  Labels kept, summed;
  for (const EinsumLabel label : in.labels) (is_kept(label) ? kept : summed).push_back(label);
  if (summed.empty()) return in;
  Operand out = permute(in, concatenate({&kept, &summed}));
  const int64_t count = elements(in, kept), length = elements(in, summed);
  out.labels.resize(kept.size());
  out.dims.resize(kept.size());
  out.strides = row_major_strides(out.dims);
  Tensor result(in.tensor.type(), out.dims);
  const T* x = out.tensor.template data<T>();
  T* y = result.template mutable_data<T>();
  parallel_for(count, std::max<int64_t>(1, 16384 / std::max<int64_t>(length, 1)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i)
                   y[i] = std::accumulate(x + i * length, x + (i + 1) * length, T(0));
               });
  out.tensor = std::move(result);
  return out;
}

// The product of two operands, summed over what is not needed any more.
template <class T>
Operand contract(const Operand& left, const Operand& right, const auto& is_needed) {
  const Operand a =
      sum_others<T>(left, [&](EinsumLabel l) { return is_needed(l) || contains(right.labels, l); });
  const Operand b =
      sum_others<T>(right, [&](EinsumLabel l) { return is_needed(l) || contains(a.labels, l); });
  Labels batch, rows, columns, summed;
  for (const EinsumLabel label : a.labels) {
    (!contains(b.labels, label) ? rows : is_needed(label) ? batch : summed).push_back(label);
  }
  for (const EinsumLabel label : b.labels) {
    if (!contains(a.labels, label)) columns.push_back(label);
  }
  const int64_t count = elements(a, batch), m = elements(a, rows), n = elements(b, columns),
                k = elements(a, summed);
  // Long sums are dot products of rows.
  const bool by_rows = std::is_floating_point_v<T> && k >= 16;
  const Operand pa = permute(a, concatenate({&batch, &rows, &summed})),
                pb = permute(b, by_rows ? concatenate({&batch, &columns, &summed})
                                        : concatenate({&batch, &summed, &columns}));
  Operand out;
  out.labels = concatenate({&batch, &rows, &columns});
  for (const EinsumLabel label : out.labels)
    out.dims.push_back((contains(a.labels, label) ? a : b).size_of(label));
  out.strides = row_major_strides(out.dims);
  out.tensor = Tensor::zeros(a.tensor.type(), out.dims);
  const T *x = pa.tensor.template data<T>(), *y = pb.tensor.template data<T>();
  T* z = out.tensor.template mutable_data<T>();
  const auto multiply = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const T *const left_matrix = x + i * m * k, *const right_matrix = y + i * k * n;
      if constexpr (std::is_floating_point_v<T>) {
        if (by_rows) {
          add_dot_products<T>(m, n, k, left_matrix, k, right_matrix, k, z + i * m * n, n);
          continue;
        }
      }
      add_product<T>(m, n, k, {left_matrix, k, 1}, MatrixView<T>{right_matrix, n, 1}, z + i * m * n, n);
    }
  };
  if (m == 1 && n == 1 && k == 1) {  // elementwise
    parallel_for(count, 16384, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) z[i] = x[i] * y[i];
    });
  } else if (count >= 2 * current_threads()) {
    const double work = static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
    parallel_for(count, std::max<int64_t>(1, static_cast<int64_t>(65536 / std::max(work, 1.0))), multiply);
  } else {
    multiply(0, count);
  }
  return out;
}

// What the elements are computed in: integers modulo 2^32 or 2^64, which their types are taken out of.
DataType compute_type(DataType type) {
  if (is_floating(type)) return widened_type(type);
  return bits_of(type) == 64 ? DataType::uint64 : DataType::uint32;
}

Tensor convert(const Tensor& in, DataType type) {
  if (in.type() == type || is_floating(type)) return cast_tensor(in, type);
  Tensor out(type, in.dims());
  dispatch<IntegerTypes>(in.type(), [&]<class From>(std::type_identity<From>) {
    dispatch<IntegerTypes>(type, [&]<class To>(std::type_identity<To>) {
      std::ranges::transform(in.values<From>(), out.mutable_data<To>(),
                             [](From v) { return static_cast<To>(v); });
    });
  });
  return out;
}

void evaluate_einsum(EvaluateContext& context) {
  const EinsumEquation equation = parse_einsum(context.attributes().s("equation"), context.num_inputs());
  int ellipsis = 0;
  for (int i = 0; i < context.num_inputs(); ++i) {
    const EinsumTerm& term = equation.inputs[static_cast<size_t>(i)];
    if (term.ellipsis) ellipsis = ellipsis_dims(term, context.input(i).rank(), i);
  }
  Tensor& output = context.output();
  if (output.size() == 0) return;
  const DataType type = compute_type(output.type());
  std::vector<Operand> operands;
  for (int i = 0; i < context.num_inputs(); ++i) {
    operands.push_back(label_dims(convert(context.input(i), type),
                                  equation.inputs[static_cast<size_t>(i)].labels(ellipsis)));
  }
  const Labels result = equation.output.labels(ellipsis);
  dispatch<TypeList<float, double, uint32_t, uint64_t>>(type, [&]<class T>(std::type_identity<T>) {
    Operand product = operands[0];
    for (size_t next = 1; next < operands.size(); ++next) {
      product = contract<T>(product, operands[next], [&](EinsumLabel label) {
        if (contains(result, label)) return true;
        return std::any_of(operands.begin() + static_cast<std::ptrdiff_t>(next) + 1, operands.end(),
                           [&](const Operand& o) { return contains(o.labels, label); });
      });
    }
    product =
        permute(sum_others<T>(product, [&](EinsumLabel label) { return contains(result, label); }), result);
    const Tensor values = convert(product.tensor.reshaped(output.dims()), output.type());
    std::copy_n(static_cast<const char*>(values.raw()), values.bytes(),
                static_cast<char*>(output.mutable_raw()));
  });
}

std::vector<OpDef> make_table() {
  const OpDef def{
      .name = "Einsum", .max_inputs = kUnlimited, .infer = infer_einsum, .evaluate = evaluate_einsum};
  const std::vector<AttributeDef> attributes = {{"equation", AttributeType::string, Required{}}};
  std::vector<OpDef> ops = {for_versions(def, 12, 27, attributes),
                            for_versions(def, 28, kLatestOpset, attributes)};
  ops[0].input_types = {types::kInteger | TypeSet{DataType::float32, DataType::float64, DataType::float16}};
  ops[1].input_types = {types::kNumeric};
  return ops;
}

}  // namespace

std::span<const OpDef> einsum_ops() {
  static const std::vector<OpDef> ops = make_table();
  return ops;
}

}  // namespace plica
