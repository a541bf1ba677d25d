#include "plica/version.h"

#include "runtime/onednn/version.h"

namespace plica {

std::string_view version() { return PLICA_VERSION; }

std::string_view onednn_version() {
  static const std::string version = loaded_onednn_version();
  return version;
}

}  // namespace plica
