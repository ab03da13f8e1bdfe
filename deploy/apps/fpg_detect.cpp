// fpg-detect-cpp: judges videos, images and folders of them, as fpg-detect does.

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <thread>

#include "arguments.h"
#include "tables.h"

namespace {

using namespace fpg::runtime;

std::atomic<int> signalled{0};
extern "C" void on_signal(int number) { signalled = number; }

// Collects results as they come: prints a line and writes a JSON line at once, so that an aborted run keeps them.
class Results {
 public:
  explicit Results(const Arguments& arguments) : arguments_(arguments) {
    if (arguments.jsonl.empty()) return;
    std::error_code ignored;
    const std::filesystem::path folder = std::filesystem::path(arguments.jsonl).parent_path();
    if (!folder.empty()) std::filesystem::create_directories(folder, ignored);
    lines_ = std::fopen(arguments.jsonl.c_str(), "w");
    if (lines_ == nullptr) fail();
  }
  ~Results() {
    if (lines_ != nullptr) std::fclose(lines_);
  }
  Results(const Results&) = delete;
  Results& operator=(const Results&) = delete;

  void add(Judgement judgement) {
    show(judgement);
    if (lines_ != nullptr) {
      RunRecord record = arguments_.record;
      record.ended = now_utc();
      const std::string line = to_line(judgement, arguments_.options, record);
      if (std::fwrite(line.data(), 1, line.size(), lines_) != line.size() || std::fflush(lines_) != 0) fail();
    }
    all.push_back(std::move(judgement));
  }

  std::vector<Judgement> all;

 private:
  [[noreturn]] void fail() const {
    throw InputError(arguments_.jsonl, std::string("cannot be written: ") + std::strerror(errno), codes::not_written);
  }

  const Arguments& arguments_;
  std::FILE* lines_ = nullptr;
};

// Judges in a thread, so that signals take effect at once.
void judge_all(VideoDetector& detector, const std::vector<std::string>& files, Results& results) {
  std::atomic<bool> done{false};
  std::exception_ptr error;
  std::thread worker([&] {
    try {
      detector.judge_many(files, [&](Judgement judgement) {
        if (isatty(STDERR_FILENO)) std::fprintf(stderr, "\r\033[K");
        results.add(std::move(judgement));
        if (isatty(STDERR_FILENO)) std::fprintf(stderr, "judging %zu/%zu ", results.all.size(), files.size());
      });
    } catch (...) {
      error = std::current_exception();
    }
    done = true;
  });
  while (!done) {
    if (signalled != 0) detector.cancel();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  worker.join();
  if (isatty(STDERR_FILENO)) std::fprintf(stderr, "\r\033[K");
  if (error) std::rethrow_exception(error);
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

void print_head(const Arguments& arguments) {
  for (const auto& [model, spec] : arguments.record.models) {
    for (const std::string& line : introduce(spec, model.name, arguments.options.threshold)) std::puts(one_line(line).c_str());
  }
  std::puts("score  verdict  frames  input");
  std::fflush(stdout);
}

// The judgement of an input that was never opened.
Judgement failed(const VideoDetector& detector, const InputError& error) {
  Judgement judgement;
  judgement.input = error.path();
  judgement.error = error.reason();
  judgement.error_code = error.code();
  judgement.threshold = detector.threshold();
  judgement.warnings = detector.warnings();
  judgement.exhibit = examine(judgement.input);
  return judgement;
}

// Writes the files of a whole run; returns why one could not be written, or an empty text: verdicts are shown all the same.
std::string write_files(const Arguments& arguments, const Inputs& inputs, const std::vector<Judgement>& results,
                        VideoDetector& detector) {
  try {
    if (!arguments.json.empty())
      write_atomically(arguments.json, to_json(results, arguments.options, arguments.record, inputs.skipped) + "\n");
    if (!arguments.csv.empty()) write_atomically(arguments.csv, csv_of(results));
    detector.finish();
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

int run(int argc, char** argv) {
  Arguments arguments = parse_arguments(argc, argv);
  const Inputs inputs = expand(arguments.inputs);
  const std::unique_ptr<VideoDetector> detector = load(arguments);
  Results results(arguments);
  print_head(arguments);
  const auto start = std::chrono::steady_clock::now();
  judge_all(*detector, inputs.files, results);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (signalled != 0) {
    std::fprintf(stderr, "interrupted\n");
    return 128 + signalled;
  }
  for (const InputError& error : inputs.errors) results.add(failed(*detector, error));
  arguments.record.ended = now_utc();
  const std::string not_written = write_files(arguments, inputs, results.all, *detector);
  for (const std::string& note : inputs.notes) std::fprintf(stderr, "note: %s\n", one_line(note).c_str());
  if (arguments.stats) show_stats(results.all, detector->times(), seconds);
  if (!not_written.empty()) std::fprintf(stderr, "error: %s\n", one_line(not_written).c_str());
  const auto any = [&](const auto& is) { return std::any_of(results.all.begin(), results.all.end(), is); };
  const int code = any([](const Judgement& r) { return !r.error.empty(); }) || !not_written.empty() ? 1 : 0;
  if (any([](const Judgement& r) { return r.error_code == codes::timeout; })) {
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
