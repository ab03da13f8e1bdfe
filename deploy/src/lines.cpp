// Results as text for a terminal: the twin of fpg/cli/lines.py, with the words of fpg/findings/tables.json.

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "findings.h"
#include "fpg_runtime/results.h"

namespace fpg::runtime {
namespace {

using Lines = std::vector<std::string>;
using json = nlohmann::ordered_json;

std::string say(const std::string& key, Words values = {}) { return filled(findings_tables()["terminal"][key], values); }

std::string not_judged() { return findings_tables()["text"]["not_judged"]; }

size_t characters(const std::string& text) {  // of UTF-8
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](unsigned char byte) { return (byte & 0xc0) != 0x80; }));
}

// The widest finding: the width of the first column.
size_t widest() {
  size_t most = 0;
  for (const auto& [level, words] : findings_tables()["levels"].items())
    most = std::max(most, characters(words.get<std::string>()));
  return most;
}

std::string padded(std::string text, size_t width) {
  text.append(width - std::min(width, characters(text)), ' ');
  return text;
}

// Adds lines of limited width, with at least one word each.
void wrap(const std::string& text, const std::string& first, const std::string& rest, Lines& lines) {
  const size_t columns = findings_tables()["terminal"]["columns"];
  std::string line = first;
  bool empty = true;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    const std::string word = text.substr(at, end - at);
    at = end + 1;
    if (word.empty()) continue;
    if (!empty && characters(line) + 1 + characters(word) > columns) {
      lines.push_back(line);
      line = rest;
      empty = true;
    }
    line += (empty ? "" : " ") + word;
    empty = false;
  }
  if (!empty) lines.push_back(line);
}

std::string judged_on(const Judgement& result, const Interval& interval) {
  size_t faces = 0, most = 0;
  for (const FrameScore& frame : result.frames) {
    faces += frame.faces.size();
    most = std::max(most, frame.faces.size());
  }
  std::string text = faces == 1 ? say("one_face") : say("faces", {{"faces", std::to_string(faces)}});
  if (result.frames.size() > 1)
    text += say("seen", {{"seen", std::to_string(result.frames_with_face())}, {"frames", std::to_string(result.frames.size())}});
  if (most > 1) text += say("at_once", {{"most", std::to_string(most)}});
  if (interval) text += say("interval_behind", {{"interval", interval_text(interval)}});
  return text;
}

}  // namespace

std::string one_line(const std::string& text) {
  std::string result;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    result += byte < 0x20 || byte == 0x7f ? std::string("\xef\xbf\xbd") : std::string(1, c);
  }
  return result;
}

std::string heading() { return say("head"); }

std::vector<std::string> result_lines(const Judgement& result, bool colour) {
  const size_t width = widest();
  const std::string name = one_line(result.input);
  if (!result.score) return {padded(not_judged(), width) + "      -          -  " + name};
  const json& tables = findings_tables();
  const std::optional<Finding> finding = result.finding();
  const std::string level = finding ? finding->level : "not_calibrated";
  std::string words = padded(tables["levels"][level], width);
  if (colour) words = "\x1b[" + tables["terminal"]["colours"][level].get<std::string>() + "m" + words + "\x1b[0m";
  char numbers[64];
  std::snprintf(numbers, sizeof numbers, "  %5.3f  %9.3f  ", *result.score, result.threshold);
  Lines lines = {words + numbers + name}, below = {judged_on(result, finding ? finding->interval : Interval())};
  if (const std::string where = suspicious(result.tracks()); !where.empty())
    below.push_back(say("suspicious", {{"segments", where}}));
  for (const Limit& limit : finding ? finding->limits : std::vector<Limit>())
    below.push_back(say("limit", {{"limit", limit.text}}));
  for (const std::string& text : below) wrap(text, "    ", "      ", lines);
  return lines;
}

std::vector<std::string> summary_lines(const std::map<std::string, int64_t>& levels) {
  const json& tables = findings_tables();
  int64_t total = 0;
  for (const auto& [level, count] : levels) total += count;
  Lines order = tables["worst_first"], lines;
  order.emplace_back();  // not judged
  order.erase(std::remove_if(order.begin(), order.end(), [&](const std::string& level) { return levels.count(level) == 0; }),
              order.end());
  if (total > 1) {
    lines.push_back(say("summary", {{"inputs", std::to_string(total)}}));
    for (const std::string& level : order) {
      char count[32];
      std::snprintf(count, sizeof count, "%6lld  ", static_cast<long long>(levels.at(level)));
      lines.push_back(count + (level.empty() ? not_judged() : tables["levels"][level].get<std::string>()));
    }
  }
  for (const std::string& level : order) {
    if (tables["means"].contains(level)) wrap(stated(level), "", "", lines);
  }
  return lines;
}

}  // namespace fpg::runtime
