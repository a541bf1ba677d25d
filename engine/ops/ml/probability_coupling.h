// Probabilities of classes from the decisions of pairwise machines.
#pragma once

#include <span>
#include <vector>

namespace plica::ml {

// decisions, a and b hold an element for each pair of classes i < j, in the order (0, 1), (0, 2), ...; out,
// one for each class. The machine's estimate of P(i | i or j) is 1 / (1 + e^(a decision + b)) (J. Platt,
// 1999), kept off 0 and 1; the classes' probabilities p are those that agree best with all estimates: the
// second method of T.-F. Wu, C.-J. Lin and R. C. Weng, "Probability Estimates for Multi-class Classification
// by Pairwise Coupling" (2004), which libsvm has. `scratch` is memory that calls may share, one after the
// other.
void couple_probabilities(std::span<const float> decisions, std::span<const float> a,
                          std::span<const float> b, std::span<float> out, std::vector<float>& scratch);

}  // namespace plica::ml
