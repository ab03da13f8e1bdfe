#include "tables.h"

#include <algorithm>
#include <cstdio>

namespace fpg::runtime {
namespace {

// Text for a CSV file: always quoted, so that spreadsheets with another separator do not split it; an apostrophe precedes what a
// spreadsheet would take for a formula (the last four are full-width forms).
std::string quoted(std::string text) {
  const std::string start = text.substr(std::min(text.find_first_not_of(' '), text.size()));
  for (const char* formula :
       {"=", "+", "-", "@", "\t", "\r", "\n", "\xef\xbc\x9d", "\xef\xbc\x8b", "\xef\xbc\x8d", "\xef\xbc\xa0"}) {
    if (start.rfind(formula, 0) == 0) {
      text.insert(0, "'");
      break;
    }
  }
  std::string result = "\"";
  for (const char c : text) result += c == '"' ? std::string("\"\"") : std::string(1, c);
  return result + "\"";
}

std::string joined(const std::vector<std::string>& texts) {
  std::string result;
  for (const std::string& text : texts) result += (result.empty() ? "" : "; ") + text;
  return result;
}

std::string csv_line(const std::vector<std::string>& cells) {
  std::string line;
  for (const std::string& cell : cells) line += (line.empty() ? "" : ",") + cell;
  return line + "\n";
}

// A number in a cell: quoted like text, but never a formula.
std::string number_cell(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return std::string("\"") + text + "\"";
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

void show(const Judgement& r) {
  if (r.score) {
    std::printf("%5.3f  %-7s  %6lld  %s\n", *r.score, r.verdict.c_str(), static_cast<long long>(r.frames_with_face()),
                one_line(r.input).c_str());
  } else {
    std::printf("    -  -             -  %s\n", one_line(r.input).c_str());
    std::fflush(stdout);
    std::fprintf(stderr, "error: %s: %s\n", one_line(r.input).c_str(), one_line(r.error).c_str());
  }
  std::fflush(stdout);
}

void show_stats(const std::vector<Judgement>& results, const std::vector<StageTime>& times, double seconds) {
  int64_t frames = 0, faces = 0, judged = 0;
  for (const Judgement& r : results) {
    judged += r.score.has_value();
    frames += static_cast<int64_t>(r.frames.size());
    for (const FrameScore& frame : r.frames) faces += static_cast<int64_t>(frame.faces.size());
  }
  std::fprintf(stderr, "\n%lld inputs, %lld frames and %lld faces in %.2f s: %.2f inputs/s, %.1f frames/s, %.1f faces/s\n",
               static_cast<long long>(judged), static_cast<long long>(frames), static_cast<long long>(faces), seconds,
               static_cast<double>(judged) / seconds, static_cast<double>(frames) / seconds,
               static_cast<double>(faces) / seconds);
  std::fprintf(stderr, "stage      count   share   p50 ms   p95 ms   p99 ms\n");
  for (const StageTime& row : times) {
    std::fprintf(stderr, "%-8s%8lld%7.0f%%%9.1f%9.1f%9.1f\n", row.stage.c_str(), static_cast<long long>(row.number),
                 100 * row.total_s / seconds, row.p50_ms, row.p95_ms, row.p99_ms);
  }
  std::fprintf(
      stderr, "share: of the whole time; stages run at the same time. Decoding is per frame looked at, the network per batch.\n");
}

std::string csv_of(const std::vector<Judgement>& results) {
  const std::string none = "\"\"";
  std::vector<std::string> head;
  for (const char* name :
       {"input", "frame", "time_s", "x0", "y0", "x1", "y1", "score", "track", "error", "error_code", "warnings"})
    head.push_back(quoted(name));
  std::string text = csv_line(head);
  for (const Judgement& result : results) {
    const std::string input = quoted(result.input), warnings = quoted(joined(result.warnings));
    if (!result.error.empty()) {
      std::vector<std::string> cells(8, none);
      cells.insert(cells.begin(), input);
      cells.insert(cells.end(), {quoted(result.error), quoted(result.error_code), warnings});
      text += csv_line(cells);
    }
    for (const FrameScore& frame : result.frames) {
      for (const FaceScore& face : frame.faces) {
        std::vector<std::string> cells = {input, number_cell("%.0f", static_cast<double>(frame.index)),
                                          number_cell("%.4f", frame.time_s)};
        for (const double edge : {face.box.x0, face.box.y0, face.box.x1, face.box.y1}) cells.push_back(number_cell("%.2f", edge));
        cells.insert(cells.end(), {number_cell("%.6f", face.score), number_cell("%.0f", face.track), none, none, warnings});
        text += csv_line(cells);
      }
    }
  }
  return text;
}

}  // namespace fpg::runtime
