// Model: an ONNX model in memory, to load, look at, optimize, save, and make Sessions of.
//
// Copying a Model is cheap: copies share one immutable graph, and optimize() gives its object a new one.
// Thread safety: as for standard containers; const use from many threads is safe, and so is using copies.
// Errors are plica::Error: io (can't be read or written), invalid_model (breaks the ONNX specification),
// invalid_argument (the caller's options), unsupported, limit. A failed call changes nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plica/report.h"
#include "plica/tensor.h"

namespace PLICA_API plica {

class CompiledFile;
class CustomOperator;
struct ModelGraph;
struct OperatorSpec;

// An input or an output of a model.
struct TensorInfo {
  std::string name;
  DataType type = DataType::undefined;  // undefined: not known
  std::optional<Shape> shape;           // absent: rank not known
  std::string text;                     // "float32[batch, 3, 224, 224]", "sequence(int64[2])"
  bool has_default = false;             // an input that may be left out
  bool is_tensor = true;
};

// What is known of a value of a model.
struct ValueInfo {
  std::string name;
  std::string type;                   // "float32[N, 8, H, W]", "int64[...]" (unknown rank), "?" (nothing known)
  std::string node;                   // that computes it; empty: an input or an initializer
  std::string op_type;                // of the node; "input", "initializer"
  std::vector<std::string> elements;  // of a small integer tensor: "N", "3", "?"; empty: not known
  int depth = 0;                      // of the subgraph that it is in
};

// Sizes for what a model leaves open.
struct DimSizes {
  std::map<std::string, int64_t> symbols;  // by symbol: {"batch", 1}
  std::map<std::string, Dims> shapes;      // by input: {"image", {1, 3, 224, 224}}; these come first
};

// What a model is made of.
struct ModelSummary {
  // How a BatchNormalization looks before it is folded. Counts are of channels.
  struct BatchNorm {
    std::string node;
    int64_t channels = 0;  // 0: parameters are not constants
    double epsilon = 0;
    bool training = false;      // uses the batch's statistics: not an inference batch norm
    int64_t dead = 0;           // of the findings: scale is 0,
    int64_t tiny_variance = 0;  // the variance is 0 or tiny,
    int64_t bad = 0;            // or what it computes is not finite
    double min_variance = 0, max_variance = 0;
    double min_gain = 0, max_gain = 0;  // of |scale| / sqrt(var + epsilon), where it is finite
    Report::Channels values;            // by channel
    std::vector<HealthFinding> health;  // the worst first
  };

  int64_t ir_version = 0;
  std::string producer, producer_version, domain, doc_string;
  int64_t model_version = 0;
  std::string graph_name, graph_doc_string;
  std::vector<std::pair<std::string, int64_t>> opsets;  // (domain, version)
  int64_t nodes = 0;                                    // subgraphs included
  std::map<std::string, int64_t> operators;             // "Conv", "com.example.Foo" -> how often
  int64_t functions = 0;
  int64_t initializers = 0, parameters = 0, parameter_bytes = 0;
  // Multiply-accumulates of Conv, ConvTranspose, Gemm and MatMul of the main graph for one run at the assumed
  // shapes. `macs_unknown` of those nodes are not counted because their shapes depend on data.
  int64_t macs = 0, macs_unknown = 0;
  std::vector<std::string> assumptions;  // "batch = 1": sizes that were not in the model nor given
  std::vector<BatchNorm> batch_norms;
};

// A fault, or an operator that Plica does not have.
struct Finding {
  ErrorCode code = ErrorCode::invalid_model;
  std::string node;  // "node 'conv1' (Conv, opset 13)"; empty: the model as a whole
  std::string message;
};

class Model {
 public:
  struct OptimizeOptions {
    std::vector<std::string> disable;  // rules or passes not to run, by name (optimizer_rules())
    std::vector<std::string> only;     // when not empty, the only ones to run
    std::vector<std::string> keep;     // nodes that nothing may change or remove
    int64_t max_rewrites = -1;         // stop after so many; negative: no bound
    // Without, the report has no error bounds, no health and no values by channel: loading to run is faster.
    bool measure = true;
    // Called with a listing of the graph after these passes. An unknown pass throws invalid_argument.
    std::vector<std::string> dump_after;
    std::function<void(std::string_view pass, std::string_view listing)> on_dump;
    std::function<void(std::string_view pass, int done, int total)> progress;
  };

  struct SaveOptions {
    // Tensors of at least this many bytes go into one file beside the model; 0: only when the model would not
    // fit into protobuf's 2 GiB otherwise.
    size_t external_data_threshold = 0;
  };

  // Reads a file; its external data must lie in its directory or below. Large tensors are read when they are
  // first needed: until then the file may be replaced or deleted, but writing into it makes what needs them
  // fail with io.
  static Model load(const std::filesystem::path& path);
  // From an open descriptor, which stays open and the caller's. A regular file is read as by its name, from
  // its start, whatever the descriptor's position is; of anything else (a pipe, a socket, standard input)
  // what it still gives, to its end and at most 2 GiB, to memory. External data is refused unless
  // `directory`, where to look for it, is given.
  static Model load(int descriptor, const std::filesystem::path& directory = {});
  // Whether the file was a compiled one (plica/compile.h): the model is optimized then.
  bool is_compiled() const { return compiled_ != nullptr; }
  // Why no more than the model is used of it; empty when all is, or there is none.
  const std::string& compiled_note() const;
  // From memory, without external data. With an `owner`, which keeps the bytes and leaves them as they are, large
  // tensors stay there; without, the bytes are not needed after the call.
  static Model parse(std::span<const std::byte> bytes, std::shared_ptr<const void> owner = nullptr);
  static Model parse(std::string_view bytes) {
    return parse(std::as_bytes(std::span(bytes.data(), bytes.size())));
  }

  // An operator that the model uses and Plica does not have (plica/custom_operator.h), for this object and later copies.
  // Throws invalid_argument when Plica has it.
  void add_operator(const OperatorSpec& spec, std::shared_ptr<const CustomOperator> op);

  // Folds batch norms and simplifies. The model stays ONNX and computes the same, up to the bounds in the
  // report.
  Report optimize() { return optimize(OptimizeOptions()); }
  Report optimize(const OptimizeOptions& options);

  // A copy whose weights are each moved to the next number of their type, up or down by a seeded coin: the
  // smallest change there is. How far outputs move is how far roundings may move them. Weights are constants
  // that linear and normalizing operators read, and arrays that arithmetic does; no shape depends on those.
  Model dithered(uint64_t seed) const;

  // A reader of `path`, at any moment and after a crash, sees the old file or the whole new one; with
  // external data, the old model with its data or the new one with its own. Those go to "<name>.data", or to
  // "<name>.1.data" and so on when something else has that name. Data files of these names that a replaced
  // model had are removed.
  void save(const std::filesystem::path& path) const { save(path, SaveOptions()); }
  void save(const std::filesystem::path& path, const SaveOptions& options) const;
  // The bytes of the file, the same for the same model. Throws limit beyond 2 GiB.
  std::string serialize() const;
  size_t serialized_size() const;  // of those bytes, without making them

  // In the model's order. Inputs include those with a default.
  std::vector<TensorInfo> inputs() const;
  std::vector<TensorInfo> outputs() const;
  const std::vector<std::pair<std::string, std::string>>& metadata() const;
  std::optional<std::string> metadata(std::string_view key) const;

  ModelSummary summarize(const DimSizes& sizes = {}) const;
  // What inference knows of every value, symbols kept; those of `sizes` are given. Values of subgraphs follow the node
  // that owns them.
  std::vector<ValueInfo> values(const DimSizes& sizes = {}) const;
  // Everything that is wrong with the model or that Plica does not support; empty when it can be run.
  std::vector<Finding> check() const;
  // What summarize() says as one HTML page that needs nothing else, with plots of every batch norm by
  // channel; `title` is what to call the model.
  std::string to_html(std::string_view title, const DimSizes& sizes = {}) const;
  // The graph in the language of Graphviz; constants are named in the nodes that read them.
  std::string to_dot() const;
  // A readable listing of the graph.
  std::string listing() const;

  // Throws invalid_argument when `sizes` has a symbol or an input that the model does not have.
  void validate(const DimSizes& sizes) const;
  // Dims for an input: from `sizes`, then as declared; what stays open is 1 for the first dimension of
  // several, else `open`. `assumed`, when given, receives a "name[i] = n" for each dimension that was assumed
  // so. Throws invalid_argument when the sizes contradict the model, or its rank is not known and not given.
  static Dims concrete_dims(const TensorInfo& input, const DimSizes& sizes, int64_t open = 64,
                            std::vector<std::string>* assumed = nullptr);

  // Computes with the portable kernels of the operators' definitions: slow, and no part of it is shared with
  // Session's. `all`, when given, receives every tensor by name. Errors as Session::run.
  TensorMap run_reference(const TensorMap& inputs, TensorMap* all = nullptr) const;

 private:
  friend class Session;
  explicit Model(std::shared_ptr<const ModelGraph> graph,
                 std::shared_ptr<const CompiledFile> compiled = nullptr);
  static Model parse(std::span<const std::byte> bytes, const std::filesystem::path& directory,
                     std::shared_ptr<const void> owner);
  std::shared_ptr<const ModelGraph> graph_;
  std::shared_ptr<const CompiledFile> compiled_;  // null: of no compiled file
};

// What this build can do.
struct OperatorInfo {
  std::string name, domain;  // "" is ai.onnx
  int since = 1;             // first opset version of the domain that it serves,
  std::optional<int> until;  // and the last; absent: up to the newest
  // Element types by input, "float32, float64"; the last is that of all further inputs.
  std::vector<std::string> input_types;
  // What computes float32, and products of 8-bit integers: "oneDNN" (a primitive), "post-op" (fused into the
  // primitive before, or one pass), "own" (a kernel of the runtime, or nothing to compute); empty: the
  // portable kernel, as for other element types.
  std::string kernel;
};
std::vector<OperatorInfo> supported_operators();  // by domain, name, version

struct OptimizerRule {
  std::string name, pass, summary;
};
std::vector<OptimizerRule> optimizer_rules();  // in the order of the pipeline

}  // namespace plica
