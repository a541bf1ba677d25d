// From what the passes find to what the API tells.
#pragma once

#include <utility>

#include "passes/fold/health.h"
#include "plica/report.h"

namespace plica {

inline HealthFinding api_finding(BatchNormFinding&& from) {
  return {.kind = std::string(from.kind),
          .severity = static_cast<HealthFinding::Severity>(from.severity),
          .channels = from.channels,
          .first_channels = std::move(from.first),
          .message = std::move(from.text),
          .fix = std::move(from.fix)};
}
static_assert(static_cast<int>(HealthSeverity::note) == static_cast<int>(HealthFinding::Severity::note));
static_assert(static_cast<int>(HealthSeverity::warning) ==
              static_cast<int>(HealthFinding::Severity::warning));
static_assert(static_cast<int>(HealthSeverity::error) == static_cast<int>(HealthFinding::Severity::error));

}  // namespace plica
