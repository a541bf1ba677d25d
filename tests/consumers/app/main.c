#include <plica.h>
#include <stdio.h>

int main(int argc, char** argv) {
  plica_model* model = NULL;
  if (argc != 2 || plica_model_load(argv[1], &model) != PLICA_OK) {
    fprintf(stderr, "%s\n", plica_last_error());
    return 1;
  }
  printf("%zu input, %zu output\n", plica_model_num_inputs(model), plica_model_num_outputs(model));
  plica_model_free(model);
  return 0;
}
