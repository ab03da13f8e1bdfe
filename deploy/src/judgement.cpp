#include "judgement.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "constants.h"
#include "faces.h"
#include "findings.h"
#include "scores.h"

namespace fpg::runtime {
namespace {

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

// Why no frame has a score; of faces that are too small, the largest is named.
void explain_missing_score(Judgement& judgement) {
  const size_t count = judgement.frames.size();
  const std::string frames = std::to_string(count) + " frame" + (count == 1 ? "" : "s");
  const RejectedFace* largest = nullptr;
  for (const FrameScore& frame : judgement.frames) {
    for (const RejectedFace& face : frame.rejected) {
      if (face.code != codes::face_too_small) {
        judgement.error = message("face_rejected", {{"frames", frames}, {"reason", face.reason}});
        judgement.error_code = codes::face_rejected;
        return;
      }
      if (largest == nullptr || face_size(face.box) > face_size(largest->box)) largest = &face;
    }
  }
  judgement.error = largest == nullptr ? message("no_face", {{"frames", frames}}) : largest->reason;
  judgement.error_code = largest == nullptr ? codes::no_face : codes::face_too_small;
}

}  // namespace

void conclude(Judgement& judgement) {
  if (judgement.frames.empty()) throw InputError(judgement.input, message("no_frame"), codes::no_frame);
  judgement.score = video_score(judgement.frames);
  if (!judgement.score) return explain_missing_score(judgement);
  judgement.verdict = *judgement.score >= judgement.threshold ? "fake" : "real";
}

void fail(Judgement& judgement, const std::string& reason, const std::string& code) {
  judgement.frames.clear();
  judgement.score.reset();
  judgement.verdict.clear();
  judgement.error = reason;
  judgement.error_code = code;
}

int64_t Judgement::frames_with_face() const {
  return std::count_if(frames.begin(), frames.end(), [](const FrameScore& frame) { return !frame.faces.empty(); });
}

std::vector<TrackScore> Judgement::tracks() const {
  struct Seen {
    std::vector<double> scores, times;
    std::vector<int64_t> indices;
  };
  std::map<int, Seen> seen;
  for (const FrameScore& frame : frames) {
    for (const FaceScore& face : frame.faces) {
      Seen& track = seen[face.track];
      track.scores.push_back(face.score);
      track.times.push_back(frame.time_s);
      track.indices.push_back(frame.index);
    }
  }
  std::vector<TrackScore> result;
  for (const auto& [number, track] : seen) {
    double sum = 0;
    for (const double one : track.scores) sum += one;
    TrackScore found;
    found.track = number;
    found.frames = static_cast<int64_t>(track.scores.size());
    found.score = sum / static_cast<double>(found.frames);
    found.start_s = track.times.front();
    found.end_s = track.times.back();
    found.interval = mean_interval(track.scores);
    std::vector<std::string> levels;
    for (const JudgedBy& by : judged_by) levels.push_back(level_of(found.score, threshold, by.reliability));
    found.level = combined_level(levels);
    found.segments = find_segments(track.scores, track.times, track.indices, threshold);
    result.push_back(std::move(found));
  }
  return result;
}

std::vector<Shot> Judgement::shots() const {
  std::vector<Shot> found;
  for (const FrameScore& frame : frames) {
    if (found.empty() || frame.cut) found.push_back({frame.time_s, frame.time_s, frame.index, frame.index, 0});
    found.back().end_s = frame.time_s;
    found.back().last_frame = frame.index;
    ++found.back().frames;
  }
  return found;
}

std::optional<Conditions> Judgement::conditions() const {
  std::vector<double> sizes, sharpness, yaw, pitch;
  for (const FrameScore& frame : frames) {
    for (const FaceScore& face : frame.faces) {
      sizes.push_back(face_size(face.box));
      sharpness.push_back(face.sharpness);
      yaw.push_back(std::abs(face.pose[0]));
      pitch.push_back(std::abs(face.pose[1]));
    }
  }
  if (sizes.empty()) return std::nullopt;
  return Conditions{frames_with_face(), median(sizes), median(sharpness), median(yaw), median(pitch), bits_per_pixel};
}

std::vector<ModelScore> Judgement::models() const {
  std::vector<ModelScore> found;
  if (!score) return found;
  for (size_t m = 0; m < judged_by.size(); ++m) {
    const JudgedBy& by = judged_by[m];
    ModelScore model{by.name, *score, threshold, "", by.reliability ? by.reliability->weight : 1};
    if (judged_by.size() > 1) {
      model.score = video_score(frames, m).value();
      model.threshold = by.threshold;
    }
    model.level = level_of(model.score, model.threshold, by.reliability);
    found.push_back(model);
  }
  return found;
}

std::optional<Finding> Judgement::finding() const {
  const std::optional<Conditions> seen = conditions();
  if (!score || !seen || judged_by.empty()) return std::nullopt;
  return conclude_finding(*this, *seen, tracks(), models());
}

}  // namespace fpg::runtime
