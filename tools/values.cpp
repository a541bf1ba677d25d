#include "tools/values.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "engine/core/dispatch.h"

namespace plica::tools {
namespace {

// Calls f(i, value) for each element as a double.
template <class F>
void for_each_double(const Tensor& tensor, F&& f) {
  dispatch<NumericAndBoolTypes>(tensor.type(), [&]<class T>(std::type_identity<T>) {
    const T* data = tensor.data<T>();
    for (int64_t i = 0; i < tensor.size(); ++i) f(i, static_cast<double>(data[i]));
  });
}

Json json_number(double value) { return std::isfinite(value) ? Json(value) : Json(fmt::format("{}", value)); }

std::string unlike(const Tensor& actual, const Tensor& expected) {
  return fmt::format("it is {}, expected {}", to_string(actual), to_string(expected));
}

class SplitMix {
 public:
  explicit SplitMix(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }

 private:
  uint64_t state_;
};

template <class T>
T random_value(SplitMix& random) {
  const uint64_t bits = random.next();
  if constexpr (std::is_same_v<T, bool>) {
    return (bits >> 63) != 0;
  } else if constexpr (std::is_integral_v<T>) {
    return sizeof(T) == 1 ? static_cast<T>(bits >> 56) : static_cast<T>(bits >> 63);
  } else {
    return static_cast<T>(static_cast<float>(bits >> 40) * 0x1p-23f - 1.0f);
  }
}

}  // namespace

bool is_numeric(DataType type) {
  return type == DataType::boolean || (is_integer(type) && bits_of(type) >= 8) ||
         (is_floating(type) && bits_of(type) >= 16);
}

std::vector<double> to_doubles(const Tensor& tensor) {
  std::vector<double> out(static_cast<size_t>(tensor.size()));
  for_each_double(tensor, [&](int64_t i, double value) { out[static_cast<size_t>(i)] = value; });
  return out;
}

Statistics statistics(const Tensor& tensor) {
  Statistics s{.min = std::numeric_limits<double>::infinity(),
               .max = -std::numeric_limits<double>::infinity()};
  double sum = 0;
  for_each_double(tensor, [&](int64_t, double value) {
    if (!std::isfinite(value)) {
      ++s.not_finite;
      return;
    }
    s.min = std::min(s.min, value);
    s.max = std::max(s.max, value);
    sum += value;
  });
  const int64_t finite = tensor.size() - s.not_finite;
  if (finite == 0) s.min = s.max = 0;
  if (finite != 0) s.mean = sum / static_cast<double>(finite);
  return s;
}

std::vector<std::string> first_values(const Tensor& tensor, size_t count) {
  std::vector<std::string> out;
  count = std::min(count, static_cast<size_t>(tensor.size()));
  if (tensor.type() == DataType::string) {
    for (size_t i = 0; i < count; ++i) out.push_back(quoted(tensor.data<std::string>()[i]));
  } else if (tensor.type() == DataType::int64) {
    for (size_t i = 0; i < count; ++i) out.push_back(fmt::format("{}", tensor.data<int64_t>()[i]));
  } else if (is_numeric(tensor.type())) {
    dispatch<NumericAndBoolTypes>(tensor.type(), [&]<class T>(std::type_identity<T>) {
      for (size_t i = 0; i < count; ++i)
        out.push_back(fmt::format("{:.6g}", static_cast<double>(tensor.data<T>()[i])));
    });
  }
  return out;
}

std::string summary(const Tensor& tensor) {
  std::string line = to_string(tensor);
  if (tensor.size() == 0) return line;
  if (is_container(tensor.type())) {
    std::vector<std::string> elements;
    constexpr size_t kMost = 8;
    for (const Tensor& e : tensor.elements().first(std::min(kMost, tensor.elements().size())))
      elements.push_back(summary(e));
    return fmt::format("{}  {{{}{}}}", line, fmt::join(elements, "; "),
                       tensor.elements().size() > kMost ? "; ..." : "");
  }
  if (is_numeric(tensor.type()) && tensor.size() > 1) {
    const Statistics s = statistics(tensor);
    line += fmt::format("  min {:.6g}  max {:.6g}  mean {:.6g}", s.min, s.max, s.mean);
    if (s.not_finite) line += fmt::format("  ({} not finite)", s.not_finite);
  }
  constexpr size_t kShown = 8;
  const std::vector<std::string> values = first_values(tensor, kShown);
  if (!values.empty()) {
    line += fmt::format("  [{}{}]", fmt::join(values, ", "),
                        static_cast<size_t>(tensor.size()) > kShown ? ", ..." : "");
  }
  return line;
}

Json summary_json(const Tensor& tensor) {
  if (is_container(tensor.type())) {
    Json json = {{"type", to_string(tensor.type())}, {"elements", Json::array()}};
    for (const Tensor& e : tensor.elements()) json["elements"].push_back(summary_json(e));
    return json;
  }
  Json json = {{"type", to_string(tensor.type())}, {"shape", tensor.dims()}};
  constexpr int64_t kShown = 1000;
  const int64_t shown = std::min(tensor.size(), kShown);
  if (is_numeric(tensor.type())) {
    const Statistics s = statistics(tensor);
    json["min"] = s.min;
    json["max"] = s.max;
    json["mean"] = s.mean;
    json["not_finite"] = s.not_finite;
    Json& values = json["values"] = Json::array();
    dispatch<NumericAndBoolTypes>(tensor.type(), [&]<class T>(std::type_identity<T>) {
      for (int64_t i = 0; i < shown; ++i) {
        const T value = tensor.data<T>()[i];
        if constexpr (std::is_integral_v<T>) {
          values.push_back(value);
        } else {
          values.push_back(json_number(static_cast<double>(value)));
        }
      }
    });
  } else if (tensor.type() == DataType::string) {
    json["values"] = std::vector<std::string>(tensor.data<std::string>(), tensor.data<std::string>() + shown);
  }
  json["truncated"] = tensor.size() > shown;
  return json;
}

Difference compare(const Tensor& actual, const Tensor& expected, double rtol, double atol) {
  Difference d;
  if (actual.type() != expected.type() || actual.dims() != expected.dims()) {
    d.mismatch = unlike(actual, expected);
    return d;
  }
  const auto differs = [&](int64_t i) {
    if (d.differing++ == 0) d.first = i;
  };
  if (is_container(actual.type())) {
    for (int64_t i = 0; i < actual.size(); ++i) {
      const auto at = static_cast<size_t>(i);
      const Difference one = compare(actual.elements()[at], expected.elements()[at], rtol, atol);
      d.max_absolute = std::max(d.max_absolute, one.max_absolute);
      d.largest = std::max(d.largest, one.largest);
      if (!one.mismatch.empty()) d.mismatch = fmt::format("element {}: {}", i, one.mismatch);
      if (!one.equal()) differs(i);
    }
    return d;
  }
  if (actual.type() == DataType::string) {
    for (int64_t i = 0; i < actual.size(); ++i) {
      if (actual.data<std::string>()[i] != expected.data<std::string>()[i]) differs(i);
    }
    return d;
  }
  if (!is_numeric(actual.type())) {  // complex, and floats and integers of few bits: exactly
    const size_t bytes = actual.bytes();
    if (bytes != 0 && std::memcmp(actual.raw(), expected.raw(), bytes) != 0) differs(0);
    return d;
  }
  dispatch<NumericAndBoolTypes>(actual.type(), [&]<class T>(std::type_identity<T>) {
    const T *a = actual.data<T>(), *e = expected.data<T>();
    for (int64_t i = 0; i < actual.size(); ++i) {
      const double x = static_cast<double>(a[i]), y = static_cast<double>(e[i]);
      if (std::isfinite(x) && std::isfinite(y)) {
        const double distance = std::abs(x - y);
        d.max_absolute = std::max(d.max_absolute, distance);
        d.largest = std::max(d.largest, std::abs(y));
        if (!(distance <= atol + rtol * std::abs(y))) differs(i);
      } else if (!(x == y || (std::isnan(x) && std::isnan(y)))) {
        differs(i);
      }
    }
  });
  return d;
}

Tensor random_tensor(DataType type, Dims dims, uint64_t seed) {
  Tensor tensor(type, std::move(dims));
  SplitMix random(seed);
  if (type == DataType::string) {
    for (std::string& s : tensor.mutable_values<std::string>()) s = fmt::format("{:x}", random.next() >> 48);
    return tensor;
  }
  dispatch<NumericAndBoolTypes>(type, [&]<class T>(std::type_identity<T>) {
    for (T& value : tensor.mutable_values<T>()) value = random_value<T>(random);
  });
  return tensor;
}

}  // namespace plica::tools
