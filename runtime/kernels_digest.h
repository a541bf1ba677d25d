#pragma once

#include <string_view>

namespace plica {

// Of the sources of the kernels and plans: packed weights of one build are for builds with the same.
std::string_view kernels_digest();

}  // namespace plica
