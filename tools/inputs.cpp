#include "tools/inputs.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <filesystem>

#include "engine/core/checked.h"
#include "engine/core/fail.h"
#include "tools/console.h"
#include "tools/exit.h"
#include "tools/files.h"
#include "tools/npy.h"
#include "tools/npz.h"
#include "tools/options.h"
#include "tools/values.h"

namespace plica::tools {
namespace {

constexpr int64_t kMostSide = 1 << 15;  // of a resized picture

std::string extension(const std::string& path) {
  std::string text = std::filesystem::path(path).extension().string();
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

const TensorInfo* find_input(const std::vector<TensorInfo>& inputs, std::string_view name) {
  const auto it = std::ranges::find(inputs, name, &TensorInfo::name);
  return it == inputs.end() ? nullptr : &*it;
}

std::string names_of(const std::vector<TensorInfo>& inputs) {
  std::vector<std::string> names;
  for (const TensorInfo& input : inputs) names.push_back(quoted(input.name));
  return fmt::format("{}", fmt::join(names, ", "));
}

// Elements as they are in memory, without a header; the model or --shape says type and shape.
Tensor raw_tensor(const TensorInfo& info, const Blob& blob, const DimSizes& sizes) {
  require(bits_of(info.type) >= 8, ErrorCode::invalid_argument, "a raw file can't be read as {}", info.text);
  const Dims dims = Model::concrete_dims(info, sizes);
  const size_t bytes = bytes_of(info.type, checked_elements(dims));
  require(bytes == blob.bytes.size(), ErrorCode::invalid_argument, "{}{} needs {} bytes, the file has {}",
          to_string(info.type), to_string(dims), bytes, blob.bytes.size());
  Tensor tensor(info.type, dims);
  if (bytes != 0) std::memcpy(tensor.mutable_raw(), blob.bytes.data(), bytes);
  return tensor;
}

Tensor tensor_from(const TensorInfo& info, const Blob& blob, const std::string& path, const Model& model,
                   const InputOptions& options) {
  const std::string_view text = blob.text();
  const std::string ext = extension(path);
  if (text.starts_with("\x93NUMPY") || ext == ".npy") return parse_npy(blob.bytes);
  if (text.starts_with("PK") || ext == ".npz") {
    NamedArrays arrays = parse_npz(blob.bytes);
    if (const Tensor* array = find_array(arrays, info.name)) return *array;
    require(arrays.size() == 1, ErrorCode::invalid_argument, "it has {} arrays and none is named {}",
            arrays.size(), quoted(info.name));
    return arrays[0].second;
  }
  const bool is_image = ext == ".png" || ext == ".jpg" || ext == ".jpeg" || ext == ".bmp";
  if (ext == ".pb") return parse_value_proto(blob.bytes, info.type);
  if (is_image || (ext != ".raw" && ext != ".bin" && looks_like_image(blob.bytes))) {
    bool is_default = false;
    const Preprocessing preprocessing =
        preprocessing_for(model, info, options.mean, options.scale, &is_default);
    Tensor tensor = picture_for(info, decode_image(blob.bytes), options.layout, options.resize, preprocessing,
                                options.sizes);
    if (is_default && tensor.type() != DataType::uint8) {
      note("neither the model nor --mean and --scale say how pictures become numbers: using byte / 255");
    }
    return tensor;
  }
  return raw_tensor(info, blob, options.sizes);
}

}  // namespace

Preprocessing preprocessing_for(const Model& model, const TensorInfo& input, const std::string& mean,
                                const std::string& scale, bool* is_default) {
  Preprocessing p;
  if (!is_integer(input.type)) p.scale = {1.0 / 255};
  if (is_default) *is_default = true;
  const auto set = [&](std::vector<double>& to, const std::string& option, std::string_view flag,
                       const std::string& key) {
    if (!option.empty()) {
      const auto numbers = parse_numbers(option);
      if (!numbers)
        exit_with(kUsage, "{}: {} is no list of numbers like 0.485,0.456,0.406", flag, quoted(option));
      to = *numbers;
    } else if (const auto text = model.metadata(key)) {
      const auto numbers = parse_numbers(*text);
      require(numbers.has_value(), ErrorCode::invalid_model, "metadata {} is no list of numbers: {}", key,
              quoted(*text));
      to = *numbers;
    } else {
      return;
    }
    if (is_default) *is_default = false;
  };
  set(p.mean, mean, "--mean", "plica.image.mean");
  set(p.scale, scale, "--scale", "plica.image.scale");
  return p;
}

Tensor picture_for(const TensorInfo& info, const Image& picture, const std::string& layout,
                   const std::string& resize_to, const Preprocessing& preprocessing, const DimSizes& sizes) {
  std::optional<Layout> wanted;
  if (!layout.empty()) wanted = layout == "nhwc" ? Layout::nhwc : Layout::nchw;
  Shape shape;
  if (const auto given = sizes.shapes.find(info.name); given != sizes.shapes.end()) {
    shape = Shape(Model::concrete_dims(info, sizes));
  } else if (info.shape) {
    shape = *info.shape;
    for (int i = 0; i < shape.rank(); ++i) {
      const auto it = sizes.symbols.find(shape[i].symbol());
      if (shape[i].is_symbol() && it != sizes.symbols.end()) shape[i] = Dim(it->second);
    }
  } else {
    shape = Shape{Dim(1), Dim(3), Dim(), Dim()};
  }
  const auto at = image_shape(shape, wanted);
  require(at.has_value(), ErrorCode::invalid_argument, "input {} is {}, which a picture does not fit",
          quoted(info.name), info.text);
  require(shape.rank() == 3 || !shape[0].is_known() || shape[0].value() == 1, ErrorCode::invalid_argument,
          "input {} takes {} pictures at once, one is given", quoted(info.name),
          shape[0].is_known() ? shape[0].value() : 0);

  int64_t width = at->width.value_or(picture.width), height = at->height.value_or(picture.height);
  if (!resize_to.empty()) {
    const Dims size = parse_dims(resize_to, "--resize");
    if (size.size() != 2) exit_with(kUsage, "--resize: {} is not WIDTHxHEIGHT", quoted(resize_to));
    require((!at->width || *at->width == size[0]) && (!at->height || *at->height == size[1]),
            ErrorCode::invalid_argument, "--resize {} does not fit input {}, {}", resize_to,
            quoted(info.name), info.text);
    width = size[0];
    height = size[1];
  }
  require(width > 0 && height > 0 && width <= kMostSide && height <= kMostSide, ErrorCode::limit,
          "a picture can't be resized to {}x{}", width, height);
  const Image fitting = resize(with_channels(picture, static_cast<int>(at->channels)),
                               static_cast<int>(width), static_cast<int>(height));
  return image_tensor(fitting, info.type, shape.rank(), at->layout, preprocessing);
}

TensorMap random_inputs(const Model& model, const DimSizes& sizes, uint64_t seed,
                        std::vector<std::string>* assumed) {
  TensorMap tensors;
  for (const TensorInfo& input : model.inputs()) {
    if (input.has_default) continue;
    require(is_numeric(input.type) || input.type == DataType::string, ErrorCode::unsupported,
            "input {} is {}: random values of that type are not supported", quoted(input.name), input.text);
    tensors.emplace(input.name,
                    random_tensor(input.type, Model::concrete_dims(input, sizes, 64, assumed), seed++));
  }
  return tensors;
}

Inputs gather_inputs(const Model& model, const InputOptions& options) {
  Inputs out;
  const std::vector<TensorInfo> all = model.inputs();
  std::vector<TensorInfo> needed;
  std::ranges::copy_if(all, std::back_inserter(needed),
                       [](const TensorInfo& input) { return !input.has_default; });

  const auto give = [&](const TensorInfo& info, Tensor tensor, const std::string& path) {
    if (!out.tensors.emplace(info.name, std::move(tensor)).second)
      exit_with(kUsage, "input {} is given twice", quoted(info.name));
    out.sources.emplace_back(info.name, shown(path));
  };
  for (const std::string& item : options.files) {
    std::string name, path = item;
    // A file may have "=" in its name: what stands before it counts when it is an input.
    if (const size_t equals = item.find('='); equals != std::string::npos) {
      name = item.substr(0, equals);
      path = item.substr(equals + 1);
      std::error_code ignored;
      if (!find_input(all, name)) {
        require(std::filesystem::exists(item, ignored), ErrorCode::invalid_argument,
                "the model has no input {} (it has {})", quoted(name), names_of(all));
        name.clear();
        path = item;
      }
    }
    reading([&] {
      with_context(
          [&] {
            const Blob blob = read_input(path);
            if (name.empty() && (extension(path) == ".npz" || blob.text().starts_with("PK"))) {
              const NamedArrays arrays = parse_npz(blob.bytes);
              const bool single = arrays.size() == 1 && needed.size() == 1;
              for (const auto& [array, tensor] : arrays) {
                const TensorInfo* info = single ? &needed[0] : find_input(all, array);
                require(info != nullptr, ErrorCode::invalid_argument, "the model has no input {} (it has {})",
                        quoted(array), names_of(all));
                give(*info, tensor, path);
              }
              return;
            }
            const TensorInfo* info = find_input(all, name);
            if (name.empty()) {
              require(needed.size() == 1, ErrorCode::invalid_argument,
                      "the model has the inputs {}: say which, as NAME={}", names_of(all), path);
              info = &needed[0];
            }
            give(*info, tensor_from(*info, blob, path, model, options), path);
          },
          [&] { return shown(path); });
    });
  }
  uint64_t seed = options.seed;
  for (const TensorInfo& input : needed) {
    const uint64_t own_seed = seed++;
    if (out.tensors.contains(input.name)) continue;
    require(is_numeric(input.type) || input.type == DataType::string, ErrorCode::unsupported,
            "input {} is {}, which is not supported", quoted(input.name), input.text);
    Tensor tensor = random_tensor(input.type, Model::concrete_dims(input, options.sizes), own_seed);
    out.sources.emplace_back(input.name, fmt::format("random, seed {}", own_seed));
    note("input {} is not given: random {}, seed {}", quoted(input.name), to_string(tensor), own_seed);
    out.tensors.emplace(input.name, std::move(tensor));
  }
  return out;
}

void note_assumed(const std::vector<std::string>& assumed) {
  for (const std::string& choice : assumed) note("the model leaves open: {}", escaped(choice));
}

}  // namespace plica::tools
