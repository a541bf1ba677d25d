// Finds the place of a value in a list of keys: in linear time to build, in constant time to ask. Of repeated
// keys the last counts. All NaNs are one key, and so are the two zeros.
#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>

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

}  // namespace plica::ml
