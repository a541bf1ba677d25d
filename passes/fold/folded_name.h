// Names of what a fold makes of a constant or a value.
#pragma once

#include <string>

namespace plica {

// "conv1.weight" -> "conv1.weight_folded", and that stays as it is.
inline std::string folded_name(const std::string& name) {
  return name.ends_with("_folded") ? name : name + "_folded";
}

}  // namespace plica
