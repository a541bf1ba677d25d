// What Plica calls of OpenMP's interface (OpenMP 4.5, 3.2), for a compiler without a header of its own for libgomp. With
// it, pragmas are ignored: parallel loops run in their thread.
#pragma once

extern "C" {
int omp_get_max_threads(void) noexcept;
int omp_get_num_procs(void) noexcept;
int omp_get_num_threads(void) noexcept;
int omp_get_thread_num(void) noexcept;
int omp_in_parallel(void) noexcept;
void omp_set_num_threads(int) noexcept;
}
