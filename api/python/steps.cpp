#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "api/python/bindings.h"

namespace plica::python {

void bind_steps(nb::module_& m) {
  using Step = Session::Step;
  nb::class_<Step>(m, "Step", "One step of a plan.")
      .def_ro("kind", &Step::kind, "\"Conv\", \"reorder\", ...")
      .def_ro("nodes", &Step::nodes, "The model's nodes that it computes.")
      .def_ro("implementation", &Step::implementation, "oneDNN's name of the kernel, or \"evaluate\".")
      .def_ro("layout", &Step::layout, "Of its output.")
      .def_ro("flops", &Step::flops,
              "Of a convolution or product by its definition, a multiply-add counted as two.")
      .def_ro("bytes", &Step::bytes, "That it reads and writes, each operand once.")
      .def("__repr__", [](const Step& s) {
        return "<plica.Step " + s.kind + " '" + s.nodes + "' " + s.implementation + " " + s.layout + ">";
      });
  using Plan = Session::Plan;
  nb::class_<Plan>(m, "Plan", "How inputs of some shapes are run.")
      .def_ro("steps", &Plan::steps)
      .def_ro("arena_bytes", &Plan::arena_bytes, "One run's intermediate tensors.")
      .def_ro("arena_lower_bound", &Plan::arena_lower_bound, "Those that are needed at one time, at least.")
      .def_ro("constant_bytes", &Plan::constant_bytes, "Packed weights.")
      .def("__repr__", [](const Plan& p) {
        return "<plica.Plan " + std::to_string(p.steps.size()) + " steps, " + std::to_string(p.arena_bytes) +
               " bytes of intermediate tensors>";
      });
  using Profile = Session::Profile;
  nb::class_<Profile::StepRun>(m, "StepRun",
                               "One step of one run; times in milliseconds since the run began.")
      .def_ro("step", &Profile::StepRun::step, "Its index in Profile.steps.")
      .def_ro("depth", &Profile::StepRun::depth, "1: within a step of depth 0 (of a subgraph), and so on.")
      .def_ro("start", &Profile::StepRun::start)
      .def_ro("duration", &Profile::StepRun::duration);
  nb::class_<Profile>(m, "Profile", "How long the steps of some runs took.")
      .def_ro("steps", &Profile::steps, "Those that ran.")
      .def_ro("durations", &Profile::durations, "Of each run, in milliseconds.")
      .def_ro("runs", &Profile::runs, "Of each run its StepRuns, in the order in which they began.")
      .def("__repr__", [](const Profile& p) {
        return "<plica.Profile " + std::to_string(p.runs.size()) + " runs of " +
               std::to_string(p.steps.size()) + " steps>";
      });
  using Memory = Session::Memory;
  nb::class_<Memory>(m, "SessionMemory", "What a session holds, in bytes.")
      .def_ro("plans", &Memory::plans, "How many are kept.")
      .def_ro("weights", &Memory::weights, "Packed for the plans; those of the model itself are not counted.")
      .def_ro("workspaces", &Memory::workspaces, "For intermediate tensors, of runs that are over.")
      .def_ro("results", &Memory::results, "Of results that were dropped; they serve the next ones.")
      .def("__repr__", [](const Memory& u) {
        return "<plica.SessionMemory plans=" + std::to_string(u.plans) +
               " weights=" + std::to_string(u.weights) + " workspaces=" + std::to_string(u.workspaces) +
               " results=" + std::to_string(u.results) + ">";
      });
}

}  // namespace plica::python
