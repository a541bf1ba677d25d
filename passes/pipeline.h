// The default pipeline: which passes run in which order, and which rules are in each.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "passes/rule.h"

namespace plica {

// The passes in order. They are run round after round until a round changes nothing, but at most kMostRounds
// times.
std::span<const Pass> default_pipeline();
inline constexpr int kMostRounds = 64;

// The rules that run when `disable` and `only` name rules or passes. Throws invalid_argument for a name that
// is neither.
std::unordered_set<std::string_view> enabled_rules(const std::vector<std::string>& disable,
                                                   const std::vector<std::string>& only);

}  // namespace plica
