#include "screen.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace fpg::runtime {
namespace {

// Whether the standard output is a terminal that shows colours, and nobody asked for none.
bool takes_colour() {
  const char *refused = std::getenv("NO_COLOR"), *terminal = std::getenv("TERM");
  if (refused != nullptr && *refused != '\0') return false;
  return isatty(STDOUT_FILENO) != 0 && (terminal == nullptr || std::string(terminal) != "dumb");
}

void print(const std::vector<std::string>& lines) {
  for (const std::string& line : lines) std::puts(line.c_str());
  std::fflush(stdout);
}

}  // namespace

void Screen::show(const Judgement& judgement) {
  judged_ += judgement.score.has_value();
  frames_ += static_cast<int64_t>(judgement.frames.size());
  for (const FrameScore& frame : judgement.frames) faces_ += static_cast<int64_t>(frame.faces.size());
  print(result_lines(judgement, takes_colour()));
  if (!judgement.score)
    std::fprintf(stderr, "error: %s: %s\n", one_line(judgement.input).c_str(), one_line(judgement.error).c_str());
}

void Screen::summary(const std::map<std::string, int64_t>& levels) const { print(summary_lines(levels)); }

void Screen::stats(const std::vector<StageTime>& times, double seconds) const {
  std::fprintf(stderr, "\n%lld inputs, %lld frames and %lld faces in %.2f s: %.2f inputs/s, %.1f frames/s, %.1f faces/s\n",
               static_cast<long long>(judged_), static_cast<long long>(frames_), static_cast<long long>(faces_), seconds,
               static_cast<double>(judged_) / seconds, static_cast<double>(frames_) / seconds,
               static_cast<double>(faces_) / seconds);
  std::fprintf(stderr, "stage      count   share   p50 ms   p95 ms   p99 ms\n");
  for (const StageTime& row : times) {
    std::fprintf(stderr, "%-8s%8lld%7.0f%%%9.1f%9.1f%9.1f\n", row.stage.c_str(), static_cast<long long>(row.number),
                 100 * row.total_s / seconds, row.p50_ms, row.p95_ms, row.p99_ms);
  }
  std::fprintf(stderr,
               "share: of the whole time; stages run at the same time. Decoding is per examined frame, the network per batch.\n");
}

}  // namespace fpg::runtime
