#include "engine/ops/table.h"

namespace plica {

std::span<const OpDef> loss_ops() { return {}; }

}  // namespace plica
