#include "tools/samples.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>

#include "engine/core/fail.h"
#include "tools/exit.h"
#include "tools/files.h"
#include "tools/inputs.h"

namespace plica::tools {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kOpenBatch = 16;  // rows of a set where the model leaves that open

std::string lower_extension(const fs::path& path) {
  std::string text = path.extension().string();
  std::ranges::transform(text, text.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

bool is_sample(const fs::path& path) {
  constexpr std::array<std::string_view, 7> kKinds = {".npz", ".npy", ".pb", ".png", ".jpg", ".jpeg", ".bmp"};
  return std::ranges::find(kKinds, lower_extension(path)) != kKinds.end();
}

std::vector<fs::path> files_below(const std::string& dir) {
  std::vector<fs::path> out;
  std::error_code error;
  for (fs::recursive_directory_iterator it(dir, error), end; !error && it != end; it.increment(error)) {
    if (it->is_regular_file(error) && is_sample(it->path())) out.push_back(it->path());
  }
  require(!error, ErrorCode::io, "cannot read the directory {}: {}", shown(dir), error.message());
  std::ranges::sort(out);
  return out;
}

// Rows [first, first + count) of axis 0.
Tensor rows_of(const Tensor& tensor, int64_t first, int64_t count) {
  require(bits_of(tensor.type()) >= 8, ErrorCode::unsupported, "rows of {} can't be taken",
          to_string(tensor));
  Dims dims = tensor.dims();
  dims[0] = count;
  Tensor out(tensor.type(), dims);
  const size_t row = tensor.dim(0) != 0 ? tensor.bytes() / static_cast<size_t>(tensor.dim(0)) : 0;
  if (out.bytes() != 0) {
    std::memcpy(out.mutable_raw(),
                static_cast<const std::byte*>(tensor.raw()) + static_cast<size_t>(first) * row, out.bytes());
  }
  return out;
}

}  // namespace

void Samples::open_arrays(const std::string& path) {
  const NamedArrays all = parse_npz(read_input(path).bytes);
  int64_t fixed = 0;  // the batch that an input declares
  bool rows = true;
  for (const TensorInfo& input : model_.inputs()) {
    if (input.has_default) continue;
    const Tensor* array = find_array(all, input.name);
    require(array != nullptr, ErrorCode::invalid_argument, "it has no array {}, an input of the model",
            quoted(input.name));
    arrays_.emplace_back(input.name, *array);
    rows = rows && array->rank() > 0 && (rows_ == 0 || array->dim(0) == rows_);
    if (rows) rows_ = array->dim(0);
    std::optional<Dim> first;
    if (const auto given = options_.sizes.shapes.find(input.name);
        given != options_.sizes.shapes.end() && !given->second.empty()) {
      first = Dim(given->second[0]);
    } else if (input.shape && input.shape->rank() > 0) {
      first = (*input.shape)[0];
      const auto it = options_.sizes.symbols.find(first->symbol());
      if (first->is_symbol() && it != options_.sizes.symbols.end()) first = Dim(it->second);
    }
    if (first && first->is_known()) fixed = first->value();
  }
  require(!arrays_.empty(), ErrorCode::invalid_argument, "the model has no inputs");
  if (!rows) return;
  require(rows_ > 0, ErrorCode::invalid_argument, "there are no samples in it");
  if (options_.limit > 0) rows_ = std::min(rows_, std::max(options_.limit, fixed));
  batch_ = fixed > 0 ? fixed : kOpenBatch;
  // What does not fill a declared batch can't be run.
  if (fixed > 0 && rows_ >= fixed) rows_ -= rows_ % fixed;
  if (fixed > 0 && rows_ < fixed) batch_ = 0;  // the model says what is wrong with it
}

Samples Samples::open(const std::string& path, const Model& model, const SampleOptions& options) {
  Samples samples(model, options);
  reading([&] {
    with_context(
        [&] {
          std::error_code ignored;
          if (fs::is_directory(path, ignored)) {
            samples.files_ = files_below(path);
            require(!samples.files_.empty(), ErrorCode::invalid_argument,
                    "there are no samples in it (.npz, .npy, .pb, .png, .jpg, .bmp)");
            if (options.limit > 0 && options.limit < static_cast<int64_t>(samples.files_.size()))
              samples.files_.resize(static_cast<size_t>(options.limit));
          } else if (lower_extension(path) == ".npz") {
            samples.open_arrays(path);
          } else {
            samples.files_ = {path};
          }
        },
        [&] { return shown(path); });
  });
  return samples;
}

int64_t Samples::size() const {
  if (!files_.empty()) return static_cast<int64_t>(files_.size());
  return batch_ == 0 ? 1 : (rows_ + batch_ - 1) / batch_;
}

TensorMap Samples::operator[](int64_t i) const {
  if (!files_.empty()) {
    const InputOptions options{.files = {files_[static_cast<size_t>(i)].string()},
                               .mean = options_.mean,
                               .scale = options_.scale,
                               .layout = options_.layout,
                               .resize = options_.resize,
                               .sizes = options_.sizes};
    return gather_inputs(model_, options).tensors;
  }
  TensorMap set;
  for (const auto& [name, array] : arrays_) {
    const int64_t first = i * batch_;
    set.emplace(name, batch_ == 0 ? array : rows_of(array, first, std::min(batch_, rows_ - first)));
  }
  return set;
}

}  // namespace plica::tools
