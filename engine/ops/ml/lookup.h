// Finds the place of a value in a list of keys: in linear time to build, in constant time to ask. Of repeated
// keys the last counts. All NaNs are one key, and so are the two zeros. Thread safety: immutable once built.
#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <vector>

#include "engine/core/fail.h"
#include "engine/ops/attribute_reader.h"

namespace plica::ml {

template <class T>
class Lookup {
 public:
  // String keys must outlive the lookup.
  explicit Lookup(std::span<const T> keys) {
    places_.reserve(keys.size());
    for (size_t i = 0; i < keys.size(); ++i) places_[key_of(keys[i])] = static_cast<int64_t>(i);
  }

  // -1 where the value is none of the keys.
  int64_t find(const T& value) const {
    const auto it = places_.find(key_of(value));
    return it == places_.end() ? -1 : it->second;
  }

 private:
  using Key = std::conditional_t<std::is_same_v<T, std::string>, std::string_view, uint64_t>;

  static Key key_of(const T& value) {
    if constexpr (std::is_same_v<T, std::string>) {
      return value;
    } else if constexpr (std::is_floating_point_v<T>) {
      constexpr uint64_t kNan = ~uint64_t{0};
      // -0 + 0 is 0.
      return value != value ? kNan : std::bit_cast<uint64_t>(static_cast<double>(value) + 0.0);
    } else {
      return static_cast<uint64_t>(value);
    }
  }

  std::unordered_map<Key, int64_t> places_;
};

// Keys that are integers or strings.
class Vocabulary {
 public:
  // From the attributes of these names, exactly one of which has keys; throws invalid_model, and says that it
  // must give `what`.
  Vocabulary(const AttributeReader& attributes, std::string_view ints, std::string_view strings,
             std::string_view what)
      : ints_(attributes.ints(ints)),
        strings_(attributes.strings(strings)),
        of_int_(ints_),
        of_string_(strings_) {
    require(ints_.empty() != strings_.empty(), ErrorCode::invalid_model,
            "one of the attributes {} and {} must give {}", ints, strings, what);
  }
  Vocabulary(const Vocabulary&) = delete;
  Vocabulary& operator=(const Vocabulary&) = delete;

  int64_t size() const { return static_cast<int64_t>(ints_.empty() ? strings_.size() : ints_.size()); }
  DataType type() const { return ints_.empty() ? DataType::string : DataType::int64; }

  // -1 where the value is none of the keys.
  int64_t find(int64_t value) const { return of_int_.find(value); }
  int64_t find(const std::string& value) const { return of_string_.find(value); }

 private:
  std::vector<int64_t> ints_;
  std::vector<std::string> strings_;
  Lookup<int64_t> of_int_;
  Lookup<std::string> of_string_;
};

}  // namespace plica::ml
