#include "tools/dataset.h"

#include <algorithm>
#include <cstring>

#include "engine/core/fail.h"
#include "tools/files.h"
#include "tools/inputs.h"
#include "tools/labels.h"
#include "tools/npz.h"
#include "tools/values.h"

namespace plica::tools {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> sorted_entries(const fs::path& dir, bool directories) {
  std::vector<fs::path> out;
  std::error_code error;
  for (fs::directory_iterator it(dir, error), end; !error && it != end; it.increment(error)) {
    const bool wanted = directories ? it->is_directory() : it->is_regular_file();
    if (wanted && !it->path().filename().string().starts_with('.')) out.push_back(it->path());
  }
  require(!error, ErrorCode::io, "cannot read the directory {}: {}", shown(dir.string()), error.message());
  std::ranges::sort(out);
  return out;
}

}  // namespace

Dataset Dataset::open(const std::string& path, const Model& model, const TensorInfo& input,
                      const DatasetOptions& options) {
  Dataset data;
  data.input_ = input;
  // Pictures are read one by one, whatever batch the model has.
  if (input.shape && input.shape->rank() == 4) (*data.input_.shape)[0] = Dim();
  data.options_ = options;
  std::error_code ignored;
  with_context(
      [&] {
        if (!fs::is_directory(path, ignored)) {
          const NamedArrays arrays = parse_npz(read_input(path).bytes);
          const Tensor *samples = find_array(arrays, input.name), *labels = find_array(arrays, "labels");
          require(samples != nullptr, ErrorCode::invalid_argument, "it has no array {}, the model's input",
                  quoted(input.name));
          require(labels != nullptr, ErrorCode::invalid_argument, "it has no array 'labels'");
          require(is_integer(labels->type()) && is_numeric(labels->type()) && labels->rank() == 1 &&
                      samples->rank() > 0 && samples->dim(0) == labels->dim(0),
                  ErrorCode::invalid_argument,
                  "'labels' is {}: it has to be integers, one for each of the samples, {}",
                  to_string(*labels), to_string(*samples));
          data.array_ = *samples;
          for (double label : to_doubles(*labels)) data.labels_.push_back(static_cast<int64_t>(label));
        } else {
          const std::vector<fs::path> folders = sorted_entries(path, true);
          const std::vector<std::string> names = labels_of(model);
          const bool by_name = std::ranges::all_of(folders, [&](const fs::path& folder) {
            return std::ranges::find(names, folder.filename().string()) != names.end();
          });
          for (size_t i = 0; i < folders.size(); ++i) {
            const auto it = std::ranges::find(names, folders[i].filename().string());
            const auto label = by_name ? it - names.begin() : static_cast<int64_t>(i);
            for (const fs::path& picture : sorted_entries(folders[i], false)) {
              data.pictures_.push_back(picture);
              data.labels_.push_back(label);
            }
          }
          data.preprocessing_ = preprocessing_for(model, input, options.mean, options.scale);
        }
        if (options.limit > 0 && options.limit < static_cast<int64_t>(data.labels_.size())) {
          data.labels_.resize(static_cast<size_t>(options.limit));
        }
        require(!data.labels_.empty(), ErrorCode::invalid_argument, "there are no samples in it");
      },
      [&] { return shown(path); });
  return data;
}

Tensor Dataset::sample(int64_t i) const {
  const std::string path = pictures_[static_cast<size_t>(i)].string();
  return with_context(
      [&] {
        return picture_for(input_, decode_image(read_input(path).bytes), options_.layout, options_.resize,
                           preprocessing_, {});
      },
      [&] { return shown(path); });
}

Tensor Dataset::batch(int64_t first, int64_t count, int64_t size) const {
  const auto one_picture = [&] {
    Tensor tensor = sample(first);
    require(tensor.rank() == 4, ErrorCode::invalid_argument, "input {} has no batch dimension",
            quoted(input_.name));
    return tensor;
  };
  const Tensor example = array_.defined() ? array_ : one_picture();
  Dims dims = example.dims();
  dims[0] = size;
  const size_t row = array_.defined()
                         ? (array_.dim(0) ? array_.bytes() / static_cast<size_t>(array_.dim(0)) : 0)
                         : example.bytes();
  Tensor tensor(example.type(), dims);
  auto* out = static_cast<std::byte*>(tensor.mutable_raw());
  for (int64_t i = 0; i < size && row != 0; ++i) {
    const int64_t from = first + std::min(i, count - 1);
    std::byte* to = out + static_cast<size_t>(i) * row;
    if (array_.defined()) {
      std::memcpy(to, static_cast<const std::byte*>(array_.raw()) + static_cast<size_t>(from) * row, row);
      continue;
    }
    const Tensor own = from == first ? example : sample(from);
    require(own.dims() == example.dims(), ErrorCode::invalid_argument,
            "pictures of different sizes don't fit one batch: say --resize WxH or --batch 1");
    std::memcpy(to, own.raw(), row);
  }
  return tensor;
}

}  // namespace plica::tools
