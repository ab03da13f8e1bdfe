// fpg-detect-cpp: judges videos, images and folders of them, as fpg-detect does.

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <thread>

#include "arguments.h"
#include "fpg_runtime/results.h"
#include "inputs.h"
#include "screen.h"

namespace {

using namespace fpg::runtime;

constexpr const char* kUnfinished = ".unfinished.jsonl";  // suffix of the results of a run that has not ended
constexpr auto kPoll = std::chrono::milliseconds(500);    // between two scans of a watched folder

std::atomic<int> signalled{0};
extern "C" void on_signal(int number) { signalled = number; }

// One run: the detector, its inputs and its results.
class Session {
 public:
  Session(const Arguments& arguments, VideoDetector& detector, Results& results)
      : arguments_(arguments), detector_(detector), results_(results) {}

  // Judges all inputs, and what arrives in a watched folder. False if a signal ended it.
  bool judge(const Inputs& inputs);

  // Writes the requested files.
  void write(const Inputs& inputs);

  const Screen& screen() const { return screen_; }
  bool timed_out() const { return timed_out_; }

 private:
  void take(size_t place, const Judgement& judgement);
  void judge_all(const std::vector<size_t>& places, const std::vector<std::string>& files);
  void watch();

  const Arguments& arguments_;
  VideoDetector& detector_;
  Results& results_;
  Screen screen_;
  size_t next_ = 0;  // next free place
  bool timed_out_ = false;
};

void Session::take(size_t place, const Judgement& judgement) {
  results_.add(place, judgement);
  screen_.show(judgement);
  timed_out_ = timed_out_ || judgement.error_code == codes::timeout;
}

// Judges in a thread, so that signals take effect at once.
void Session::judge_all(const std::vector<size_t>& places, const std::vector<std::string>& files) {
  std::atomic<bool> done{false};
  std::exception_ptr error;
  size_t number = 0;
  std::thread worker([&] {
    try {
      detector_.judge_many(files, [&](const Judgement& judgement) {
        if (isatty(STDERR_FILENO)) std::fprintf(stderr, "\r\033[K");
        take(places[number++], judgement);
        if (isatty(STDERR_FILENO)) std::fprintf(stderr, "judging %zu/%zu ", number, files.size());
      });
    } catch (...) {
      error = std::current_exception();
    }
    done = true;
  });
  while (!done) {
    if (signalled != 0) detector_.cancel();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  worker.join();
  if (isatty(STDERR_FILENO)) std::fprintf(stderr, "\r\033[K");
  if (error) std::rethrow_exception(error);
}

bool Session::judge(const Inputs& inputs) {
  std::vector<size_t> places;
  std::vector<std::string> files;
  for (const std::string& file : inputs.files) {
    if (!results_.take_known(next_, file)) {
      places.push_back(next_);
      files.push_back(file);
    }
    ++next_;
  }
  const size_t known = results_.size();
  if (known > 0) {
    std::fprintf(stderr, "note: %zu input%s judged before: continuing with the others\n", known, known == 1 ? " was" : "s were");
  }
  std::puts(heading().c_str());
  std::fflush(stdout);
  judge_all(places, files);
  if (signalled == 0) {
    for (const InputError& error : inputs.errors) {
      const size_t place = next_++;
      if (results_.take_known(place, error.path())) continue;
      Judgement judgement;
      judgement.input = error.path();
      judgement.error = error.reason();
      judgement.error_code = error.code();
      judgement.threshold = detector_.threshold();
      judgement.warnings = detector_.warnings();
      judgement.exhibit = examine(judgement.input);
      take(place, judgement);
    }
    if (!arguments_.watch.empty()) watch();
  }
  return signalled == 0;
}

void Session::watch() {
  Arrivals arrivals(arguments_.watch);
  while (signalled == 0) {
    std::vector<size_t> places;
    std::vector<std::string> files;
    for (const std::string& path : arrivals.look()) {
      const size_t place = next_++;
      if (results_.take_known(place, path)) continue;
      places.push_back(place);
      files.push_back(path);
    }
    if (!files.empty()) judge_all(places, files);
    for (auto waited = kPoll * 0; files.empty() && signalled == 0 && waited < kPoll; waited += std::chrono::milliseconds(20))
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

void Session::write(const Inputs& inputs) {
  RunRecord record = arguments_.record;
  record.ended = now_utc();
  if (!arguments_.json.empty()) results_.write_json(arguments_.json, record, inputs.skipped);
  if (!arguments_.csv.empty()) results_.write_csv(arguments_.csv);
  detector_.finish();
}

std::unique_ptr<VideoDetector> load(Arguments& arguments) {
  try {
    std::vector<std::pair<std::string, std::unique_ptr<Engine>>> engines;
    for (const std::string& reference : arguments.models) {
      const ResolvedModel model = resolve_model(reference);
      engines.emplace_back(model.name, load_engine(model.path, arguments.options.threads));
      arguments.record.models.push_back({model, engines.back().second->spec()});
    }
    return std::make_unique<VideoDetector>(std::move(engines), arguments.options);
  } catch (const InputError& error) {
    throw UsageError(error.what());  // nothing can be judged, and no input is to blame
  }
}

// Where results are kept until the JSON is written, if there is no --jsonl; empty: in a temporary file.
std::string unfinished(const Arguments& arguments) {
  std::error_code ignored;
  if (arguments.json.empty() || !arguments.jsonl.empty()) return "";
  const bool plain =
      !std::filesystem::exists(arguments.json, ignored) || std::filesystem::is_regular_file(arguments.json, ignored);
  return plain ? arguments.json + kUnfinished : "";
}

// Without --jsonl, a temporary file will do if none can be created next to the JSON.
std::unique_ptr<Results> open_results(const Arguments& arguments, const std::string& next_to_json) {
  try {
    return std::make_unique<Results>(arguments.jsonl.empty() ? next_to_json : arguments.jsonl, arguments.options,
                                     arguments.record, arguments.resume);
  } catch (const InputError&) {
    if (!arguments.jsonl.empty() || arguments.resume) throw;
    return std::make_unique<Results>("", arguments.options, arguments.record);
  }
}

int run(int argc, char** argv) {
  Arguments arguments = parse(argc, argv);
  const Inputs inputs = expand(arguments.inputs);
  const std::unique_ptr<VideoDetector> detector = load(arguments);
  for (const auto& [model, spec] : arguments.record.models) {
    for (const std::string& line : introduce(spec, model.name, arguments.options.threshold)) std::puts(one_line(line).c_str());
  }
  std::fflush(stdout);
  const std::string next_to_json = unfinished(arguments);
  const std::unique_ptr<Results> results = open_results(arguments, next_to_json);
  Session session(arguments, *detector, *results);
  const auto start = std::chrono::steady_clock::now();
  const bool whole = session.judge(inputs);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (!whole && arguments.watch.empty()) {
    std::fprintf(stderr, "interrupted\n");
    return 128 + signalled;
  }
  session.screen().summary(results->levels());
  std::string not_written;
  try {
    session.write(inputs);
    if (!next_to_json.empty()) std::filesystem::remove(next_to_json);
  } catch (const InputError& error) {
    not_written = error.what();  // verdicts are shown all the same
  }
  for (const std::string& note : inputs.notes) std::fprintf(stderr, "note: %s\n", one_line(note).c_str());
  if (arguments.stats) session.screen().stats(detector->times(), seconds);
  if (!not_written.empty()) std::fprintf(stderr, "error: %s\n", one_line(not_written).c_str());
  if (!whole) std::fprintf(stderr, "interrupted\n");  // the normal end of --watch
  const int code = !whole ? 128 + signalled : results->failed() || !not_written.empty() ? 1 : 0;
  if (session.timed_out()) {
    std::fflush(nullptr);
    std::_Exit(code);  // a stuck thread may use what destructors would free
  }
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  std::signal(SIGPIPE, SIG_DFL);
  try {
    return run(argc, argv);
  } catch (const UsageError& error) {
    std::fprintf(stderr, "error: %s\n", one_line(error.what()).c_str());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", one_line(error.what()).c_str());
    return 1;
  }
}
