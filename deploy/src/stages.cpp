#include "stages.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

namespace fpg::runtime {
namespace {

constexpr size_t kKeptTimes = 20'000;  // durations kept per stage; the latest ones

double percentile(const std::vector<double>& sorted, double fraction) {
  const double at = fraction * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<size_t>(at);
  const double above = sorted[std::min(low + 1, sorted.size() - 1)];
  return sorted[low] + (at - static_cast<double>(low)) * (above - sorted[low]);
}

double fake_probability(const float* logits, double temperature) {
  const double difference = (static_cast<double>(logits[1]) - static_cast<double>(logits[0])) / temperature;
  return static_cast<double>(static_cast<float>(0.5 * (1 + std::tanh(0.5 * difference))));
}

}  // namespace

void StageTimes::add(const char* stage, Clock::time_point since) {
  const double seconds = std::chrono::duration<double>(Clock::now() - since).count();
  const std::lock_guard<std::mutex> lock(mutex_);
  auto found = std::find_if(stages_.begin(), stages_.end(), [&](const Stage& known) { return known.name == stage; });
  if (found == stages_.end()) found = stages_.insert(stages_.end(), Stage{stage, {}, 0, 0});
  found->seconds.push_back(seconds);
  if (found->seconds.size() > kKeptTimes) found->seconds.pop_front();
  ++found->number;
  found->total += seconds;
}

std::vector<StageTime> StageTimes::summary() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<StageTime> result;
  for (const Stage& stage : stages_) {
    std::vector<double> sorted(stage.seconds.begin(), stage.seconds.end());
    std::sort(sorted.begin(), sorted.end());
    const auto milliseconds = [&](double fraction) { return 1e3 * percentile(sorted, fraction); };
    result.push_back({stage.name, stage.number, stage.total, milliseconds(0.5), milliseconds(0.95), milliseconds(0.99)});
  }
  return result;
}

EngineThread::EngineThread(std::unique_ptr<Engine> engine, int size, bool merge, StageTimes& times)
    : engine_(std::move(engine)), merge_(merge), times_(times) {
  const auto bounds = engine_->spec().batch.value_or(std::array<int, 3>{1, 1, size});
  smallest_ = bounds[0];
  size_ = std::max(1, std::min(size, bounds[2]));
  thread_ = std::thread([this] { work(); });
}

EngineThread::~EngineThread() {
  waiting_.finish();
  thread_.join();
}

void EngineThread::work() {
  std::optional<FaceBatchPointer> following;
  while (true) {
    std::optional<FaceBatchPointer> first = following ? std::exchange(following, std::nullopt) : waiting_.take();
    if (!first) return;
    std::vector<FaceBatchPointer> batches = {*first};
    int64_t faces = (*first)->faces;
    while (merge_ && !following && (following = waiting_.take_if_there())) {
      if (faces + (*following)->faces > size_) break;
      faces += (*following)->faces;
      batches.push_back(*std::exchange(following, std::nullopt));
    }
    run(batches);
  }
}

void EngineThread::run(const std::vector<FaceBatchPointer>& batches) {
  try {
    std::vector<double> scores = scores_of(batches);
    auto from = scores.begin();
    for (const FaceBatchPointer& batch : batches) {
      batch->promise.set_value({from, from + batch->faces});
      from += batch->faces;
    }
  } catch (...) {
    if (batches.size() == 1) {
      batches[0]->promise.set_exception(std::current_exception());
      return;
    }
    for (const FaceBatchPointer& batch : batches) run({batch});  // the failure of one input must not cost the others their scores
  }
}

// The images of all batches in one piece, padded with zeros to `filled` of them.
const float* EngineThread::merged_images(const std::vector<FaceBatchPointer>& batches, int64_t faces, int64_t filled) {
  if (batches.size() == 1 && filled == faces) return batches[0]->images.data();
  const auto side = static_cast<size_t>(spec().image_size);
  merged_.clear();
  for (const FaceBatchPointer& batch : batches) merged_.insert(merged_.end(), batch->images.begin(), batch->images.end());
  merged_.resize(static_cast<size_t>(filled) * 3 * side * side);
  return merged_.data();
}

std::vector<double> EngineThread::scores_of(const std::vector<FaceBatchPointer>& batches) {
  int64_t faces = 0;
  for (const FaceBatchPointer& batch : batches) faces += batch->faces;
  const int64_t filled = std::max<int64_t>(faces, smallest_);
  const float* images = merged_images(batches, faces, filled);
  const size_t cells = static_cast<size_t>(spec().map_size[0]) * static_cast<size_t>(spec().map_size[1]);
  logits_.resize(2 * static_cast<size_t>(filled));
  maps_.resize(static_cast<size_t>(filled) * cells);
  const auto start = Clock::now();
  engine_->run(images, filled, logits_.data(), maps_.data());
  times_.add("network", start);
  std::vector<double> scores;
  const auto finite = [](float value) { return std::isfinite(value); };
  for (size_t i = 0; i < static_cast<size_t>(faces); ++i) {
    const bool whole = finite(logits_[2 * i]) && finite(logits_[2 * i + 1]) &&
                       std::all_of(maps_.data() + i * cells, maps_.data() + (i + 1) * cells, finite);
    scores.push_back(whole ? fake_probability(&logits_[2 * i], spec().temperature) : std::nan(""));
  }
  return scores;
}

PendingScore Collector::add(const std::vector<float>& input) {
  if (!batch_) batch_ = std::make_shared<FaceBatch>();
  batch_->images.insert(batch_->images.end(), input.begin(), input.end());
  PendingScore pending{batch_, static_cast<size_t>(batch_->faces++)};
  if (batch_->faces >= network_.size()) flush();
  return pending;
}

void Collector::end_frame() {
  if (batch_ && ++age_ >= window_) flush();
}

void Collector::flush() {
  if (batch_) network_.submit(std::exchange(batch_, nullptr));
  age_ = 0;
}

}  // namespace fpg::runtime
