#include "arguments.h"

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iostream>
#include <map>
#include <set>

namespace fpg::runtime {
namespace {

constexpr const char* kUsage =
    "usage: fpg-detect-cpp INPUT... [options]\n"
    "\n"
    "Judge whether the faces in videos and images were forged. Folders are searched for videos and images, recursively.\n"
    "\n"
    "  --model MODEL        a packaged model by name, an exported model (.xml, .engine) with its .spec.json, or a folder with "
    "one\n"
    "                       (default: starter); a model file before the inputs is taken as the model, too. Given several times,\n"
    "                       all judge, and their log-odds are averaged\n"
    "  --json FILE          write every score, and the record of the run, as JSON\n"
    "  --jsonl FILE         write a JSON line per input as it ends, each with the record of the run\n"
    "  --resume             continue a killed run: what --jsonl FILE (or --json FILE, before it is written) has is not judged\n"
    "                       again, unless the input has changed\n"
    "  --watch FOLDER       judge what is in a folder and what arrives there, until Ctrl-C; files are written then\n"
    "  --case NAME, --examiner NAME   case and examiner, for the record\n"
    "  --csv FILE           write a line per judged face, and one per input that could not be judged\n"
    "  --show-frames DIR    write the judged frames and crops as PNG files, and an index.json\n"
    "  --frames N|all       frames per video, evenly spaced (default: 32)\n"
    "  --every N            look at every N-th frame instead of a number of them\n"
    "  --decode HOW         whole: everything up to the last wanted frame, and damage before it is an error (default); needed:\n"
    "                       only what the wanted frames need, for long videos\n"
    "  --threshold P        probability from which the verdict is fake (default: the model's own)\n"
    "  --min-face PIXELS    smallest face that is searched for and judged: square root of its box's area (default: 32)\n"
    "  --batch N            faces per call of the network (default: 16)\n"
    "  --threads N          CPU threads of the network (default: all)\n"
    "  --timeout SECONDS    give up on an input after this time and continue with the others (default: 3600; 0: never)\n"
    "  --jobs N             inputs judged at the same time (default: 1)\n"
    "  --face-models DIR    MediaPipe's .tflite files (default: $FPG_FACE_MODELS, or where they are installed)\n"
    "  --stats              print how long each stage took, on the standard error\n"
    "  --help\n"
    "\n"
    "examples:\n"
    "  fpg-detect-cpp clip.mp4\n"
    "  fpg-detect-cpp --model model.xml folder/ --jobs 2 --json out.json --csv faces.csv --stats\n"
    "\n"
    "Exit codes: 0 success, 1 an input could not be judged (it is named, and the others are judged), 2 wrong usage or a model "
    "that\n"
    "cannot be used, 130 and 143 after Ctrl-C and SIGTERM.\n";

constexpr double kTimeout = 3600;  // hours of video are judged in less; what takes longer is stuck
constexpr long kLargest = 1'000'000, kLargestFace = 10'000;

double real(const std::string& name, const std::string& text, double most) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !(value >= 0 && value <= most)) {
    throw UsageError(name + ": expected a number from 0 to " + std::to_string(static_cast<long>(most)) + ", got " + text);
  }
  return value;
}

long number(const std::string& name, const std::string& text, long most) {
  char* end = nullptr;
  const long value = std::strtol(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || value < 1 || value > most) {
    throw UsageError(name + ": expected a whole number from 1 to " + std::to_string(most) + ", got " + text);
  }
  return value;
}

// Option -> what its value does.
using Setters = std::map<std::string, std::function<void(const std::string& name, const std::string& value)>>;

Setters setters_of(Arguments& a, bool& frames_given) {
  Options& o = a.options;
  const auto text = [](std::string& to) { return [&to](const std::string&, const std::string& value) { to = value; }; };
  const auto whole = [](int& to, long most) {
    return [&to, most](const std::string& name, const std::string& value) { to = static_cast<int>(number(name, value, most)); };
  };
  return {
      {"--model",
       [&a](const std::string&, const std::string& value) {
         if (value.empty()) throw UsageError("--model: expected a model, got an empty name");
         a.models.push_back(value);
       }},
      {"--frames",
       [&o, &frames_given](const std::string& name, const std::string& value) {
         frames_given = true;
         o.frames = value == "all" ? 0 : static_cast<int>(number(name, value, kLargest));
       }},
      {"--json", text(a.json)},
      {"--jsonl", text(a.jsonl)},
      {"--watch", text(a.watch)},
      {"--csv", text(a.csv)},
      {"--case", [&a](const std::string&, const std::string& value) { a.record.case_name = value; }},
      {"--examiner", [&a](const std::string&, const std::string& value) { a.record.examiner = value; }},
      {"--every", whole(o.every, kLargest)},
      {"--batch", whole(o.batch, kLargest)},
      {"--threads", whole(o.threads, 1024)},
      {"--jobs", whole(o.jobs, 1024)},
      {"--decode", text(o.decode)},
      {"--min-face", [&o](const std::string& name,
                          const std::string& value) { o.min_face = static_cast<double>(number(name, value, kLargestFace)); }},
      {"--show-frames", text(o.show_frames)},
      {"--face-models", text(o.face_models)},
      {"--threshold", [&o](const std::string& name, const std::string& value) { o.threshold = real(name, value, 1); }},
      {"--timeout", [&o](const std::string& name, const std::string& value) { o.timeout_s = real(name, value, 366 * 86400); }}};
}

// Sets the options and returns the other arguments.
std::vector<std::string> parse_options(int argc, char** argv, Arguments& result, bool& frames_given) {
  const Setters setters = setters_of(result, frames_given);
  std::vector<std::string> names;
  bool only_names = false;
  for (int i = 1; i < argc; ++i) {
    std::string name = argv[i];
    if (only_names || name.size() < 2 || name[0] != '-') {
      names.push_back(name);
    } else if (name == "--") {
      only_names = true;
    } else if (name == "--help" || name == "-h") {
      std::cout << kUsage;
      std::exit(0);
    } else if (name == "--stats") {
      result.stats = true;
    } else if (name == "--resume") {
      result.resume = true;
    } else {
      std::string value;
      if (const size_t at = name.find('='); at != std::string::npos) {
        value = name.substr(at + 1);
        name.resize(at);
      } else if (i + 1 < argc) {
        value = argv[++i];
      } else {
        throw UsageError(name + ": expected a value");
      }
      const auto setter = setters.find(name);
      if (setter == setters.end()) throw UsageError(name + ": there is no such option (--help lists them)");
      setter->second(name, value);
    }
  }
  return names;
}

void check_outputs(const Arguments& arguments) {
  std::set<std::string> outputs;
  for (const std::string& out : {arguments.json, arguments.jsonl, arguments.csv}) {
    std::error_code ignored;
    if (out.empty()) continue;
    if (std::filesystem::is_directory(out, ignored)) throw UsageError(out + " is a folder: name the file to write");
    if (!outputs.insert(out).second) throw UsageError("two outputs name the same file");
  }
}

}  // namespace

Arguments parse(int argc, char** argv) {
  Arguments result;
  result.options.timeout_s = kTimeout;
  bool frames_given = false;
  std::vector<std::string> names = parse_options(argc, argv, result, frames_given);
  if (result.models.empty() && !names.empty() && is_model_name(names[0])) {
    result.models.push_back(names[0]);
    names.erase(names.begin());
  }
  if (result.models.empty()) result.models.emplace_back();  // the starter
  if (names.empty() && result.watch.empty()) throw UsageError("expected at least one INPUT (--help)");
  if (result.resume && result.jsonl.empty() && result.json.empty())
    throw UsageError("--resume: name the --jsonl or --json that the run was writing");
  if (result.resume && !result.options.show_frames.empty())
    throw UsageError("--show-frames: not with --resume, whose earlier frames or nodes have their own index");
  if (result.options.every > 1) {
    if (frames_given && result.options.frames != 0) throw UsageError("--frames and --every: give one of them");
    result.options.frames = 0;
  }
  check_outputs(result);
  result.inputs = std::move(names);
  result.record.command = {argv, argv + argc};
  result.record.command[0] = result.record.program;
  result.record.started = now_utc();
  return result;
}

}  // namespace fpg::runtime
