#pragma once

#include <string>

namespace plica {

// Of the oneDNN library that is loaded, "2.6.3".
std::string loaded_onednn_version();

}  // namespace plica
