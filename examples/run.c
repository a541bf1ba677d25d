/* Runs a model from C: loads it, folds its batch norms, runs it on zeros of the sizes that it takes (1 for
 * those that it leaves open), and prints what comes out.
 *
 *     run_c MODEL.onnx
 */
#include <plica.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const char* what) {
  fprintf(stderr, "run_c: %s: %s\n", what, plica_last_error());
  return 1;
}

int main(int argc, char** argv) {
  plica_model* model = NULL;
  plica_session* session = NULL;
  plica_value_info input = PLICA_VALUE_INFO_INIT, output = PLICA_VALUE_INFO_INIT;
  plica_session_options options = PLICA_SESSION_OPTIONS_INIT;
  plica_tensor *x = NULL, *y = NULL;
  const plica_tensor* inputs[1];
  int64_t dims[16];
  const float* values;
  int64_t i;
  int d;

  if (argc != 2) {
    fprintf(stderr, "usage: run_c MODEL.onnx\n");
    return 2;
  }
  if (plica_model_load(argv[1], &model) != PLICA_OK) return fail("load");
  if (plica_model_optimize(model, NULL, NULL) != PLICA_OK) return fail("optimize");
  if (plica_model_input(model, 0, &input) != PLICA_OK || plica_model_output(model, 0, &output) != PLICA_OK)
    return fail("inputs and outputs");
  printf("%s -> %s\n", input.text, output.text);
  if (input.rank < 0 || input.rank > 16) return fail("the rank of the input");
  for (d = 0; d < input.rank; ++d) dims[d] = input.dims[d] < 0 ? 1 : input.dims[d];

  options.threads = 1;
  if (plica_session_create(model, &options, &session) != PLICA_OK) return fail("session");
  if (plica_tensor_create(input.type, dims, (size_t)input.rank, &x) != PLICA_OK) return fail("input");
  memset(plica_tensor_mutable_data(x), 0, plica_tensor_bytes(x));
  inputs[0] = x;
  if (plica_session_run(session, NULL, &input.name, inputs, 1, &output.name, &y, 1) != PLICA_OK)
    return fail("run");
  if (plica_tensor_type(y) == PLICA_FLOAT32) {
    values = plica_tensor_data(y);
    for (i = 0; i < plica_tensor_elements(y) && i < 10; ++i) printf("%.4f\n", (double)values[i]);
  }
  plica_tensor_free(y);
  plica_tensor_free(x);
  plica_session_free(session);
  plica_model_free(model);
  return 0;
}
