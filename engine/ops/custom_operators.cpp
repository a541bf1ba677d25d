#include "engine/ops/custom_operators.h"

#include <algorithm>
#include <exception>
#include <new>
#include <utility>

#include "engine/core/fail.h"
#include "engine/ops/evaluate.h"
#include "engine/ops/infer.h"
#include "engine/ops/table.h"

namespace plica {
namespace {

struct CustomDef : OpDef {
  CustomDef(OpDef def, std::string domain_of, std::string name_of,
            std::shared_ptr<const CustomKernel> kernel_of)
      : OpDef(std::move(def)),
        own_domain(std::move(domain_of)),
        own_name(std::move(name_of)),
        kernel(std::move(kernel_of)) {
    domain = own_domain;
    name = own_name;
  }
  const std::string own_domain, own_name;
  const std::shared_ptr<const CustomKernel> kernel;
};

// An Error gets the node's name from whoever called; anything else would pass by those who handle errors.
template <class Body>
void as_error(const Body& body) {
  try {
    body();
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    fail(ErrorCode::invalid_argument, "{}", error.what());
  }
}

void infer_custom(InferContext& context) {
  as_error([&] { static_cast<const CustomDef&>(context.def()).kernel->infer(context); });
}

void evaluate_custom(EvaluateContext& context) {
  as_error([&] { static_cast<const CustomDef&>(context.def()).kernel->evaluate(context); });
  for (int i = 0; i < context.num_outputs(); ++i) {
    require(!context.has_output(i) || context.output(i).defined(), ErrorCode::invalid_argument,
            "the operator did not compute its output {}", i);
  }
}

bool is_built_in(std::string_view domain, std::string_view name) {
  return std::ranges::any_of(all_ops(),
                             [&](const OpDef* def) { return def->domain == domain && def->name == name; });
}

}  // namespace

std::shared_ptr<const CustomOperators> CustomOperators::with(const CustomOperators* others,
                                                             std::string domain, std::string name, OpDef def,
                                                             std::shared_ptr<const CustomKernel> kernel) {
  if (domain == "ai.onnx") domain.clear();
  const std::string shown = quoted(domain.empty() ? name : domain + "." + name);
  require(!name.empty(), ErrorCode::invalid_argument, "an operator needs a name");
  require(kernel != nullptr, ErrorCode::invalid_argument, "operator {} has no implementation", shown);
  require(1 <= def.since && def.since <= def.until, ErrorCode::invalid_argument,
          "operator {} cannot be of opset versions {} to {}", shown, def.since, def.until);
  require(0 <= def.min_inputs && def.min_inputs <= def.max_inputs && 0 <= def.min_outputs &&
              def.min_outputs <= def.max_outputs,
          ErrorCode::invalid_argument, "operator {} has contradicting numbers of inputs or outputs", shown);
  require(!is_built_in(domain, name), ErrorCode::invalid_argument, "operator {} is one of Plica's own",
          shown);
  auto all = std::make_shared<CustomOperators>();
  if (others) all->defs_ = others->defs_;
  for (const auto& other : all->defs_) {
    require(other->domain != domain || other->name != name || other->until < def.since ||
                def.until < other->since,
            ErrorCode::invalid_argument, "operator {} is there already, for opset versions {} to {}", shown,
            other->since, other->until);
  }
  def.infer = infer_custom;
  def.evaluate = evaluate_custom;
  def.open_attributes = true;
  all->defs_.push_back(
      std::make_shared<CustomDef>(std::move(def), std::move(domain), std::move(name), std::move(kernel)));
  return all;
}

const OpDef* CustomOperators::find(std::string_view domain, std::string_view name, int64_t opset) const {
  const auto it = std::ranges::find_if(defs_, [&](const auto& def) {
    return def->name == name && def->domain == domain && def->since <= opset && opset <= def->until;
  });
  return it == defs_.end() ? nullptr : it->get();
}

}  // namespace plica
