// The version of the library.
#pragma once

#include <string_view>

#include "engine/core/api.h"

namespace PLICA_API plica {

std::string_view version();         // of Plica, "0.1.0"
std::string_view onednn_version();  // of the oneDNN that is loaded, "2.6.3"

}  // namespace plica
