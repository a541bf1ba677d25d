// What the CPU's arithmetic can do at best, to compare kernels with.
#pragma once

namespace plica {

// Multiply-adds of float32 that this machine does now on so many threads, in GFLOP/s (each counts as two), by
// the widest vectors that it has, operands in registers: the best of some short measurements, about 0.1 s in
// all.
double measure_peak_of(int threads);

}  // namespace plica
