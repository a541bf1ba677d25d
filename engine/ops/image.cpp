#include "engine/ops/table.h"

namespace plica {

std::span<const OpDef> image_ops() { return {}; }

}  // namespace plica
