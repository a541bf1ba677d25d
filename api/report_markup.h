// Pieces of the HTML report. Everything that comes from a model file goes through text().
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "plica/report.h"

namespace plica::markup {

// Text from a file: one line of valid UTF-8, control characters and direction marks shown as \xNN, cut when
// very long, escaped for HTML elements and quoted attributes.
std::string text(std::string_view raw);
// The name of a node or an operator, set as one.
std::string name(std::string_view raw);
std::string names(const std::vector<std::string>& list);
std::string plural(int64_t count, std::string_view word);  // "1 node", "2 nodes"
// "warning", "2 warnings", with a sign, so that colour alone does not tell it.
std::string severity_html(HealthFinding::Severity severity, int64_t count = 1);

// The table of batch norms, and a section with plots for each.
void add_batch_norms(std::string& out, const Report& report);

}  // namespace plica::markup
