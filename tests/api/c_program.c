#include "tests/api/c_program.h"

#include <stdio.h>
#include <string.h>

#include "api/c/plica.h"

static char message[512];

#define CHECK(condition)                                                                               \
  do {                                                                                                 \
    if (!(condition)) {                                                                                \
      snprintf(message, sizeof message, "line %d: %s (%s)", __LINE__, #condition, plica_last_error()); \
      return message;                                                                                  \
    }                                                                                                  \
  } while (0)

const char* run_c_program(const char* model_path) {
  plica_model* model = NULL;
  plica_session* session = NULL;
  plica_tensor* image = NULL;
  plica_tensor* result = NULL;
  char* report = NULL;
  plica_value_info info = PLICA_VALUE_INFO_INIT;
  plica_optimize_options optimize = PLICA_OPTIMIZE_OPTIONS_INIT;
  plica_session_options options = PLICA_SESSION_OPTIONS_INIT;
  plica_run_options run = PLICA_RUN_OPTIONS_INIT;
  static float pixels[64];
  const int64_t dims[4] = {1, 1, 8, 8};
  const char* inputs[1] = {"image"};
  const char* outputs[1] = {"probabilities"};
  const plica_tensor* input;
  const float* scores;
  float sum = 0;
  int i;

  CHECK(plica_model_load(model_path, &model) == PLICA_OK);
  optimize.skip_measures = 1;
  CHECK(plica_model_optimize(model, &optimize, &report) == PLICA_OK);
  CHECK(strstr(report, "\"schema\": 1") != NULL);
  plica_string_free(report);
  CHECK(plica_model_num_inputs(model) == 1);
  CHECK(plica_model_input(model, 0, &info) == PLICA_OK);
  CHECK(strcmp(info.name, "image") == 0 && info.type == PLICA_FLOAT32 && info.rank == 4);
  CHECK(info.dims[0] == -1 && info.symbols[0][0] != 0 && info.dims[2] == 8 && info.symbols[2][0] == 0);

  options.threads = 1;
  CHECK(plica_session_create(model, &options, &session) == PLICA_OK);
  plica_model_free(model);
  CHECK(plica_tensor_view_const(PLICA_FLOAT32, dims, 4, pixels, sizeof pixels, &image) == PLICA_OK);
  input = image;
  run.timeout = 60;
  CHECK(plica_session_run(session, &run, inputs, &input, 1, outputs, &result, 1) == PLICA_OK);
  CHECK(plica_tensor_rank(result) == 2 && plica_tensor_dims(result)[1] == 10);
  scores = plica_tensor_data(result);
  for (i = 0; i < 10; ++i) sum += scores[i];
  CHECK(sum > 0.999f && sum < 1.001f);
  plica_tensor_free(result);
  plica_tensor_free(image);
  plica_session_free(session);
  return NULL;
}
