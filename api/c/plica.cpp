#include "api/c/plica.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "engine/core/checked.h"
#include "engine/core/fail.h"
#include "plica/plica.h"

namespace {

using plica::DataType;
using plica::Dims;
using plica::Error;
using plica::ErrorCode;
using plica::fail;
using plica::quoted;
using plica::require;
using plica::Tensor;

// Of one value, as the C interface shows it.
struct Info {
  explicit Info(plica::TensorInfo from) : info(std::move(from)) {
    if (!info.shape) return;
    for (const plica::Dim& dim : info.shape->dims()) {
      dims.push_back(dim.is_known() ? dim.value() : -1);
      symbols.push_back(dim.is_symbol() ? dim.symbol().c_str() : "");
    }
  }
  Info(const Info&) = delete;
  Info& operator=(const Info&) = delete;

  plica::TensorInfo info;
  std::vector<int64_t> dims;
  std::vector<const char*> symbols;
};

std::vector<std::unique_ptr<Info>> infos_of(std::vector<plica::TensorInfo> from) {
  std::vector<std::unique_ptr<Info>> infos;
  for (auto& info : from) infos.push_back(std::make_unique<Info>(std::move(info)));
  return infos;
}

}  // namespace

struct plica_tensor {
  Tensor value;
};

struct plica_model {
  explicit plica_model(plica::Model from) : value(std::move(from)) { look(); }
  // Pointers that were given out are those of a model that has not changed.
  void look() {
    inputs = infos_of(value.inputs());
    outputs = infos_of(value.outputs());
  }
  plica::Model value;
  std::vector<std::unique_ptr<Info>> inputs, outputs;
};

struct plica_session {
  plica::Session value;
  std::vector<std::string> outputs;
};

struct plica_cancel {
  std::atomic<bool> is_set = false;
};

namespace {

thread_local std::string last_error;

plica_status status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_model: return PLICA_INVALID_MODEL;
    case ErrorCode::unsupported: return PLICA_UNSUPPORTED;
    case ErrorCode::invalid_argument: return PLICA_INVALID_ARGUMENT;
    case ErrorCode::io: return PLICA_IO;
    case ErrorCode::limit: return PLICA_LIMIT;
    case ErrorCode::cancelled: return PLICA_CANCELLED;
    case ErrorCode::internal: break;
  }
  return PLICA_INTERNAL;
}

plica_status failed(plica_status status, const char* message) noexcept {
  try {
    last_error = message;
  } catch (...) {
    last_error.clear();
  }
  return status;
}

// No exception passes a function of the interface.
template <class Body>
plica_status guarded(const Body& body) noexcept {
  try {
    body();
    return PLICA_OK;
  } catch (const Error& error) {
    return failed(status_of(error.code()), error.what());
  } catch (const std::bad_alloc&) {
    return failed(PLICA_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& error) {
    return failed(PLICA_INTERNAL, error.what());
  } catch (...) {
    return failed(PLICA_INTERNAL, "an exception that is none");
  }
}

template <class... Pointers>
void not_null(const Pointers*... pointers) {
  require(((pointers != nullptr) && ...), ErrorCode::invalid_argument, "an argument is NULL that may not be");
}

// For functions that make a handle: it is NULL unless they succeed.
template <class Handle, class Make>
plica_status make(Handle** out, const Make& body) noexcept {
  if (out) *out = nullptr;
  return guarded([&] {
    not_null(out);
    *out = body().release();
  });
}

// A struct of the caller's, whose version may know fewer or more members. Those that it does not know are 0; those that
// this library does not know must be.
template <class Struct>
Struct read_struct(const Struct* given) {
  Struct own;
  std::memset(static_cast<void*>(&own), 0, sizeof own);
  own.struct_size = sizeof own;
  if (!given) return own;
  const size_t size = given->struct_size;
  require(size >= sizeof(size_t) && size <= 4096, ErrorCode::invalid_argument,
          "a struct of {} bytes: it was not initialized with its _INIT", size);
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  for (size_t i = sizeof own; i < size; ++i) {
    require(bytes[i] == 0, ErrorCode::invalid_argument,
            "an option is set that this version of Plica does not know ({})", plica::version());
  }
  std::memcpy(static_cast<void*>(&own), given, std::min(size, sizeof own));
  return own;
}

// The other way round: what the caller's version has no member for is left out.
template <class Struct>
void write_struct(const Struct& from, Struct* to) {
  not_null(to);
  const size_t size = to->struct_size;
  require(size >= sizeof(size_t) && size <= 4096, ErrorCode::invalid_argument,
          "a struct of {} bytes: it was not initialized with its _INIT", size);
  std::memcpy(static_cast<void*>(to), &from, std::min(size, sizeof from));
  to->struct_size = size;
}

DataType type_of(plica_type type) {
  const auto found = plica::data_type_from_onnx(type);
  require(found.has_value(), ErrorCode::invalid_argument, "there is no element type {}", static_cast<int>(type));
  return *found;
}

Dims dims_of(const int64_t* dims, size_t rank) {
  require(rank == 0 || dims != nullptr, ErrorCode::invalid_argument, "the dimensions are NULL");
  Dims out(dims, dims + rank);
  for (const int64_t dim : out) require(dim >= 0, ErrorCode::invalid_argument, "a dimension is {}", dim);
  return out;
}

// `view` makes a tensor of them.
template <class View>
std::unique_ptr<plica_tensor> view_of(plica_type type, const int64_t* dims, size_t rank, const void* data, size_t size,
                                      const View& view) {
  const DataType element = type_of(type);
  require(element != DataType::string, ErrorCode::invalid_argument,
          "strings can't be viewed: plica_tensor_of_strings copies them");
  Dims shape = dims_of(dims, rank);
  const size_t needed = plica::bytes_of(element, plica::checked_elements(shape));
  require(size == needed, ErrorCode::invalid_argument, "{}{} takes {} bytes, not {}", to_string(element),
          plica::to_string(shape), needed, size);
  require(data != nullptr || size == 0, ErrorCode::invalid_argument, "the data are NULL");
  return std::make_unique<plica_tensor>(plica_tensor{view(element, std::move(shape))});
}

std::vector<std::string> list_of(const char* const* names) {
  std::vector<std::string> out;
  for (; names && *names; ++names) out.emplace_back(*names);
  return out;
}

plica_status info_at(const std::vector<std::unique_ptr<Info>>& infos, size_t index, plica_value_info* out) noexcept {
  return guarded([&] {
    require(index < infos.size(), ErrorCode::invalid_argument, "there are {} of them, none has the number {}",
            infos.size(), index);
    const Info& from = *infos[index];
    plica_value_info info = PLICA_VALUE_INFO_INIT;
    info.name = from.info.name.c_str();
    const bool is_element = from.info.is_tensor && !is_container(from.info.type);
    info.type = is_element ? static_cast<plica_type>(from.info.type) : PLICA_UNDEFINED;
    info.is_tensor = from.info.is_tensor;
    info.has_default = from.info.has_default;
    info.rank = from.info.shape ? from.info.shape->rank() : -1;
    info.dims = from.dims.data();
    info.symbols = from.symbols.data();
    info.text = from.info.text.c_str();
    write_struct(info, out);
  });
}

plica::Session::RunOptions run_options_of(const plica_run_options& from) {
  plica::Session::RunOptions options;
  options.cancel = from.cancel ? &from.cancel->is_set : nullptr;
  options.timeout = from.timeout;
  options.max_memory = from.max_memory;
  if (from.allocate) {
    options.allocate = [from](const std::string& name, DataType type, const Dims& dims) {
      if (holds_objects(type)) return Tensor();
      const size_t bytes = plica::bytes_of(type, plica::checked_elements(dims));
      void* memory =
          from.allocate(from.user, name.c_str(), static_cast<plica_type>(type), dims.data(), dims.size(), bytes);
      return memory ? Tensor::view(type, dims, memory) : Tensor();
    };
  }
  if (from.on_step) {
    options.on_step = [from](const plica::Session::Step& step, double start, double duration) {
      from.on_step(from.user, step.kind.c_str(), step.nodes.c_str(), start, duration);
    };
  }
  return options;
}

}  // namespace

extern "C" {

const char* plica_last_error(void) { return last_error.c_str(); }

const char* plica_status_name(plica_status status) {
  switch (status) {
    case PLICA_OK: return "ok";
    case PLICA_INVALID_MODEL: return "invalid_model";
    case PLICA_UNSUPPORTED: return "unsupported";
    case PLICA_INVALID_ARGUMENT: return "invalid_argument";
    case PLICA_IO: return "io";
    case PLICA_LIMIT: return "limit";
    case PLICA_CANCELLED: return "cancelled";
    case PLICA_INTERNAL: return "internal";
    case PLICA_OUT_OF_MEMORY: return "out_of_memory";
  }
  return "unknown";
}

// Both views are of literals.
const char* plica_version(void) { return plica::version().data(); }
const char* plica_onednn_version(void) {
  static const std::string text(plica::onednn_version());
  return text.c_str();
}

plica_status plica_tensor_create(plica_type type, const int64_t* dims, size_t rank, plica_tensor** tensor) {
  return make(tensor, [&] {
    return std::make_unique<plica_tensor>(plica_tensor{Tensor(type_of(type), dims_of(dims, rank))});
  });
}

plica_status plica_tensor_view(plica_type type, const int64_t* dims, size_t rank, void* data, size_t size,
                               plica_tensor** tensor) {
  return make(tensor, [&] {
    return view_of(type, dims, rank, data, size,
                   [&](DataType element, Dims shape) { return Tensor::view(element, std::move(shape), data); });
  });
}

plica_status plica_tensor_view_const(plica_type type, const int64_t* dims, size_t rank, const void* data, size_t size,
                                     plica_tensor** tensor) {
  return make(tensor, [&] {
    return view_of(type, dims, rank, data, size,
                   [&](DataType element, Dims shape) { return Tensor::view(element, std::move(shape), data); });
  });
}

plica_status plica_tensor_of_strings(const int64_t* dims, size_t rank, const char* const* strings,
                                     plica_tensor** tensor) {
  return make(tensor, [&] {
    auto made = std::make_unique<plica_tensor>(plica_tensor{Tensor(DataType::string, dims_of(dims, rank))});
    const auto values = made->value.mutable_values<std::string>();
    for (size_t i = 0; i < values.size(); ++i) {
      not_null(strings);
      not_null(strings[i]);
      values[i] = strings[i];
    }
    return made;
  });
}

void plica_tensor_free(plica_tensor* tensor) { delete tensor; }

plica_type plica_tensor_type(const plica_tensor* tensor) { return static_cast<plica_type>(tensor->value.type()); }
size_t plica_tensor_rank(const plica_tensor* tensor) { return tensor->value.dims().size(); }
const int64_t* plica_tensor_dims(const plica_tensor* tensor) { return tensor->value.dims().data(); }
int64_t plica_tensor_elements(const plica_tensor* tensor) { return tensor->value.size(); }
size_t plica_tensor_bytes(const plica_tensor* tensor) { return tensor->value.bytes(); }

const void* plica_tensor_data(const plica_tensor* tensor) {
  return holds_objects(tensor->value.type()) ? nullptr : tensor->value.raw();
}

void* plica_tensor_mutable_data(plica_tensor* tensor) {
  return holds_objects(tensor->value.type()) || tensor->value.is_const() ? nullptr : tensor->value.mutable_raw();
}

const char* plica_tensor_string(const plica_tensor* tensor, size_t index, size_t* length) {
  if (length) *length = 0;
  if (tensor->value.type() != DataType::string) return nullptr;
  const auto strings = tensor->value.values<std::string>();
  if (index >= strings.size()) return nullptr;
  if (length) *length = strings[index].size();
  return strings[index].c_str();
}

plica_status plica_model_load(const char* path, plica_model** model) {
  return make(model, [&] {
    not_null(path);
    return std::make_unique<plica_model>(plica::Model::load(path));
  });
}

plica_status plica_model_parse(const void* bytes, size_t size, plica_model** model) {
  return make(model, [&] {
    require(bytes != nullptr || size == 0, ErrorCode::invalid_argument, "the bytes are NULL");
    return std::make_unique<plica_model>(plica::Model::parse({static_cast<const std::byte*>(bytes), size}));
  });
}

plica_status plica_model_copy(const plica_model* model, plica_model** copy) {
  return make(copy, [&] {
    not_null(model);
    return std::make_unique<plica_model>(model->value);
  });
}

void plica_model_free(plica_model* model) { delete model; }

plica_status plica_model_optimize(plica_model* model, const plica_optimize_options* options, char** report) {
  if (report) *report = nullptr;
  return guarded([&] {
    not_null(model);
    const plica_optimize_options given = read_struct(options);
    plica::Model::OptimizeOptions how;
    how.disable = list_of(given.disable);
    how.keep = list_of(given.keep);
    how.measure = given.skip_measures == 0;
    if (given.progress) {
      how.progress = [&](std::string_view pass, int done, int total) {
        given.progress(given.user, std::string(pass).c_str(), done, total);
      };
    }
    auto changed = std::make_unique<plica_model>(model->value);
    const plica::Report made = changed->value.optimize(how);
    std::unique_ptr<char[]> text;
    if (report) {
      const std::string json = made.to_json();
      text = std::make_unique<char[]>(json.size() + 1);
      std::memcpy(text.get(), json.c_str(), json.size() + 1);
    }
    changed->look();
    std::swap(*model, *changed);
    if (report) *report = text.release();
  });
}

plica_status plica_model_save(const plica_model* model, const char* path, size_t external_threshold) {
  return guarded([&] {
    not_null(model);
    not_null(path);
    model->value.save(path, {.external_data_threshold = external_threshold});
  });
}

void plica_string_free(char* string) { delete[] string; }

size_t plica_model_num_inputs(const plica_model* model) { return model->inputs.size(); }
size_t plica_model_num_outputs(const plica_model* model) { return model->outputs.size(); }
plica_status plica_model_input(const plica_model* model, size_t index, plica_value_info* info) {
  return info_at(model->inputs, index, info);
}
plica_status plica_model_output(const plica_model* model, size_t index, plica_value_info* info) {
  return info_at(model->outputs, index, info);
}

const char* plica_model_metadata(const plica_model* model, const char* key) {
  const auto& all = model->value.metadata();
  const auto found = std::find_if(all.begin(), all.end(), [&](const auto& entry) { return entry.first == key; });
  return found == all.end() ? nullptr : found->second.c_str();
}

plica_status plica_session_create(const plica_model* model, const plica_session_options* options,
                                  plica_session** session) {
  return make(session, [&] {
    not_null(model);
    const plica_session_options given = read_struct(options);
    plica::SessionOptions how;
    how.threads = given.threads;
    how.exact = given.exact != 0;
    if (given.cached_plans != 0) how.cached_plans = given.cached_plans;
    if (given.tuning) how.tuning = given.tuning;
    if (given.log) {
      how.log = [given](plica::LogLevel level, std::string_view message) {
        given.log(given.user, static_cast<plica_log_level>(level), std::string(message).c_str());
      };
    }
    auto made = std::make_unique<plica_session>(plica_session{plica::Session(model->value, how), {}});
    for (const auto& info : model->outputs) made->outputs.push_back(info->info.name);
    return made;
  });
}

void plica_session_free(plica_session* session) { delete session; }

plica_status plica_cancel_create(plica_cancel** cancel) {
  return make(cancel, [] { return std::make_unique<plica_cancel>(); });
}
void plica_cancel_set(plica_cancel* cancel) { cancel->is_set = true; }
void plica_cancel_reset(plica_cancel* cancel) { cancel->is_set = false; }
void plica_cancel_free(plica_cancel* cancel) { delete cancel; }

plica_status plica_session_run(const plica_session* session, const plica_run_options* options,
                               const char* const* input_names, const plica_tensor* const* inputs, size_t num_inputs,
                               const char* const* output_names, plica_tensor** outputs, size_t num_outputs) {
  return guarded([&] {
    not_null(session);
    const plica_session alive = *session;  // it may be freed while this runs
    require((num_inputs == 0 || (input_names && inputs)) && (num_outputs == 0 || (output_names && outputs)),
            ErrorCode::invalid_argument, "an argument is NULL that may not be");
    plica::Session::RunOptions how = run_options_of(read_struct(options));
    plica::TensorMap given;
    for (size_t i = 0; i < num_inputs; ++i) {
      not_null(input_names[i]);
      not_null(inputs[i]);
      require(given.emplace(input_names[i], inputs[i]->value).second, ErrorCode::invalid_argument,
              "input {} is given twice", quoted(input_names[i]));
    }
    for (size_t i = 0; i < num_outputs; ++i) {
      not_null(output_names[i]);
      require(std::ranges::find(alive.outputs, output_names[i]) != alive.outputs.end(),
              ErrorCode::invalid_argument, "the model has no output {}", quoted(output_names[i]));
      if (outputs[i]) {
        require(how.outputs.emplace(output_names[i], outputs[i]->value).second, ErrorCode::invalid_argument,
                "output {} is given twice", quoted(output_names[i]));
      }
    }
    const plica::TensorMap results = alive.value.run(given, how);
    std::vector<std::unique_ptr<plica_tensor>> made(num_outputs);
    for (size_t i = 0; i < num_outputs; ++i) {
      if (!outputs[i]) made[i] = std::make_unique<plica_tensor>(plica_tensor{results.at(output_names[i])});
    }
    for (size_t i = 0; i < num_outputs; ++i) {
      if (made[i]) outputs[i] = made[i].release();
    }
  });
}

plica_status plica_session_memory(const plica_session* session, plica_memory* memory) {
  return guarded([&] {
    not_null(session);
    const plica::Session::Memory now = session->value.memory();
    write_struct(plica_memory{sizeof(plica_memory), now.plans, now.weights, now.workspaces, now.results}, memory);
  });
}

void plica_session_trim(const plica_session* session) { session->value.trim(); }

int plica_default_threads(void) { return plica::default_threads(); }

}  // extern "C"
