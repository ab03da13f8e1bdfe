#include "scores.h"

#include <algorithm>

#include "constants.h"
#include "faces.h"

namespace fpg::runtime {

std::vector<bool> faces_that_count(const std::vector<Box>& boxes) {
  double largest = 0;
  for (const Box& box : boxes) largest = std::max(largest, area(box));
  std::vector<bool> counts;
  for (const Box& box : boxes) counts.push_back(area(box) >= face_constants().area_fraction * largest);
  return counts;
}

std::optional<double> frame_score(const FrameScore& frame, std::optional<size_t> model) {
  std::optional<double> best;
  for (const FaceScore& face : frame.faces) best = std::max(best.value_or(0), model ? face.scores[*model] : face.score);
  return best;
}

std::optional<double> video_score(const std::vector<FrameScore>& frames, std::optional<size_t> model) {
  double sum = 0;
  int64_t count = 0;
  for (const FrameScore& frame : frames) {
    const std::optional<double> score = frame_score(frame, model);
    if (!score) continue;
    sum += *score;
    ++count;
  }
  return count == 0 ? std::nullopt : std::optional(sum / static_cast<double>(count));
}

}  // namespace fpg::runtime
