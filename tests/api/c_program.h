#pragma once

#ifdef __cplusplus
extern "C" {
#endif
/* Runs the digits network through the C interface, compiled as C. NULL when all is well, else what is not. */
const char* run_c_program(const char* model_path);
#ifdef __cplusplus
}
#endif
