#include "arguments.h"

#include <cstdlib>
#include <filesystem>
#include <iostream>
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
    "                       (default: starter); a model file in front of the inputs is taken for the model, too. Given several "
    "times,\n"
    "                       all judge, and their log-odds are averaged\n"
    "  --json FILE          write every score, and the record of the run, as JSON\n"
    "  --jsonl FILE         write a JSON line per input as it ends, each with the record of the run\n"
    "  --resume             go on where a run that was killed ended: what --jsonl FILE (or --json FILE, before it is written) "
    "has\n"
    "                       is not judged again, unless the input has changed\n"
    "  --watch FOLDER       judge what is in a folder and what arrives there, until Ctrl-C; files are written then\n"
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

}  // namespace

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
    if (name == "--stats" || name == "--resume") {
      (name == "--stats" ? result.stats : result.resume) = true;
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
    } else if (name == "--watch") {
      result.watch = value;
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
  if (names.empty() && result.watch.empty()) throw UsageError("expected at least one INPUT (--help)");
  if (result.resume && result.jsonl.empty() && result.json.empty())
    throw UsageError("--resume: name the --jsonl or --json that the run was writing");
  if (result.resume && !result.options.show_frames.empty())
    throw UsageError("--show-frames: not with --resume, whose earlier frames or nodes have an index of their own");
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

}  // namespace fpg::runtime
