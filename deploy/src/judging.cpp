#include "judging.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <future>
#include <thread>

#include "constants.h"
#include "crops.h"
#include "findings.h"
#include "judgement.h"
#include "media.h"
#include "scores.h"
#include "tracks.h"

namespace fpg::runtime {
namespace {

constexpr size_t kAhead = 4;  // decoded frames that may wait for the face detector

}  // namespace

// The stages of one input; the first two have a thread each.
class Judging::OneInput {
 public:
  // given_up: nobody waits for the judgement any more.
  OneInput(Judging& judging, const std::string& path, const std::atomic<bool>& given_up)
      : judging_(judging), path_(path), given_up_(given_up), window_(window_of(judging.networks_)), waiting_(window_) {}

  // total: see read_input.
  std::vector<FrameScore> run(Notes& notes, std::optional<int64_t> total = std::nullopt) {
    FaceFinder finder = judging_.borrow_finder();
    std::thread decoder([&] { decode(notes, total); });
    std::thread analyser([&] { find_faces(finder); });
    std::vector<FrameScore> frames;
    std::exception_ptr error;
    try {
      frames = collect_scores();
    } catch (...) {
      error = std::current_exception();
    }
    stopped_ = true;
    decoded_.cancel();
    waiting_.cancel();
    decoder.join();
    analyser.join();
    judging_.return_finder(std::move(finder));
    if (error) std::rethrow_exception(error);
    check_cancelled();
    return frames;
  }

 private:
  // Frames that may wait for their scores: as many as two batches of frames with a face.
  static size_t window_of(const std::vector<std::unique_ptr<EngineThread>>& networks) {
    int64_t window = 0;
    for (const auto& network : networks) window = std::max(window, 2 * network->size());
    return static_cast<size_t>(window);
  }

  void check_cancelled() const {
    if (judging_.cancelled) throw InputError(path_, message("cancelled"), codes::cancelled);
  }

  void decode(Notes& notes, std::optional<int64_t> total) {
    std::exception_ptr error;
    try {
      auto start = Clock::now();
      const auto take = [&](Frame frame) {
        judging_.times.add("decode", start);
        const bool wanted = decoded_.put(std::move(frame));
        start = Clock::now();
        return wanted;
      };
      read_input(path_, judging_.options, take, notes, [&] { return stopped_ || judging_.cancelled || given_up_; }, total);
    } catch (...) {
      error = std::current_exception();
    }
    decoded_.finish(error);
  }

  // Frames to faces, tracks and crops; stops when nobody takes what it puts.
  void find_faces(FaceFinder& finder) {
    std::vector<Collector> collectors;
    for (const auto& network : judging_.networks_) collectors.emplace_back(*network, static_cast<int64_t>(window_));
    FaceTracker tracker;
    CutFinder cut;
    std::exception_ptr error;
    try {
      while (std::optional<Frame> frame = decoded_.take()) {
        PendingFrame pending = analyse(*frame, finder, collectors);
        pending.cut = cut(frame->image);
        number_tracks(tracker, pending);
        if (judging_.shown) pending.image = std::move(frame->image);
        for (Collector& collector : collectors) collector.end_frame();
        if (!waiting_.put(std::move(pending))) return;
      }
    } catch (...) {
      error = std::current_exception();
    }
    for (Collector& collector : collectors) collector.flush();
    waiting_.finish(error);
  }

  static void number_tracks(FaceTracker& tracker, PendingFrame& pending) {
    std::vector<Box> boxes;
    for (const PendingFace& face : pending.faces) boxes.push_back(face.face.box);
    const std::vector<int> numbers = tracker.next(boxes, pending.cut);
    for (size_t i = 0; i < numbers.size(); ++i) pending.faces[i].face.track = numbers[i];
  }

  PendingFrame analyse(const Frame& frame, FaceFinder& finder, std::vector<Collector>& collectors) {
    PendingFrame pending;
    pending.index = frame.index;
    pending.time_s = frame.time_s;
    try {
      auto start = Clock::now();
      const std::vector<FoundFace> faces = finder.find(frame.image);
      judging_.times.add("faces", start);
      start = Clock::now();
      choose_faces(frame.image, faces, collectors, pending);
      judging_.times.add("crop", start);
    } catch (const InputError&) {
      throw;
    } catch (const std::exception& caught) {
      throw InputError(path_, "frame " + std::to_string(frame.index) + ": " + caught.what(), codes::internal);
    }
    return pending;
  }

  // Hands the faces that count to the networks, cut as each model wants them. A face that one of them cannot judge, none does.
  void choose_faces(const Image& image, const std::vector<FoundFace>& faces, std::vector<Collector>& collectors,
                    PendingFrame& pending) {
    std::vector<Box> boxes;
    for (const FoundFace& face : faces) boxes.push_back(face.box);
    const std::vector<bool> counts = faces_that_count(boxes);
    const double min_face = judging_.options.min_face;
    for (size_t i = 0; i < faces.size(); ++i) {
      if (!counts[i]) continue;
      if (face_size(boxes[i]) < min_face) {
        pending.rejected.push_back({boxes[i], too_small(boxes[i], min_face), codes::face_too_small});
        continue;
      }
      const std::string reason = submit(image, faces[i], collectors, pending);
      if (!reason.empty()) pending.rejected.push_back({boxes[i], reason, codes::face_rejected});
    }
  }

  // Gives a face to all networks; returns why one of them cannot judge it, empty if all can.
  std::string submit(const Image& image, const FoundFace& found, std::vector<Collector>& collectors, PendingFrame& pending) {
    std::vector<std::vector<float>> inputs;
    for (const auto& network : judging_.networks_) {
      const EngineSpec& spec = network->spec();
      inputs.emplace_back(3 * static_cast<size_t>(spec.image_size) * static_cast<size_t>(spec.image_size));
      const std::string reason = cut_face(image, found, spec.crop, spec.image_size, inputs.back().data());
      if (!reason.empty()) return reason;
    }
    PendingFace face;
    face.face.box = found.box;
    face.face.pose = found.pose;
    face.face.sharpness = sharpness_of(inputs[0].data(), judging_.spec().image_size);
    for (size_t m = 0; m < inputs.size(); ++m) face.scores.push_back(collectors[m].add(inputs[m]));
    if (judging_.shown) face.input = std::move(inputs[0]);
    pending.faces.push_back(std::move(face));
    return "";
  }

  std::vector<FrameScore> collect_scores() {
    std::vector<FrameScore> frames;
    while (std::optional<PendingFrame> pending = waiting_.take()) {
      check_cancelled();
      if (given_up_) throw InputError(path_, message("given_up"), codes::timeout);
      if (frames.empty() && judging_.shown) judging_.shown->begin(path_);
      FrameScore frame{pending->index, pending->time_s, {}, std::move(pending->rejected), pending->cut};
      std::vector<std::vector<float>> inputs;
      for (PendingFace& face : pending->faces) {
        frame.faces.push_back(scored(face));
        inputs.push_back(std::move(face.input));
      }
      if (judging_.shown) judging_.shown->add(path_, frame, pending->image, inputs, judging_.spec().image_size);
      frames.push_back(std::move(frame));
    }
    return frames;
  }

  FaceScore scored(const PendingFace& pending) const {
    FaceScore face = pending.face;
    for (const PendingScore& score : pending.scores) {
      face.scores.push_back(score.get());
      if (!std::isfinite(face.scores.back())) throw InputError(path_, message("model"), codes::model);
    }
    face.score = fused(face.scores, judging_.weights_);
    if (face.scores.size() == 1) face.scores.clear();
    return face;
  }

  Judging& judging_;
  const std::string& path_;
  const std::atomic<bool>& given_up_;
  const size_t window_;
  Channel<Frame> decoded_{kAhead};
  Channel<PendingFrame> waiting_;
  std::atomic<bool> stopped_{false};
};

Judging::Judging(NamedEngines engines, const Options& chosen)
    : options(chosen), face_models_(face_model_folder(chosen.face_models)) {
  for (auto& [name, engine] : engines) {
    const EngineSpec& spec = engine->spec();
    const std::string file = std::filesystem::path(spec.model_file).stem().string();
    judged_by_.push_back({name.empty() ? file : name, spec.threshold, spec.reliability});
    weights_.push_back(spec.reliability ? spec.reliability->weight : 1);
    networks_.push_back(std::make_unique<EngineThread>(std::move(engine), chosen.batch, chosen.jobs > 1, times));
  }
  if (!options.show_frames.empty()) shown.emplace(options.show_frames);
  idle_.push_back(FaceFinder(face_models_, chosen.min_face));  // complain at once, not when the first input arrives
}

double Judging::threshold() const {
  std::vector<double> own;
  for (const JudgedBy& by : judged_by_) own.push_back(by.threshold);
  return options.threshold.value_or(fused(own, weights_));
}

std::vector<std::string> Judging::warnings() const {
  std::vector<std::string> found;
  for (const auto& network : networks_) {
    for (const std::string& text : network->spec().warnings) {
      if (std::find(found.begin(), found.end(), text) == found.end()) found.push_back(text);
    }
  }
  return found;
}

FaceFinder Judging::borrow_finder() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!idle_.empty()) {
      FaceFinder found = std::move(idle_.back());
      idle_.pop_back();
      return found;
    }
  }
  return FaceFinder(face_models_, options.min_face);
}

void Judging::return_finder(FaceFinder finder) {
  const std::lock_guard<std::mutex> lock(mutex_);
  idle_.push_back(std::move(finder));
}

Judgement Judging::judge(const std::shared_ptr<Judging>& judging, const std::string& path) {
  const auto given_up = std::make_shared<std::atomic<bool>>(false);
  const double limit = judging->options.timeout_s;
  if (!(limit > 0)) return judging->judge(path, *given_up);
  // In a thread that nobody waits for once it is late: it may be stuck in a decoder. It keeps alive what it uses.
  std::promise<Judgement> promise;
  std::future<Judgement> judgement = promise.get_future();
  std::thread thread(
      [judging, path, given_up, promise = std::move(promise)]() mutable { promise.set_value(judging->judge(path, *given_up)); });
  if (judgement.wait_for(std::chrono::duration<double>(limit)) == std::future_status::ready) {
    thread.join();
    return judgement.get();
  }
  *given_up = true;
  thread.detach();
  Judgement result;
  result.input = path;
  result.threshold = judging->threshold();
  fail(result, message("timeout", {{"seconds", short_number(limit, 6)}}), codes::timeout);
  return result;
}

std::vector<FrameScore> Judging::scores_of(const std::string& path, const std::atomic<bool>& given_up, Notes& notes) {
  try {
    return OneInput(*this, path, given_up).run(notes);
  } catch (const FrameCountError& error) {  // the codec hides frames: spread the wanted ones over those that decode
    return OneInput(*this, path, given_up).run(notes, error.decoded());
  }
}

Judgement Judging::judge(const std::string& path, const std::atomic<bool>& given_up) {
  Judgement result;
  result.input = path;
  result.threshold = threshold();
  result.warnings = warnings();
  result.judged_by = judged_by_;
  result.exhibit = examine(path);
  Notes notes;
  try {
    result.frames = scores_of(path, given_up, notes);
    conclude(result);
  } catch (const InputError& error) {
    fail(result, error.path() == path ? error.reason() : std::string(error.what()), error.code());
  } catch (const std::exception& error) {
    fail(result, InputError(path, std::string("unexpected error: ") + error.what()).reason(), codes::internal);
  }
  result.stream = std::move(notes.stream);
  result.bits_per_pixel = notes.bits_per_pixel;
  result.warnings.insert(result.warnings.end(), notes.warnings.begin(), notes.warnings.end());
  if (changed_since(path, result.exhibit)) result.warnings.push_back(message("changed"));
  return result;
}

}  // namespace fpg::runtime
