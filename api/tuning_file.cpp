#include "api/tuning_file.h"

#include <array>
#include <utility>

#include "engine/core/fail.h"
#include "engine/core/file.h"
#include "plica/version.h"
#include "runtime/onednn/cpu.h"

namespace plica {
namespace {

constexpr size_t kMostPlans = 10000;
constexpr size_t kMostSteps = 100000;  // of all plans

constexpr std::array<std::pair<const char*, TunedLayout>, 3> kLayouts = {{
    {"blocked16", TunedLayout::blocked16},
    {"blocked8", TunedLayout::blocked8},
    {"channels_last", TunedLayout::channels_last},
}};
constexpr std::array<std::pair<const char*, int>, 3> kMethods = {
    {{"winograd4", 4}, {"winograd2", 2}, {"onednn", 0}}};
constexpr std::array<std::pair<const char*, bool>, 2> kThreads = {{{"one", true}, {"all", false}}};

// The value that is called so.
template <class Table>
auto parse_name(const Json& object, const char* member, const Table& table) {
  std::optional<decltype(table[0].second)> value;
  const auto it = object.find(member);
  if (it == object.end()) return value;
  require(it->is_string(), ErrorCode::invalid_argument, "{} is no text", quoted(member));
  const auto& name = it->template get_ref<const std::string&>();
  for (const auto& [known, meaning] : table) {
    if (name == known) value = meaning;
  }
  require(value.has_value(), ErrorCode::invalid_argument, "{} is {}, which is none", quoted(member),
          quoted(name));
  return value;
}

template <class Table, class T>
std::string name_of(const Table& table, T value) {
  for (const auto& [name, meaning] : table) {
    if (meaning == value) return name;
  }
  return "";
}

PlanChoice parse_plan(const Json& json, size_t& steps_left) {
  PlanChoice plan;
  require(json.is_object(), ErrorCode::invalid_argument, "a plan is no object");
  plan.layout = parse_name(json, "layout", kLayouts);
  if (!json.contains("steps")) return plan;
  for (const auto& [key, step] : object_in(json, "steps").items()) {
    require(steps_left-- > 0, ErrorCode::limit, "more than {} steps", kMostSteps);
    require(step.is_object(), ErrorCode::invalid_argument, "a step is no object");
    plan.steps[key] = {parse_name(step, "method", kMethods), parse_name(step, "threads", kThreads)};
  }
  return plan;
}

Json to_json(const PlanChoice& plan) {
  Json json = Json::object();
  if (plan.layout) json["layout"] = name_of(kLayouts, *plan.layout);
  Json& steps = json["steps"] = Json::object();
  for (const auto& [key, choice] : plan.steps) {
    Json step = Json::object();
    if (choice.tile) step["method"] = name_of(kMethods, *choice.tile);
    if (choice.one_thread) step["threads"] = name_of(kThreads, *choice.one_thread);
    steps[key] = std::move(step);
  }
  return json;
}

}  // namespace

Tuning parse_plans(const Json& plans) {
  require(plans.size() <= kMostPlans, ErrorCode::limit, "more than {} plans", kMostPlans);
  Tuning tuning;
  size_t steps_left = kMostSteps;
  for (const auto& [key, plan] : plans.items()) tuning.plans[key] = parse_plan(plan, steps_left);
  return tuning;
}

Json to_json(const Tuning& tuning) {
  Json plans = Json::object();
  for (const auto& [key, plan] : tuning.plans) plans[key] = to_json(plan);
  return plans;
}

TuningHost this_host() { return {cpu_description(), std::string(onednn_version()), std::string(version())}; }

TuningFile read_tuning(const std::filesystem::path& path, const TuningHost& host) {
  const auto file = MappedFile::open(path);
  return with_context(
      [&] {
        const auto* text = reinterpret_cast<const char*>(file->bytes().data());
        const Json json = parse_untrusted({text, file->bytes().size()}, "tuning file");
        TuningFile read;
        read.differs = difference(json, {{"cpu", host.cpu}, {"onednn", host.onednn}, {"plica", host.plica}});
        if (read.differs.empty()) read.tuning = parse_plans(object_in(json, "plans"));
        return read;
      },
      [&] { return "tuning file " + display_name(path); });
}

void merge_tuning(const std::filesystem::path& path, const Tuning& tuning, const TuningHost& host) {
  Tuning all;
  std::error_code error;
  if (std::filesystem::exists(path, error)) all = read_tuning(path, host).tuning;
  for (const auto& [key, plan] : tuning.plans) all.plans[key] = plan;
  const Json json = {{"schema", 1},
                     {"cpu", host.cpu},
                     {"onednn", host.onednn},
                     {"plica", host.plica},
                     {"plans", to_json(all)}};
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), error);
  write_file(path, json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
}

std::string layout_name(TunedLayout layout) { return name_of(kLayouts, layout); }

std::string describe(const StepChoice& choice) {
  std::string text = choice.tile ? name_of(kMethods, *choice.tile) : "";
  if (choice.one_thread) {
    if (!text.empty()) text += ", ";
    text += *choice.one_thread ? "one thread" : "all threads";
  }
  return text;
}

}  // namespace plica
