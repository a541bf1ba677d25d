#include "engine/ops/table.h"

namespace plica {

std::span<const OpDef> spatial_ops() { return {}; }

}  // namespace plica
