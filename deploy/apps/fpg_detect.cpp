// fpg-detect-cpp: judge videos, images and folders of them, as fpg-detect does.

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <set>
#include <thread>

#include "fpg_runtime/runtime.h"
#include "tables.h"

namespace {

using namespace fpg::runtime;

constexpr const char* kUsage =
    "usage: fpg-detect-cpp INPUT... [options]\n"
    "\n"
    "Judge whether the faces in videos and images were forged. Folders are searched for videos and images, recursively.\n"
    "\n"
    "  --model MODEL        a packaged model by name, an exported model (.xml, .engine) with its .spec.json, or a folder with "
    "one\n"
    "                       (default: starter); a model file in front of the inputs is taken for the model, too. Given several "
    "times,\n"
    "                       all judge, and their log-odds are averaged\n"
    "  --json FILE          write every score, and the record of the run, as JSON\n"
    "  --jsonl FILE         write a JSON line per input as it ends, each with the record of the run\n"
    "  --case NAME, --examiner NAME   what the record is for, and who examined\n"
    "  --csv FILE           write a line per judged face, and one per input that could not be judged\n"
    "  --show-frames DIR    write the frames and crops that were judged as PNG, upright as judged, and an index.json\n"
    "  --frames N|all       frames per video, evenly spaced (default: 32)\n"
    "  --every N            look at every N-th frame instead of a number of them\n"
    "  --decode HOW         whole: all up to the last wanted frame, and damage before it is an error (default); needed: only "
    "what\n"
    "                       the wanted frames need, for long videos\n"
    "  --threshold P        probability from which the verdict is fake (default: the model's own)\n"
    "  --min-face PIXELS    smallest face that is looked for and judged: root of the area of its box (default: 32)\n"
    "  --batch N            faces per call of the network (default: 16)\n"
    "  --threads N          CPU threads of the network (default: all)\n"
    "  --timeout SECONDS    give an input up after so long and go on with the others (default: 3600; 0: never)\n"
    "  --jobs N             inputs judged at the same time (default: 1)\n"
    "  --face-models DIR    MediaPipe's .tflite files (default: $FPG_FACE_MODELS, or where they were installed)\n"
    "  --stats              say at the end how long each stage took, on the standard error\n"
    "  --help\n"
    "\n"
    "examples:\n"
    "  fpg-detect-cpp clip.mp4\n"
    "  fpg-detect-cpp --model model.xml folder/ --jobs 2 --json out.json --csv faces.csv --stats\n"
    "\n"
    "Exit codes: 0 all done, 1 an input could not be judged (it is named, and the others are judged), 2 nothing could be: wrong "
    "usage,\n"
    "or a model that cannot be used, 130 and 143 after Ctrl-C and SIGTERM.\n";

constexpr double kTimeout = 3600;  // hours of video are judged in less; what takes longer is stuck

std::atomic<int> signalled{0};
extern "C" void on_signal(int number) { signalled = number; }

double real(const std::string& name, const std::string& text, double most) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !(value >= 0 && value <= most)) {
    throw UsageError(name + ": expected a number from 0 to " + std::to_string(static_cast<long>(most)) + ", got " + text);
  }
  return value;
}

struct Arguments {
  std::vector<std::string> models;
  std::vector<std::string> inputs;
  std::string json, jsonl, csv;
  RunRecord record;
  bool stats = false;
  Options options;
};

long number(const std::string& name, const std::string& text, long most) {
  char* end = nullptr;
  const long value = std::strtol(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || value < 1 || value > most) {
    throw UsageError(name + ": expected a whole number from 1 to " + std::to_string(most) + ", got " + text);
  }
  return value;
}

Arguments parse(int argc, char** argv) {
  Arguments result;
  result.options.timeout_s = kTimeout;
  bool frames_given = false, only_names = false;
  std::vector<std::string> names;
  for (int i = 1; i < argc; ++i) {
    std::string name = argv[i];
    if (only_names || name.size() < 2 || name[0] != '-') {
      names.push_back(name);
      continue;
    }
    if (name == "--") {
      only_names = true;
      continue;
    }
    if (name == "--help" || name == "-h") {
      std::cout << kUsage;
      std::exit(0);
    }
    if (name == "--stats") {
      result.stats = true;
      continue;
    }
    std::string value;
    if (const size_t at = name.find('='); at != std::string::npos) {
      value = name.substr(at + 1);
      name.resize(at);
    } else if (i + 1 < argc) {
      value = argv[++i];
    } else {
      throw UsageError(name + ": expected a value");
    }
    Options& o = result.options;
    if (name == "--model") {
      if (value.empty()) throw UsageError("--model: expected a model, got an empty name");
      result.models.push_back(value);
    } else if (name == "--json") {
      result.json = value;
    } else if (name == "--jsonl") {
      result.jsonl = value;
    } else if (name == "--case") {
      result.record.case_name = value;
    } else if (name == "--examiner") {
      result.record.examiner = value;
    } else if (name == "--csv") {
      result.csv = value;
    } else if (name == "--frames") {
      frames_given = true;
      o.frames = value == "all" ? 0 : static_cast<int>(number(name, value, 1'000'000));
    } else if (name == "--every") {
      o.every = static_cast<int>(number(name, value, 1'000'000));
    } else if (name == "--batch") {
      o.batch = static_cast<int>(number(name, value, 1'000'000));
    } else if (name == "--threads") {
      o.threads = static_cast<int>(number(name, value, 1024));
    } else if (name == "--jobs") {
      o.jobs = static_cast<int>(number(name, value, 1024));
    } else if (name == "--decode") {
      o.decode = value;
    } else if (name == "--min-face") {
      o.min_face = static_cast<double>(number(name, value, 10'000));
    } else if (name == "--show-frames") {
      o.show_frames = value;
    } else if (name == "--face-models") {
      o.face_models = value;
    } else if (name == "--threshold") {
      o.threshold = real(name, value, 1);
    } else if (name == "--timeout") {
      o.timeout_s = real(name, value, 366 * 86400);
    } else {
      throw UsageError(name + ": there is no such option (--help lists them)");
    }
  }
  if (result.models.empty() && !names.empty() && is_model_name(names[0])) {
    result.models.push_back(names[0]);
    names.erase(names.begin());
  }
  if (result.models.empty()) result.models.emplace_back();  // the starter
  if (names.empty()) throw UsageError("expected at least one INPUT (--help)");
  if (result.options.every > 1) {
    if (frames_given && result.options.frames != 0) throw UsageError("--frames and --every: give one of them");
    result.options.frames = 0;
  }
  result.inputs = names;
  std::set<std::string> outputs;
  for (const std::string& out : {result.json, result.jsonl, result.csv}) {
    std::error_code ignored;
    if (out.empty()) continue;
    if (std::filesystem::is_directory(out, ignored)) throw UsageError(out + " is a folder: name the file to write");
    if (!outputs.insert(out).second) throw UsageError("two outputs name the same file");
  }
  result.record.command = {argv, argv + argc};
  result.record.command[0] = result.record.program;
  result.record.started = now_utc();
  return result;
}

bool is_url(const std::string& name) {
  const size_t at = name.find("://");
  return at != std::string::npos && at > 0 && std::isalpha(static_cast<unsigned char>(name[0])) &&
         std::all_of(name.begin(), name.begin() + static_cast<long>(at),
                     [](unsigned char c) { return std::isalnum(c) || c == '+' || c == '.' || c == '-'; });
}

// What there is to judge, each file once, and what folders hold besides.
struct Inputs {
  std::vector<std::string> files;
  std::vector<InputError> errors;
  std::vector<Skipped> skipped;
  std::vector<std::string> notes;
};

Inputs expand(const std::vector<std::string>& inputs) {
  Inputs result;
  std::set<std::string> known;
  const auto add = [&](const std::string& file) {
    if (known.insert(file).second) result.files.push_back(file);
  };
  for (const std::string& name : inputs) {
    if (name.empty()) throw UsageError("INPUT: expected a file or folder, got an empty name");
    std::error_code error;
    if (is_url(name)) {
      result.errors.emplace_back(name, "is a URL, and this program opens none", codes::refused);
    } else if (!std::filesystem::is_directory(name, error)) {
      add(name);
    } else {
      try {
        const Walk found = walk_folder(name);
        if (found.media.empty() && found.unusable.empty())
          result.errors.emplace_back(name, "the folder holds no videos or images", codes::empty);
        std::for_each(found.media.begin(), found.media.end(), add);
        result.errors.insert(result.errors.end(), found.unusable.begin(), found.unusable.end());
        result.skipped.insert(result.skipped.end(), found.skipped.begin(), found.skipped.end());
        if (const std::string text = found.summary(); !text.empty()) result.notes.push_back(name + ": " + text);
      } catch (const InputError& unreadable) {
        result.errors.push_back(unreadable);
      }
    }
  }
  return result;
}

// Takes results as they come: shows a line, writes a JSON line that the end of the program does not take away.
class Taken {
 public:
  explicit Taken(const Arguments& arguments) : arguments_(arguments) {
    if (arguments.jsonl.empty()) return;
    std::error_code ignored;
    const std::filesystem::path folder = std::filesystem::path(arguments.jsonl).parent_path();
    if (!folder.empty()) std::filesystem::create_directories(folder, ignored);
    lines_ = std::fopen(arguments.jsonl.c_str(), "w");
    if (lines_ == nullptr) fail();
  }
  ~Taken() {
    if (lines_ != nullptr) std::fclose(lines_);
  }
  Taken(const Taken&) = delete;
  Taken& operator=(const Taken&) = delete;

  void add(Judgement judgement) {
    show(judgement);
    if (lines_ != nullptr) {
      RunRecord record = arguments_.record;
      record.ended = now_utc();
      const std::string line = to_line(judgement, arguments_.options, record);
      if (std::fwrite(line.data(), 1, line.size(), lines_) != line.size() || std::fflush(lines_) != 0) fail();
    }
    results.push_back(std::move(judgement));
  }

  std::vector<Judgement> results;

 private:
  [[noreturn]] void fail() const {
    throw InputError(arguments_.jsonl, std::string("cannot be written: ") + std::strerror(errno), codes::not_written);
  }

  const Arguments& arguments_;
  std::FILE* lines_ = nullptr;
};

// Judges in a thread, so that signals are seen at once.
void judge_all(VideoDetector& detector, const std::vector<std::string>& files, Taken& taken) {
  std::atomic<bool> done{false};
  std::exception_ptr error;
  std::thread worker([&] {
    try {
      detector.judge_many(files, [&](Judgement judgement) {
        if (isatty(STDERR_FILENO)) std::fprintf(stderr, "\r\033[K");
        taken.add(std::move(judgement));
        if (isatty(STDERR_FILENO)) std::fprintf(stderr, "judging %zu/%zu ", taken.results.size(), files.size());
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

int run(int argc, char** argv) {
  Arguments arguments = parse(argc, argv);
  const Inputs inputs = expand(arguments.inputs);
  std::vector<UsedModel>& models = arguments.record.models;
  std::unique_ptr<VideoDetector> loaded;
  try {
    std::vector<std::pair<std::string, std::unique_ptr<Engine>>> engines;
    for (const std::string& reference : arguments.models) {
      const Model model = resolve_model(reference);
      engines.emplace_back(model.name, load_engine(model.path, arguments.options.threads));
      models.push_back({model, engines.back().second->spec()});
    }
    loaded = std::make_unique<VideoDetector>(std::move(engines), arguments.options);
  } catch (const InputError& error) {
    throw UsageError(error.what());  // nothing can be judged: that is no fault of an input
  }
  VideoDetector& detector = *loaded;
  for (const auto& [model, spec] : models) {
    for (const std::string& line : introduce(spec, model.name, arguments.options.threshold)) std::puts(one_line(line).c_str());
  }
  std::fflush(stdout);
  Taken taken(arguments);
  std::puts("score  verdict  frames  input");
  std::fflush(stdout);
  const auto start = std::chrono::steady_clock::now();
  judge_all(detector, inputs.files, taken);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (signalled != 0) {
    std::fprintf(stderr, "interrupted\n");
    return 128 + signalled;
  }
  for (const InputError& error : inputs.errors) {
    Judgement judgement;
    judgement.input = error.path();
    judgement.error = error.reason();
    judgement.error_code = error.code();
    judgement.threshold = detector.threshold();
    judgement.warnings = detector.warnings();
    judgement.exhibit = examine(judgement.input);
    taken.add(std::move(judgement));
  }
  const std::vector<Judgement>& results = taken.results;
  arguments.record.ended = now_utc();
  std::string lost;
  try {
    if (!arguments.json.empty())
      write_atomically(arguments.json, to_json(results, arguments.options, arguments.record, inputs.skipped) + "\n");
    if (!arguments.csv.empty()) write_atomically(arguments.csv, csv_of(results));
    detector.finish();
  } catch (const InputError& error) {
    lost = error.what();  // a file that cannot be written does not hide the verdicts
  }
  for (const std::string& note : inputs.notes) std::fprintf(stderr, "note: %s\n", one_line(note).c_str());
  if (arguments.stats) show_stats(results, detector.times(), seconds);
  if (!lost.empty()) std::fprintf(stderr, "error: %s\n", one_line(lost).c_str());
  const bool failed = std::any_of(results.begin(), results.end(), [](const Judgement& r) { return !r.error.empty(); });
  const int code = failed || !lost.empty() ? 1 : 0;
  if (std::any_of(results.begin(), results.end(), [](const Judgement& r) { return r.error_code == codes::timeout; })) {
    std::fflush(nullptr);
    std::_Exit(code);  // a thread that is stuck may use what destructors would take away
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
