// Stages that run at the same time: the network, which the faces of many frames share, and how long each stage takes. The twin of
// fpg/runtime/stages.py.
#pragma once

#include <chrono>
#include <deque>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "channel.h"
#include "fpg_runtime/runtime.h"

namespace fpg::runtime {

using Clock = std::chrono::steady_clock;

// Durations by stage; may be shared by threads.
class StageTimes {
 public:
  void add(const char* stage, Clock::time_point since);

  // By stage, in the order in which they first ended; percentiles over the latest durations.
  std::vector<StageTime> summary() const;

 private:
  struct Stage {
    std::string name;
    std::deque<double> seconds;
    int64_t number;
    double total;
  };
  mutable std::mutex mutex_;
  std::vector<Stage> stages_;
};

// Faces that go to the network together.
struct FaceBatch {
  std::vector<float> images;
  int64_t faces = 0;
  std::promise<std::vector<double>> promise;
  std::shared_future<std::vector<double>> scores{promise.get_future().share()};
};

using FaceBatchPointer = std::shared_ptr<FaceBatch>;

// The score of a face that was handed to the network: its probability of fake.
struct PendingScore {
  FaceBatchPointer batch;
  size_t index = 0;

  // Waits for the network; NaN where its output is not finite. Throws what the engine throws.
  double get() const { return batch->scores.get()[index]; }
};

// An engine in a thread of its own. With `merge`, batches that wait at the same time go to it in one call as far as they fit.
class EngineThread {
 public:
  // size: faces per call; bounded by the engine's largest batch.
  EngineThread(std::unique_ptr<Engine> engine, int size, bool merge, StageTimes& times);
  ~EngineThread();
  EngineThread(const EngineThread&) = delete;
  EngineThread& operator=(const EngineThread&) = delete;

  const EngineSpec& spec() const { return engine_->spec(); }
  int64_t size() const { return size_; }
  void submit(FaceBatchPointer batch) { waiting_.put(std::move(batch)); }

 private:
  void work();
  void run(const std::vector<FaceBatchPointer>& batches);
  std::vector<double> scores_of(const std::vector<FaceBatchPointer>& batches);
  const float* merged_images(const std::vector<FaceBatchPointer>& batches, int64_t faces, int64_t filled);

  std::unique_ptr<Engine> engine_;
  bool merge_;
  StageTimes& times_;
  int64_t smallest_ = 1, size_ = 1;
  Channel<FaceBatchPointer> waiting_{2};
  std::vector<float> merged_, logits_, maps_;
  std::thread thread_;
};

// Puts the faces of consecutive frames of one input into batches; a batch is also sent when `window` frames have passed since its
// first face.
class Collector {
 public:
  Collector(EngineThread& network, int64_t window) : network_(network), window_(window) {}

  PendingScore add(const std::vector<float>& input);
  void end_frame();
  void flush();

 private:
  EngineThread& network_;
  int64_t window_;
  FaceBatchPointer batch_;
  int64_t age_ = 0;
};

}  // namespace fpg::runtime
