#include "engine/ops/einsum_equation.h"

#include <algorithm>
#include <array>

#include "engine/core/fail.h"

namespace plica {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

[[noreturn]] void malformed(std::string_view equation, std::string_view why) {
  fail(ErrorCode::invalid_model, "the equation {} {}", quoted(equation), why);
}

EinsumTerm parse_term(std::string_view term, std::string_view equation) {
  EinsumTerm result;
  for (size_t i = 0; i < term.size(); ++i) {
    if (is_letter(term[i])) {
      result.letters += term[i];
    } else if (term.substr(i).starts_with("...")) {
      if (result.ellipsis) malformed(equation, "has a term with two ellipses");
      result.ellipsis = result.letters.size();
      i += 2;
    } else {
      malformed(equation, "has a character that is no letter, comma, arrow or ellipsis");
    }
  }
  return result;
}

int count_in(const std::vector<EinsumTerm>& terms, char letter) {
  int count = 0;
  for (const EinsumTerm& term : terms) count += static_cast<int>(std::ranges::count(term.letters, letter));
  return count;
}

// The labels that occur once, in the order of their codes; after the ellipsis.
EinsumTerm implicit_output(const std::vector<EinsumTerm>& inputs) {
  EinsumTerm output;
  if (std::ranges::any_of(inputs, [](const EinsumTerm& t) { return t.ellipsis.has_value(); }))
    output.ellipsis = 0;
  for (char c = 'A'; c <= 'z'; ++c) {
    if (is_letter(c) && count_in(inputs, c) == 1) output.letters += c;
  }
  return output;
}

}  // namespace

std::vector<EinsumLabel> EinsumTerm::labels(int count) const {
  std::vector<EinsumLabel> result;
  for (size_t i = 0; i <= letters.size(); ++i) {
    for (int e = 0; ellipsis == i && e < count; ++e) result.push_back(kEllipsisLabel + e);
    if (i < letters.size()) result.push_back(static_cast<unsigned char>(letters[i]));
  }
  return result;
}

EinsumEquation parse_einsum(std::string_view equation, int operands) {
  std::string text(equation);
  std::erase(text, ' ');
  const std::string_view compact = text;
  const size_t arrow = compact.find("->");
  EinsumEquation result;
  const std::string_view left = compact.substr(0, arrow);
  for (size_t begin = 0;;) {
    const size_t comma = left.find(',', begin);
    result.inputs.push_back(parse_term(left.substr(begin, comma - begin), equation));
    require(static_cast<int>(result.inputs.size()) <= operands, ErrorCode::invalid_model,
            "the equation {} has more terms than the {} operands", quoted(equation), operands);
    if (comma == std::string_view::npos) break;
    begin = comma + 1;
  }
  require(static_cast<int>(result.inputs.size()) == operands, ErrorCode::invalid_model,
          "the equation {} has {} terms for {} operands", quoted(equation), result.inputs.size(), operands);
  if (arrow == std::string_view::npos) {
    result.output = implicit_output(result.inputs);
    return result;
  }
  result.output = parse_term(compact.substr(arrow + 2), equation);
  for (const char c : result.output.letters) {
    if (count_in({result.output}, c) > 1) malformed(equation, "repeats a label in the output");
    if (count_in(result.inputs, c) == 0) malformed(equation, "has a label in the output that no operand has");
  }
  return result;
}

}  // namespace plica
