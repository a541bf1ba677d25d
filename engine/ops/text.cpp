#include "engine/ops/table.h"

namespace plica {

std::span<const OpDef> text_ops() { return {}; }

}  // namespace plica
