#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include "api/python/bindings.h"

namespace plica::python {
namespace {

std::string summary(const Report& report) {
  return std::to_string(report.folded()) + " of " + std::to_string(report.batch_norms.size()) +
         " batch norms folded, " + std::to_string(report.nodes_before) + " -> " +
         std::to_string(report.nodes_after) + " nodes";
}

std::string repr(const Report::BatchNorm& norm) {
  std::string text = "<plica.BatchNorm '" + norm.node + "' ";
  if (!norm.folded) return text + "kept: " + norm.reason + ">";
  text += "folded into";
  for (size_t i = 0; i < norm.into.size(); ++i) text += (i ? ", '" : " '") + norm.into[i] + "'";
  return text + ">";
}

// The page has styles of its own: in a notebook, a frame keeps the two apart.
std::string framed(const Report& report) {
  std::string page;
  for (const char c : report.to_html()) {
    if (c == '&') {
      page += "&amp;";
    } else if (c == '"') {
      page += "&quot;";
    } else {
      page += c;
    }
  }
  return "<iframe srcdoc=\"" + page + "\" style=\"width: 100%; height: 40em; border: 0\"></iframe>";
}

}  // namespace

void bind_report(nb::module_& m) {
  nb::class_<HealthFinding>(m, "HealthFinding", "Something remarkable about the parameters of a batch norm.")
      .def_ro("kind", &HealthFinding::kind, "\"dead\", \"extreme_gain\", ...: docs/reports.md lists them.")
      .def_prop_ro(
          "severity", [](const HealthFinding& f) { return to_string(f.severity); },
          "\"note\", \"warning\" or \"error\".")
      .def_ro("channels", &HealthFinding::channels, "How many it concerns; 0: the batch norm as a whole.")
      .def_ro("first_channels", &HealthFinding::first_channels, "The first of them, at most 8.")
      .def_ro("message", &HealthFinding::message)
      .def_ro("fix", &HealthFinding::fix, "What can be done about it; may be empty.")
      .def("__str__", [](const HealthFinding& f) { return to_text(f); })
      .def("__repr__", [](const HealthFinding& f) { return "<plica.HealthFinding " + to_text(f) + ">"; });

  using BatchNorm = Report::BatchNorm;
  nb::class_<BatchNorm>(m, "BatchNorm", "What became of one BatchNormalization.")
      .def_ro("node", &BatchNorm::node, "Its name, or its output's when it has none.")
      .def_ro("folded", &BatchNorm::folded)
      .def_ro("into", &BatchNorm::into, "Folded: the nodes that absorbed it.")
      .def_ro("rule", &BatchNorm::rule, "Folded: by which rule.")
      .def_ro("reason", &BatchNorm::reason, "Kept: why.")
      .def_ro("fix", &BatchNorm::fix, "Kept: what can be done about that.")
      .def_ro("blocking", &BatchNorm::blocking, "Kept: the node in the way, when it is one.")
      .def_ro("error_bound", &BatchNorm::error_bound,
              "Folded: how far any element of the node's output may move, relative to the largest magnitude "
              "that it "
              "can reach; None without measure.")
      .def_ro("epsilon", &BatchNorm::epsilon)
      .def_ro("health", &BatchNorm::health, "Findings about its parameters, the worst first.")
      .def("__repr__", &repr);

  nb::class_<Report>(m, "Report", "What Model.optimize() did, and why it did not do more.")
      .def_prop_ro("folded", &Report::folded, "How many batch norms were folded.")
      .def_prop_ro("rewrites", &Report::rewrites, "How often any rule changed the graph.")
      .def_ro("batch_norms", &Report::batch_norms, "Every BatchNormalization of the model, in graph order.")
      .def_ro("rules", &Report::rules, "Rewrites by rule, of those that fired.")
      .def_ro("nodes_before", &Report::nodes_before)
      .def_ro("nodes_after", &Report::nodes_after)
      .def_ro("operators_before", &Report::operators_before, "How often each operator was there.")
      .def_ro("operators_after", &Report::operators_after)
      .def("to_text", &Report::to_text,
           "Lines for people: a summary, then every batch norm with its verdict.")
      .def(
          "to_json",
          [](const Report& report, int indent, bool values) {
            return report.to_json(indent,
                                  values ? Report::ChannelDetail::values : Report::ChannelDetail::summary);
          },
          nb::arg("indent") = 2, nb::arg("values") = false,
          "One JSON object, \"schema\": 1. An indent below 0 puts it on one line; with values, what batch "
          "norms have "
          "by channel is there whole.")
      .def("to_html", &Report::to_html,
           "One HTML page that needs nothing else, with plots of every batch norm.")
      .def("_repr_html_", &framed)
      .def("__str__", &Report::to_text)
      .def("__repr__", [](const Report& report) { return "<plica.Report " + summary(report) + ">"; });
}

}  // namespace plica::python
