// The parts of the signal family's table, which signal.cpp joins.
#pragma once

#include <vector>

#include "engine/ops/op_def.h"

namespace plica {

std::vector<OpDef> fourier_ops();  // signal_fourier.cpp: DFT, STFT
std::vector<OpDef>
window_ops();  // signal_window.cpp: HannWindow, HammingWindow, BlackmanWindow, MelWeightMatrix

}  // namespace plica
