// The stages of one input, around the networks of the models that judge it: decoding -> faces, tracks and crops -> network ->
// scores, all at the same time. The twin of fpg/runtime/judging.py.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "channel.h"
#include "faces.h"
#include "fpg_runtime/runtime.h"
#include "notes.h"
#include "show_frames.h"
#include "stages.h"
#include "video.h"

namespace fpg::runtime {

using NamedEngines = std::vector<std::pair<std::string, std::unique_ptr<Engine>>>;

// A face that the networks have been given.
struct PendingFace {
  FaceScore face;
  std::vector<PendingScore> scores;  // one per model
  std::vector<float> input;          // of the first model, where it is to be shown
};

struct PendingFrame {
  int64_t index = 0;
  double time_s = 0;
  std::vector<PendingFace> faces;
  std::vector<RejectedFace> rejected;
  bool cut = false;
  Image image;  // where it is to be shown
};

class Judging {
 public:
  // Throws InputError when the face models cannot be used.
  Judging(NamedEngines engines, const Options& options);

  const EngineSpec& spec() const { return networks_[0]->spec(); }  // of the first model
  double threshold() const;                                        // from which a verdict is fake
  std::vector<std::string> warnings() const;                       // of all models, each once

  // Judges one input; given up after the time that the options say.
  static Judgement judge(const std::shared_ptr<Judging>& judging, const std::string& path);

  const Options options;
  StageTimes times;
  std::atomic<bool> cancelled{false};
  std::optional<ShownFrames> shown;

 private:
  class OneInput;

  Judgement judge(const std::string& path, const std::atomic<bool>& given_up);
  std::vector<FrameScore> scores_of(const std::string& path, const std::atomic<bool>& given_up, Notes& notes);
  FaceFinder borrow_finder();
  void return_finder(FaceFinder finder);

  std::string face_models_;
  std::vector<std::unique_ptr<EngineThread>> networks_;  // of the models, in their order
  std::vector<JudgedBy> judged_by_;
  std::vector<double> weights_;  // of the models, in the fusion
  std::mutex mutex_;
  std::vector<FaceFinder> idle_;
};

}  // namespace fpg::runtime
