#include "engine/ops/ml/post_transform.h"

#include "engine/core/fail.h"

namespace plica::ml {

PostTransform post_transform(std::string_view name) {
  if (name == "NONE") return PostTransform::none;
  if (name == "SOFTMAX") return PostTransform::softmax;
  if (name == "LOGISTIC") return PostTransform::logistic;
  if (name == "SOFTMAX_ZERO") return PostTransform::softmax_zero;
  if (name == "PROBIT") return PostTransform::probit;
  fail(ErrorCode::invalid_model,
       "post_transform is {}, it must be NONE, SOFTMAX, LOGISTIC, SOFTMAX_ZERO or PROBIT", quoted(name));
}

PostTransform post_transform(int64_t number) {
  require(number >= 0 && number <= static_cast<int64_t>(PostTransform::probit), ErrorCode::invalid_model,
          "post_transform is {}, it must be 0 to 4", number);
  return static_cast<PostTransform>(number);
}

}  // namespace plica::ml
