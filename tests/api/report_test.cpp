// The report as JSON, text and HTML.
#include "plica/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "plica/plica.h"
#include "tests/api/model_builder.h"

namespace plica {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

Report digits_report() { return Model::load(PLICA_SOURCE_DIR "/models/digits/digits.onnx").optimize(); }

int count(std::string_view text, std::string_view part) {
  int n = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

Report::BatchNorm folded_norm(const std::string& name, size_t channels) {
  Report::BatchNorm b{.node = name, .folded = true, .into = {"conv"}, .rule = "rule", .error_bound = 6e-8};
  b.epsilon = 1e-5;
  for (size_t c = 0; c < channels; ++c) {
    b.channels.mean.push_back(0.1 * static_cast<double>(c % 7));
    b.channels.variance.push_back(1 + static_cast<double>(c % 5));
    b.channels.gain.push_back(c % 3 == 0 ? -0.5 : 2);
    b.channels.shift.push_back(static_cast<double>(c % 11) - 5);
    b.channels.marks.push_back(0);
  }
  return b;
}

// Every element that is opened is closed, in order; attributes are quoted. No browser, but it finds what
// escaping would get wrong.
void expect_well_formed(const std::string& html) {
  std::vector<std::string> open;
  size_t at = 0;
  const auto skip_raw = [&](std::string_view end) { at = html.find(end, at); };
  while ((at = html.find('<', at)) != std::string::npos) {
    ++at;
    if (html.compare(at, 8, "!doctype") == 0) continue;
    const bool closing = html[at] == '/';
    size_t stop = at + closing;
    while (stop < html.size() && (std::isalnum(static_cast<unsigned char>(html[stop])))) ++stop;
    const std::string tag = html.substr(at + closing, stop - at - closing);
    ASSERT_FALSE(tag.empty()) << "a bare < near " << html.substr(at - 1, 60);
    bool quoted = false;
    while (stop < html.size() && (quoted || html[stop] != '>')) {
      if (html[stop] == '"') quoted = !quoted;
      ASSERT_TRUE(quoted || html[stop] != '<') << "in a tag near " << html.substr(at - 1, 80);
      ++stop;
    }
    ASSERT_LT(stop, html.size());
    const bool self_closed = html[stop - 1] == '/';
    at = stop;
    if (closing) {
      ASSERT_FALSE(open.empty()) << tag;
      ASSERT_EQ(open.back(), tag) << "near " << html.substr(stop - std::min<size_t>(stop, 120), 120);
      open.pop_back();
    } else if (!self_closed && tag != "meta" && tag != "input") {
      open.push_back(tag);
      if (tag == "style" || tag == "script") skip_raw("</");
    }
  }
  EXPECT_TRUE(open.empty());
}

TEST(ReportJson, HasHealthAndChannels) {
  ModelBuilder b;
  Value* x = b.input("x", Shape{1, 2, 4, 4});
  Value* w = b.constant("w", Tensor::of<float>({1, 2, 3, 4}, {2, 2, 1, 1}));
  b.output(b.node(
      "BatchNormalization",
      {b.node("Conv", {x, w}, "conv"), b.constant("scale", Tensor::vector<float>({0, 3})),
       b.constant("bias", Tensor::vector<float>({0.5f, -1})),
       b.constant("mean", Tensor::vector<float>({1, 2})), b.constant("var", Tensor::vector<float>({4, 9}))},
      "y"));
  Report report = Model::parse(b.bytes()).optimize();
  EXPECT_EQ(report.model, "test");
  EXPECT_EQ(report.operators_before.at("BatchNormalization"), 1);
  EXPECT_EQ(report.operators_after.count("BatchNormalization"), 0u);
  EXPECT_EQ(report.rewrites(), 1);
  EXPECT_EQ(report.last_rewrite->node, "make_y");
  EXPECT_EQ(report.findings(HealthFinding::Severity::note), 1);

  const json summary = json::parse(report.to_json());
  EXPECT_EQ(summary["operators"]["after"]["Conv"], 1);
  const json norm = summary["batch_norms"][0];
  EXPECT_EQ(norm["health"][0]["kind"], "dead");
  EXPECT_EQ(norm["health"][0]["severity"], "note");
  EXPECT_EQ(norm["health"][0]["channels"], 1);
  EXPECT_EQ(norm["health"][0]["first_channels"], json::array({0}));
  EXPECT_EQ(norm["channels"]["count"], 2);
  EXPECT_EQ(norm["channels"]["variance"], json::parse(R"({"min":4,"median":9,"max":9})"));
  EXPECT_FALSE(norm["channels"]["gain"].contains("values"));

  const json whole = json::parse(report.to_json(2, Report::ChannelDetail::values));
  EXPECT_EQ(whole["batch_norms"][0]["channels"]["variance"]["values"], json::array({4, 9}));
  EXPECT_THAT(report.to_text(), HasSubstr("note: 1 of 2 channels are dead"));
  EXPECT_THAT(report.to_text(), HasSubstr("(channel 0)"));
}

TEST(ReportJson, IsJsonWhateverTheNumbersAndNames) {
  Report report;
  report.model = "caf\xe9";
  report.batch_norms.push_back(folded_norm("a\xff\n\"b", 2));
  report.batch_norms[0].channels.gain = {std::nan(""), std::numeric_limits<double>::infinity()};
  const json parsed = json::parse(report.to_json(-1, Report::ChannelDetail::values));
  EXPECT_EQ(parsed["batch_norms"][0]["channels"]["gain"]["not_finite"], 2);
  EXPECT_TRUE(parsed["batch_norms"][0]["channels"]["gain"]["values"][0].is_null());
}

TEST(ReportHtml, IsOnePageThatNeedsNothingElse) {
  Report report = digits_report();
  report.verification = Report::Verification{.inputs = 3,
                                             .equal = true,
                                             .max_difference = 1e-7,
                                             .tolerance = 1e-5,
                                             .sensitivity = 1e-6,
                                             .worst_output = "y"};
  const std::string html = report.to_html();
  expect_well_formed(html);
  for (const char* outside : {"http://", "https://", "src=", "@import", "url(", "<link"})
    EXPECT_THAT(html, Not(HasSubstr(outside)));
  for (const Report::BatchNorm& b : report.batch_norms) EXPECT_THAT(html, HasSubstr(b.node));
  EXPECT_EQ(count(html, "<details"), 7);
  // Gain, shift, variance and mean of each, and two of all layers.
  EXPECT_EQ(count(html, "<figure"), 7 * 4 + 2);
  EXPECT_EQ(count(html, "role=\"img\" aria-label=\""), 7 * 4 + 2 + 1);  // the gauge too
  // Each plot has ticks and the numbers of its first and last channel or layer.
  EXPECT_EQ(count(html, "<div class=\"y\" aria-hidden=\"true\"><span style=\"top:"), 7 * 4 + 2);
  EXPECT_EQ(count(html, "<span>0</span><span>channel</span><span>15</span>"), 4 * 4);
  EXPECT_EQ(count(html, "<span>1</span><span>batch norm, in graph order</span><span>7</span>"), 2);
  EXPECT_THAT(html, HasSubstr("prefers-color-scheme:dark"));
  EXPECT_EQ(html, report.to_html());
}

TEST(ReportHtml, EscapesWhateverTheFileSays) {
  const std::string evil = "<script>alert('x')</script>\"&\x01\xe2\x80\xae\xff";
  Report report;
  report.model = evil;
  report.operators_before[evil] = report.operators_after[evil] = 1;
  report.rules[evil] = 1;
  report.batch_norms.push_back(folded_norm(evil, 3));
  report.batch_norms.back().into = {evil, evil};
  report.batch_norms.back().rule = evil;
  report.batch_norms.push_back({.node = evil, .reason = evil, .fix = evil, .blocking = evil});
  report.batch_norms.back().health.push_back(
      {.kind = "k", .channels = 1, .first_channels = {0}, .message = evil, .fix = evil});
  report.verification = Report::Verification{.inputs = 1, .worst_output = evil};
  const std::string html = report.to_html();
  expect_well_formed(html);
  EXPECT_EQ(count(html, "<script"), 1);
  EXPECT_EQ(count(html, "alert('x')"), 0);
  for (const char* raw : {"\x01", "\xe2\x80\xae", "\xff"}) EXPECT_THAT(html, Not(HasSubstr(raw)));
  EXPECT_THAT(html, HasSubstr("&lt;script&gt;alert(&#39;x&#39;)"));
}

TEST(ReportHtml, PlotsWhatIsNotFiniteOrAllTheSame) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  Report report;
  for (const std::vector<double>& values : {std::vector<double>{},
                                            {0},
                                            {0, 0, 0},
                                            {std::nan(""), kInfinity, -kInfinity},
                                            {5, 5, 5},
                                            {-3},
                                            {1e-320, 1e300},
                                            {1, std::nan(""), 2},
                                            {-1e308, 1e308}}) {
    Report::BatchNorm b{.node = "bn"};
    b.channels = {
        .mean = values, .variance = values, .gain = values, .shift = values, .bounds = values, .marks = {}};
    report.batch_norms.push_back(b);
  }
  const std::string html = report.to_html();
  expect_well_formed(html);
  const std::string body = html.substr(html.find("<body>"), html.find("<script>") - html.find("<body>"));
  for (const char* wrong : {"d=\"Mnan", "nan%", "inf%", " nan", "-inf", "M-", "V-"})
    EXPECT_THAT(body, Not(HasSubstr(wrong)));
}

TEST(ReportHtml, ManyChannelsBecomeRangesAndSayso) {
  Report report;
  report.batch_norms.push_back(folded_norm("wide", 4096));
  const std::string html = report.to_html();
  EXPECT_THAT(html, HasSubstr("8 to a bar from lowest to highest"));
  EXPECT_LT(html.size(), 100'000u);
  // The median is of the channels, not of the ranges' ends: 2 of |gain| in {0.5, 2, 2}.
  EXPECT_THAT(html, HasSubstr("from 0.5 to 2, median 2"));
  EXPECT_THAT(html, HasSubstr("from 1 to 5, median 3"));
  // The largest of a range is in it: one channel sticks out.
  report.batch_norms[0].channels.gain[1000] = 1000;
  EXPECT_THAT(report.to_html(), HasSubstr("to 1e+03, median 2"));
}

TEST(ReportHtml, StaysWithinBounds) {
  Report report;
  for (int i = 0; i < 6000; ++i) report.batch_norms.push_back(folded_norm("bn" + std::string(300, 'x'), 512));
  const std::string html = report.to_html();
  EXPECT_LT(html.size(), size_t{32} << 20);
  EXPECT_THAT(html, HasSubstr("and 1000 more, which the JSON report has"));
  EXPECT_THAT(html, HasSubstr("Its plots are left out"));
}

TEST(ReportHtml, OfAModelWithoutBatchNorms) {
  ModelBuilder b;
  b.output(b.node("Relu", {b.input("x", Shape{2})}, "y"));
  const std::string html = Model::parse(b.bytes()).optimize().to_html();
  expect_well_formed(html);
  EXPECT_THAT(html, HasSubstr("It has no batch norms"));
}

// ---- of a model that is only looked at

TEST(ModelHtml, ShowsHealthWithoutVerdicts) {
  const std::string html = Model::parse(conv_batch_norm_model(0)).to_html("<net>.onnx");
  expect_well_formed(html);
  EXPECT_THAT(html, HasSubstr("<h1><bdi>&lt;net&gt;.onnx</bdi></h1>"));
  EXPECT_THAT(html, HasSubstr("1 of 2 channels have variance 0"));
  EXPECT_EQ(count(html, "<figure"), 4);
  EXPECT_THAT(html, Not(HasSubstr("Verdict")));
  EXPECT_THAT(html, Not(HasSubstr("<b>Kept:")));
}

TEST(ModelDot, HasNodesEdgesAndConstants) {
  const std::string dot = Model::parse(conv_batch_norm_model()).to_dot();
  EXPECT_THAT(dot, HasSubstr("n1 [label=\"Conv\\nmake_conv\\nw: float32[2, 2, 1, 1]\""));
  EXPECT_THAT(dot, HasSubstr("v0 -> n1 [label=\"float32[N, 2, 4, 4]\"];"));
  EXPECT_THAT(dot, HasSubstr("n1 -> n2"));
  EXPECT_THAT(dot, HasSubstr("n2 -> out0;"));
  EXPECT_EQ(count(dot, "{"), count(dot, "}"));
}

TEST(ModelDot, EscapesNames) {
  ModelBuilder b;
  b.output(b.node("Relu", {b.input("x\"];\n\\", Shape{2})}, "y"));
  EXPECT_THAT(Model::parse(b.bytes()).to_dot(), HasSubstr(R"([label="x\"];\\x0a)"));
}

}  // namespace
}  // namespace plica
