// From inputs to judgements: the public face of the stages. The twin of fpg/runtime/pipeline.py.

#include <deque>
#include <future>

#include "fpg_runtime/runtime.h"
#include "judging.h"

namespace fpg::runtime {
namespace {

NamedEngines only(std::string name, std::unique_ptr<Engine> engine) {
  NamedEngines engines;
  engines.emplace_back(std::move(name), std::move(engine));
  return engines;
}

NamedEngines loaded(const std::string& reference, int threads) {
  const ResolvedModel model = resolve_model(reference);
  return only(model.name, load_engine(model.path, threads));
}

}  // namespace

VideoDetector::VideoDetector(const std::string& model, const Options& options)
    : VideoDetector(loaded(model, options.threads), options) {}

VideoDetector::VideoDetector(std::unique_ptr<Engine> engine, const Options& options)
    : VideoDetector(only("", std::move(engine)), options) {}

VideoDetector::VideoDetector(NamedEngines engines, const Options& options) {
  if (engines.empty()) throw UsageError("engines: expected at least one");
  if (options.frames < 0 || options.every < 1 || options.batch < 1 || options.jobs < 1 || options.threads < 0 ||
      !(options.timeout_s >= 0)) {
    throw UsageError("frames, every, batch, jobs, threads, timeout: expected positive numbers");
  }
  if (!(options.min_face >= 1)) throw UsageError("min_face: expected at least 1 pixel");
  if (options.decode != "whole" && options.decode != "needed")
    throw UsageError("decode: expected whole or needed, got " + options.decode);
  judging_ = std::make_shared<Judging>(std::move(engines), options);
}

VideoDetector::~VideoDetector() = default;

double VideoDetector::threshold() const { return judging_->threshold(); }
std::vector<std::string> VideoDetector::warnings() const { return judging_->warnings(); }
const EngineSpec& VideoDetector::spec() const { return judging_->spec(); }

Judgement VideoDetector::judge(const std::string& path) { return Judging::judge(judging_, path); }

void VideoDetector::judge_many(const std::vector<std::string>& paths, const std::function<void(Judgement)>& done) {
  const auto jobs = static_cast<size_t>(judging_->options.jobs);
  std::deque<std::future<Judgement>> running;
  const auto pop = [&] {
    Judgement judgement = running.front().get();
    running.pop_front();
    if (!cancelled()) done(std::move(judgement));
  };
  for (const std::string& path : paths) {
    if (cancelled()) break;
    running.push_back(std::async(jobs > 1 ? std::launch::async : std::launch::deferred, [this, &path] { return judge(path); }));
    if (running.size() == jobs) pop();
  }
  while (!running.empty()) pop();
}

void VideoDetector::finish() {
  if (judging_->shown) judging_->shown->finish();
}

void VideoDetector::cancel() { judging_->cancelled = true; }
bool VideoDetector::cancelled() const { return judging_->cancelled; }
std::vector<StageTime> VideoDetector::times() const { return judging_->times.summary(); }

}  // namespace fpg::runtime
