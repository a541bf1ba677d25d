// engine/onnx/onnx.proto states the messages of the onnx package exactly: names, numbers, labels, types,
// oneofs and packing of every field, and every enum value. onnx_messages.txt lists those of the package
// (list_messages.py).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

std::string read(const std::string& path) {
  std::ifstream in(std::string(PLICA_SOURCE_DIR) + "/" + path);
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

// Words, numbers and names with dots are one token, everything else a token a character; no comments, no
// spaces.
std::vector<std::string> tokens_of(const std::string& text) {
  std::vector<std::string> out;
  const auto in_word = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.';
  };
  for (size_t i = 0; i < text.size();) {
    if (text.compare(i, 2, "//") == 0) {
      i = text.find('\n', i);
    } else if (std::isspace(static_cast<unsigned char>(text[i]))) {
      ++i;
    } else {
      size_t end = i;
      while (end < text.size() && in_word(text[end])) ++end;
      end = std::max(end, i + 1);
      out.push_back(text.substr(i, end - i));
      i = end;
    }
  }
  return out;
}

// Lists the parts of a .proto file that describe the wire format, as list_messages.py does.
class ProtoLister {
 public:
  explicit ProtoLister(const std::string& text) : tokens_(tokens_of(text)) {
    while (at_ < tokens_.size()) {
      const std::string word = next();
      if (word == "message") {
        message("");
      } else if (word == "enum") {
        enumeration("");
      } else {
        skip_statement();  // syntax, package, option
      }
    }
  }
  const std::set<std::string>& lines() const { return lines_; }

 private:
  std::string next() { return tokens_.at(at_++); }
  bool accept(const std::string& token) { return at_ < tokens_.size() && tokens_[at_] == token && ++at_; }
  void expect(const std::string& token) {
    if (!accept(token)) throw std::runtime_error(fmt::format("{} wanted, {} found", token, tokens_.at(at_)));
  }
  void skip_statement() {
    while (next() != ";") {
    }
  }

  void message(const std::string& scope) {
    const std::string name = scope + next();
    expect("{");
    while (!accept("}")) {
      const std::string word = next();
      if (word == "message") {
        message(name + ".");
      } else if (word == "enum") {
        enumeration(name + ".");
      } else if (word == "reserved") {
        skip_statement();
      } else if (word == "oneof") {
        const std::string oneof = next();
        expect("{");
        while (!accept("}")) field(name, "optional", " oneof " + oneof);
      } else {
        field(name, word, "");
      }
    }
  }

  void field(const std::string& message, const std::string& label, const std::string& suffix) {
    const std::string type = next(), name = next();
    expect("=");
    std::string line = fmt::format("{}.{} = {} {} {}{}", message, name, next(), label, type, suffix);
    if (accept("[")) {
      std::string options;
      for (std::string token; (token = next()) != "]";) options += token;
      line += options == "packed=true" ? " packed" : " [" + options + "]";
    }
    expect(";");
    lines_.insert(line);
  }

  void enumeration(const std::string& scope) {
    const std::string name = scope + next();
    expect("{");
    while (!accept("}")) {
      const std::string value = next();
      expect("=");
      lines_.insert(fmt::format("{}.{} = {}", name, value, next()));
      expect(";");
    }
  }

  std::vector<std::string> tokens_;
  size_t at_ = 0;
  std::set<std::string> lines_;
};

TEST(Proto, SaysWhatTheOnnxPackageSays) {
  std::set<std::string> wanted;
  std::istringstream listing(read("tests/engine/onnx/onnx_messages.txt"));
  for (std::string line; std::getline(listing, line);) {
    if (!line.starts_with("#")) wanted.insert(line);
  }
  EXPECT_GE(wanted.size(), 197u);
  EXPECT_THAT(ProtoLister(read("engine/onnx/onnx.proto")).lines(), testing::ContainerEq(wanted));
}

TEST(Proto, IsItsOwnCopyOfTheMessages) {
  const std::string text = read("engine/onnx/onnx.proto");
  EXPECT_NE(text.find("package plica.onnx_format;"), std::string::npos);
  EXPECT_NE(text.find("option optimize_for = LITE_RUNTIME;"), std::string::npos);
}

}  // namespace
