// The stages of a judgement: decoding -> faces, tracks and crops -> network -> scores, all at the same time.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <thread>

#include "channel.h"
#include "crops.h"
#include "faces.h"
#include "findings.h"
#include "fpg_runtime/runtime.h"
#include "media.h"
#include "show.h"
#include "tracker.h"
#include "video.h"

namespace fpg::runtime {
namespace {

constexpr size_t kAhead = 4;           // decoded frames that may wait for the face detector
constexpr size_t kKeptTimes = 20'000;  // durations kept per stage; the latest ones

using Clock = std::chrono::steady_clock;

class Times {
 public:
  void add(const char* stage, Clock::time_point since) {
    const double seconds = std::chrono::duration<double>(Clock::now() - since).count();
    const std::lock_guard<std::mutex> lock(mutex_);
    auto found = std::find_if(stages_.begin(), stages_.end(), [&](const Kept& kept) { return kept.name == stage; });
    if (found == stages_.end()) found = stages_.insert(stages_.end(), Kept{stage, {}, 0, 0});
    found->seconds.push_back(seconds);
    if (found->seconds.size() > kKeptTimes) found->seconds.pop_front();
    ++found->number;
    found->total += seconds;
  }

  std::vector<StageTime> summary() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::vector<StageTime> result;
    for (const Kept& kept : stages_) {
      std::vector<double> sorted(kept.seconds.begin(), kept.seconds.end());
      std::sort(sorted.begin(), sorted.end());
      const auto percentile = [&](double share) {
        const double at = share * static_cast<double>(sorted.size() - 1);
        const auto low = static_cast<size_t>(at);
        const double above = sorted[std::min(low + 1, sorted.size() - 1)];
        return 1e3 * (sorted[low] + (at - static_cast<double>(low)) * (above - sorted[low]));
      };
      result.push_back({kept.name, kept.number, kept.total, percentile(0.5), percentile(0.95), percentile(0.99)});
    }
    return result;
  }

 private:
  struct Kept {
    std::string name;
    std::deque<double> seconds;
    int64_t number;
    double total;
  };
  mutable std::mutex mutex_;
  std::vector<Kept> stages_;
};

// Faces that go to the network together.
struct Batch {
  std::vector<float> images;
  int64_t faces = 0;
  std::promise<std::vector<double>> promise;
  std::shared_future<std::vector<double>> scores{promise.get_future().share()};
};

using BatchPointer = std::shared_ptr<Batch>;

double fake_probability(const float* logits, double temperature) {
  const double difference = (static_cast<double>(logits[1]) - static_cast<double>(logits[0])) / temperature;
  return static_cast<double>(static_cast<float>(0.5 * (1 + std::tanh(0.5 * difference))));
}

// The engine in a thread of its own; with `joins`, batches that wait at the same time go to it in one call as far as they fit.
class Network {
 public:
  Network(std::unique_ptr<Engine> engine, int size, bool joins, Times& times)
      : engine_(std::move(engine)), joins_(joins), times_(times) {
    const auto bounds = engine_->spec().batch.value_or(std::array<int, 3>{1, 1, size});
    smallest_ = bounds[0];
    size_ = std::max(1, std::min(size, bounds[2]));
    thread_ = std::thread([this] { work(); });
  }
  ~Network() {
    waiting_.finish();
    thread_.join();
  }
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  const EngineSpec& spec() const { return engine_->spec(); }
  int64_t size() const { return size_; }
  void take(BatchPointer batch) { waiting_.put(std::move(batch)); }

 private:
  void work() {
    std::optional<BatchPointer> following;
    while (true) {
      std::optional<BatchPointer> first = following ? std::exchange(following, std::nullopt) : waiting_.take();
      if (!first) return;
      std::vector<BatchPointer> batches = {*first};
      int64_t faces = (*first)->faces;
      while (joins_ && !following && (following = waiting_.take_if_there())) {
        if (faces + (*following)->faces > size_) break;
        faces += (*following)->faces;
        batches.push_back(*std::exchange(following, std::nullopt));
      }
      run(batches);
    }
  }

  void run(const std::vector<BatchPointer>& batches) {
    try {
      std::vector<double> scores = ask(batches);
      auto from = scores.begin();
      for (const BatchPointer& batch : batches) {
        batch->promise.set_value({from, from + batch->faces});
        from += batch->faces;
      }
    } catch (...) {
      if (batches.size() == 1) {
        batches[0]->promise.set_exception(std::current_exception());
        return;
      }
      for (const BatchPointer& batch : batches) run({batch});  // one input's failure is not the others'
    }
  }

  std::vector<double> ask(const std::vector<BatchPointer>& batches) {
    const EngineSpec& what = spec();
    const size_t face = 3 * static_cast<size_t>(what.image_size) * static_cast<size_t>(what.image_size);
    int64_t faces = 0;
    for (const BatchPointer& batch : batches) faces += batch->faces;
    const float* images = batches[0]->images.data();
    const int64_t filled = std::max<int64_t>(faces, smallest_);
    if (batches.size() > 1 || filled > faces) {
      joined_.clear();
      for (const BatchPointer& batch : batches) joined_.insert(joined_.end(), batch->images.begin(), batch->images.end());
      joined_.resize(static_cast<size_t>(filled) * face);
      images = joined_.data();
    }
    logits_.resize(2 * static_cast<size_t>(filled));
    maps_.resize(static_cast<size_t>(filled) * static_cast<size_t>(what.map_size[0]) * static_cast<size_t>(what.map_size[1]));
    const auto start = Clock::now();
    engine_->run(images, filled, logits_.data(), maps_.data());
    times_.add("network", start);
    std::vector<double> scores;
    const size_t cells = maps_.size() / static_cast<size_t>(filled);
    const auto finite = [](float value) { return std::isfinite(value); };
    for (size_t i = 0; i < static_cast<size_t>(faces); ++i) {
      const bool whole = finite(logits_[2 * i]) && finite(logits_[2 * i + 1]) &&
                         std::all_of(maps_.data() + i * cells, maps_.data() + (i + 1) * cells, finite);
      scores.push_back(whole ? fake_probability(&logits_[2 * i], what.temperature) : std::nan(""));
    }
    return scores;
  }

  std::unique_ptr<Engine> engine_;
  bool joins_;
  Times& times_;
  int64_t smallest_ = 1, size_ = 1;
  Channel<BatchPointer> waiting_{2};
  std::vector<float> joined_, logits_, maps_;
  std::thread thread_;
};

// Puts the faces of consecutive frames of one input into batches; a batch is also sent when `window` frames have passed since its
// first.
class Collector {
 public:
  Collector(Network& network, int64_t window) : network_(network), window_(window) {}

  // Takes a face; where its score will be.
  std::pair<BatchPointer, size_t> add(const std::vector<float>& input) {
    if (!batch_) batch_ = std::make_shared<Batch>();
    batch_->images.insert(batch_->images.end(), input.begin(), input.end());
    return {batch_, static_cast<size_t>(batch_->faces++)};
  }

  void send_if_full() {
    if (batch_ && batch_->faces >= network_.size()) flush();
  }

  void frame_done() {
    if (batch_ && ++age_ >= window_) flush();
  }

  void flush() {
    if (batch_) network_.take(std::exchange(batch_, nullptr));
    age_ = 0;
  }

 private:
  Network& network_;
  int64_t window_;
  BatchPointer batch_;
  int64_t age_ = 0;
};

// What is said of a face below `min_face` pixels.
std::string too_small(const Box& box, double min_face) {
  char text[96];
  std::snprintf(text, sizeof text, "face too small to judge: %d px (at least %g are needed)", static_cast<int>(face_size(box)),
                min_face);
  return text;
}

struct Waiting {
  int64_t index = 0;
  double time_s = 0;
  std::vector<Box> boxes;
  std::vector<int> tracks;
  std::vector<double> sharpness;
  std::vector<std::array<double, 2>> poses;
  std::vector<std::vector<std::pair<BatchPointer, size_t>>> places;  // per face, one per model
  bool cut = false;
  std::vector<RejectedFace> rejected;
  Image image;                             // where it is to be shown,
  std::vector<std::vector<float>> inputs;  // and what the network was given
};

}  // namespace

struct VideoDetector::Impl {
  Options options;
  std::string models;
  Times times;
  std::vector<std::unique_ptr<Network>> networks;  // of the models, in their order
  std::vector<JudgedBy> judged_by;
  std::vector<double> weights;
  std::atomic<bool> cancelled{false};
  std::mutex mutex;
  std::vector<FaceFinder> idle;
  std::optional<ShownFrames> shown;

  Impl(std::vector<std::pair<std::string, std::unique_ptr<Engine>>> engines, const Options& chosen)
      : options(chosen), models(face_model_folder(chosen.face_models)) {
    for (auto& [name, engine] : engines) {
      const EngineSpec& spec = engine->spec();
      const std::string file = std::filesystem::path(spec.model_file).stem().string();
      judged_by.push_back({name.empty() ? file : name, spec.threshold, spec.reliability});
      weights.push_back(spec.reliability ? spec.reliability->weight : 1);
      networks.push_back(std::make_unique<Network>(std::move(engine), chosen.batch, chosen.jobs > 1, times));
    }
    if (!options.show_frames.empty()) shown.emplace(options.show_frames);
    idle.push_back(FaceFinder(models, chosen.min_face));  // complain at once, not when the first input arrives
  }

  FaceFinder finder() {
    {
      const std::lock_guard<std::mutex> lock(mutex);
      if (!idle.empty()) {
        FaceFinder found = std::move(idle.back());
        idle.pop_back();
        return found;
      }
    }
    return FaceFinder(models, options.min_face);
  }

  // From which a verdict is fake: what was asked for, else the models' own, fused.
  double threshold() const {
    std::vector<double> own;
    for (const JudgedBy& by : judged_by) own.push_back(by.threshold);
    return options.threshold.value_or(fused(own, weights));
  }

  // Of all models, each once.
  std::vector<std::string> warnings() const {
    std::vector<std::string> found;
    for (const auto& network : networks) {
      for (const std::string& text : network->spec().warnings) {
        if (std::find(found.begin(), found.end(), text) == found.end()) found.push_back(text);
      }
    }
    return found;
  }

  // Cuts a face as each model wants it and hands it to all of them; why one of them cannot judge it, or nothing.
  std::string ask(const Image& image, const FoundFace& face, std::vector<Collector>& collectors, Waiting& item) {
    std::vector<std::vector<float>> inputs;
    for (const auto& network : networks) {
      const EngineSpec& spec = network->spec();
      inputs.emplace_back(3 * static_cast<size_t>(spec.image_size) * static_cast<size_t>(spec.image_size));
      const std::string reason = cut_face(image, face, spec.crop, spec.image_size, inputs.back().data());
      if (!reason.empty()) return reason;
    }
    item.boxes.push_back(face.box);
    item.poses.push_back(face.pose);
    item.sharpness.push_back(sharpness_of(inputs[0].data(), networks[0]->spec().image_size));
    item.places.emplace_back();
    for (size_t m = 0; m < networks.size(); ++m) {
      item.places.back().push_back(collectors[m].add(inputs[m]));
      collectors[m].send_if_full();
    }
    if (shown) item.inputs.push_back(std::move(inputs[0]));
    return "";
  }

  // Frames to faces, tracks and crops; stops when nobody takes what it puts.
  void find_faces(const std::string& path, Channel<Frame>& decoded, Channel<Waiting>& waiting, FaceFinder& finder,
                  int64_t window) {
    std::vector<Collector> collectors;
    for (const auto& network : networks) collectors.emplace_back(*network, window);
    Tracker tracker;
    CutFinder cut;
    int64_t last = -1;
    std::exception_ptr error;
    try {
      while (std::optional<Frame> frame = decoded.take()) {
        if (frame->index <= last) {  // the reading began anew
          tracker = Tracker();
          cut = CutFinder();
        }
        last = frame->index;
        Waiting item;
        item.index = frame->index;
        item.time_s = frame->time_s;
        try {
          auto start = Clock::now();
          const std::vector<FoundFace> found = finder.find(frame->image);
          times.add("faces", start);
          start = Clock::now();
          double largest = 0;
          for (const FoundFace& face : found) largest = std::max(largest, area(face.box));
          for (const FoundFace& face : found) {
            if (!(area(face.box) >= kAreaShare * largest)) continue;
            if (face_size(face.box) < options.min_face) {
              item.rejected.push_back({face.box, too_small(face.box, options.min_face), codes::face_too_small});
              continue;
            }
            const std::string reason = ask(frame->image, face, collectors, item);
            if (!reason.empty()) item.rejected.push_back({face.box, reason, codes::face_rejected});
          }
          times.add("crop", start);
        } catch (const InputError&) {
          throw;
        } catch (const std::exception& caught) {
          throw InputError(path, "frame " + std::to_string(item.index) + ": " + caught.what(), codes::internal);
        }
        item.cut = cut(frame->image);
        item.tracks = tracker.next(item.boxes, item.cut);
        if (shown) item.image = std::move(frame->image);
        for (Collector& collector : collectors) collector.frame_done();
        if (!waiting.put(std::move(item))) return;
      }
    } catch (...) {
      error = std::current_exception();
    }
    for (Collector& collector : collectors) collector.flush();
    waiting.finish(error);
  }

  // `given_up`: nobody waits for the judgement any more.
  Judgement judge(const std::string& path, const std::atomic<bool>& given_up) {
    Judgement result;
    result.input = path;
    result.threshold = threshold();
    result.warnings = warnings();
    result.judged_by = judged_by;
    result.exhibit = examine(path);
    Notes notes;
    try {
      score(path, result.frames, notes, given_up);
      conclude(result);
    } catch (const InputError& error) {
      fail(result, error.path() == path ? error.reason() : std::string(error.what()), error.code());
    } catch (const std::exception& error) {
      fail(result, InputError(path, std::string("unexpected error: ") + error.what()).reason(), codes::internal);
    }
    result.stream = std::move(notes.stream);
    result.bits_per_pixel = notes.bits_per_pixel;
    result.warnings.insert(result.warnings.end(), notes.warnings.begin(), notes.warnings.end());
    if (changed_since(path, result.exhibit))
      result.warnings.push_back("was changed while it was judged: its hash and its score may be of different bytes");
    return result;
  }

  static void fail(Judgement& result, const std::string& reason, const std::string& code) {
    result.frames.clear();
    result.score.reset();
    result.verdict.clear();
    result.error = reason;
    result.error_code = code;
  }

  void score(const std::string& path, std::vector<FrameScore>& frames, Notes& notes, const std::atomic<bool>& given_up) {
    int64_t window = 0;
    for (const auto& network : networks) window = std::max(window, 2 * network->size());
    Channel<Frame> decoded(kAhead);
    Channel<Waiting> waiting(static_cast<size_t>(window));
    std::atomic<bool> left{false};
    FaceFinder faces = finder();
    std::thread decoder([&] {
      std::exception_ptr error;
      try {
        auto start = Clock::now();
        const auto take = [&](Frame frame) {
          times.add("decode", start);
          const bool goes_on = decoded.put(std::move(frame));
          start = Clock::now();
          return goes_on;
        };
        read_input(path, options, take, notes, [&] { return left || cancelled || given_up; });
      } catch (...) {
        error = std::current_exception();
      }
      decoded.finish(error);
    });
    std::thread finder_thread([&] { find_faces(path, decoded, waiting, faces, window); });
    std::exception_ptr error;
    try {
      while (std::optional<Waiting> item = waiting.take()) {
        if (cancelled) throw InputError(path, "was cancelled", codes::cancelled);
        if (given_up) throw InputError(path, "was given up", codes::timeout);
        if (frames.empty() || item->index <= frames.back().index) {
          frames.clear();  // the reading begins, or begins anew, as a codec hides frames
          if (shown) shown->begin(path);
        }
        FrameScore frame{item->index, item->time_s, {}, std::move(item->rejected), item->cut};
        for (size_t i = 0; i < item->boxes.size(); ++i) {
          FaceScore face{item->boxes[i], 0, item->tracks[i], {}, item->sharpness[i], item->poses[i]};
          for (const auto& [batch, place] : item->places[i]) {
            face.scores.push_back(batch->scores.get()[place]);
            if (!std::isfinite(face.scores.back())) throw InputError(path, "the model's answer is not finite", codes::model);
          }
          face.score = fused(face.scores, weights);
          if (face.scores.size() == 1) face.scores.clear();
          frame.faces.push_back(std::move(face));
        }
        if (shown) shown->add(path, frame, item->image, item->inputs, networks[0]->spec().image_size);
        frames.push_back(std::move(frame));
      }
    } catch (...) {
      error = std::current_exception();
    }
    left = true;
    decoded.cancel();
    waiting.cancel();
    decoder.join();
    finder_thread.join();
    {
      const std::lock_guard<std::mutex> lock(mutex);
      idle.push_back(std::move(faces));
    }
    if (error) std::rethrow_exception(error);
    if (cancelled) throw InputError(path, "was cancelled", codes::cancelled);
  }

  // Why no frame has a score; of faces that are too small the largest.
  static void nothing_judged(Judgement& result) {
    const std::string where = "in " + std::to_string(result.frames.size()) + " frame" + (result.frames.size() == 1 ? "" : "s");
    const RejectedFace* largest = nullptr;
    for (const FrameScore& frame : result.frames) {
      for (const RejectedFace& face : frame.rejected) {
        if (face.code != codes::face_too_small) {
          result.error = "no face that can be judged " + where + ": " + face.reason;
          result.error_code = codes::face_rejected;
          return;
        }
        if (largest == nullptr || face_size(face.box) > face_size(largest->box)) largest = &face;
      }
    }
    result.error = largest == nullptr ? "no face found " + where : largest->reason;
    result.error_code = largest == nullptr ? codes::no_face : codes::face_too_small;
  }

  static void conclude(Judgement& result) {
    if (result.frames.empty()) throw InputError(result.input, "no frame could be decoded", codes::no_frame);
    double sum = 0;
    int64_t with_face = 0;
    for (const FrameScore& frame : result.frames) {
      if (frame.faces.empty()) continue;
      double best = 0;
      for (const FaceScore& face : frame.faces) best = std::max(best, face.score);
      sum += best;
      ++with_face;
    }
    if (with_face == 0) return nothing_judged(result);
    result.score = sum / static_cast<double>(with_face);
    result.verdict = *result.score >= result.threshold ? "fake" : "real";
  }
};

namespace {

std::vector<std::pair<std::string, std::unique_ptr<Engine>>> one(std::string name, std::unique_ptr<Engine> engine) {
  std::vector<std::pair<std::string, std::unique_ptr<Engine>>> found;
  found.emplace_back(std::move(name), std::move(engine));
  return found;
}

std::vector<std::pair<std::string, std::unique_ptr<Engine>>> loaded(const std::string& reference, int threads) {
  const Model model = resolve_model(reference);
  return one(model.name, load_engine(model.path, threads));
}

}  // namespace

VideoDetector::VideoDetector(const std::string& model, const Options& options)
    : VideoDetector(loaded(model, options.threads), options) {}

VideoDetector::VideoDetector(std::unique_ptr<Engine> engine, const Options& options)
    : VideoDetector(one("", std::move(engine)), options) {}

VideoDetector::VideoDetector(std::vector<std::pair<std::string, std::unique_ptr<Engine>>> engines, const Options& options) {
  if (engines.empty()) throw UsageError("engines: expected at least one");
  if (options.frames < 0 || options.every < 1 || options.batch < 1 || options.jobs < 1 || options.threads < 0 ||
      !(options.timeout_s >= 0)) {
    throw UsageError("frames, every, batch, jobs, threads, timeout: expected positive numbers");
  }
  if (!(options.min_face >= 1)) throw UsageError("min_face: expected at least 1 pixel");
  if (options.decode != "whole" && options.decode != "needed")
    throw UsageError("decode: expected whole or needed, got " + options.decode);
  impl_ = std::make_shared<Impl>(std::move(engines), options);
}

VideoDetector::~VideoDetector() = default;

double VideoDetector::threshold() const { return impl_->threshold(); }
std::vector<std::string> VideoDetector::warnings() const { return impl_->warnings(); }

const EngineSpec& VideoDetector::spec() const { return impl_->networks[0]->spec(); }

Judgement VideoDetector::judge(const std::string& path) {
  const auto given_up = std::make_shared<std::atomic<bool>>(false);
  const double limit = impl_->options.timeout_s;
  if (!(limit > 0)) return impl_->judge(path, *given_up);
  // In a thread that nobody waits for once it is late: it may be stuck in a decoder. It keeps alive what it uses.
  std::promise<Judgement> promise;
  std::future<Judgement> judgement = promise.get_future();
  std::thread thread([impl = impl_, path, given_up, promise = std::move(promise)]() mutable {
    promise.set_value(impl->judge(path, *given_up));
  });
  if (judgement.wait_for(std::chrono::duration<double>(limit)) == std::future_status::ready) {
    thread.join();
    return judgement.get();
  }
  *given_up = true;
  thread.detach();
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "%g", limit);
  Judgement result;
  result.input = path;
  result.threshold = impl_->threshold();
  Impl::fail(result, std::string("was given up after ") + seconds + " s (--timeout)", codes::timeout);
  return result;
}

void VideoDetector::judge_many(const std::vector<std::string>& paths, const std::function<void(Judgement)>& done) {
  const auto jobs = static_cast<size_t>(impl_->options.jobs);
  if (jobs == 1) {
    for (const std::string& path : paths) {
      Judgement judgement = judge(path);
      if (cancelled()) return;
      done(std::move(judgement));
    }
    return;
  }
  std::deque<std::future<Judgement>> running;
  const auto pop = [&] {
    Judgement judgement = running.front().get();
    running.pop_front();
    if (!cancelled()) done(std::move(judgement));
  };
  for (const std::string& path : paths) {
    if (cancelled()) break;
    running.push_back(std::async(std::launch::async, [this, &path] { return judge(path); }));
    if (running.size() == jobs) pop();
  }
  while (!running.empty()) pop();
}

void VideoDetector::finish() {
  if (impl_->shown) impl_->shown->finish();
}

void VideoDetector::cancel() { impl_->cancelled = true; }
bool VideoDetector::cancelled() const { return impl_->cancelled; }
std::vector<StageTime> VideoDetector::times() const { return impl_->times.summary(); }

int64_t Judgement::frames_with_face() const {
  return std::count_if(frames.begin(), frames.end(), [](const FrameScore& frame) { return !frame.faces.empty(); });
}

}  // namespace fpg::runtime
