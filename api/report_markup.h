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

// One of a list of cards: a title, something in large type (`css`: "", "ok" or "bad"), and what explains it.
void add_card(std::string& out, std::string_view title, std::string_view big, std::string_view css,
              std::string_view rest);

// Plots of all batch norms side by side, where there are at least two.
void add_overview(std::string& out, const std::vector<Report::BatchNorm>& norms);
// The table of batch norms, and a section with plots for each; `verdicts`: whether it is known what became of
// them.
void add_batch_norms(std::string& out, const std::vector<Report::BatchNorm>& norms, bool verdicts);

// A whole page. `title` is text from a file; all else is HTML.
std::string page(std::string_view title, std::string_view eyebrow, std::string_view lead,
                 std::string_view body, std::string_view footer);
// The words of the footer that explain the health of batch norms.
extern const std::string_view kHealthFooter;

}  // namespace plica::markup
