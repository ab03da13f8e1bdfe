#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>

#include "fpg_runtime/fpg_runtime.h"
#include "fpg_runtime/runtime.h"

struct fpg_detector {
  fpg::runtime::VideoDetector detector;
};

namespace {

char* copied(const std::string& text) {
  auto* copy = static_cast<char*>(std::malloc(text.size() + 1));
  if (copy != nullptr) std::memcpy(copy, text.c_str(), text.size() + 1);
  return copy;
}

fpg::runtime::Options options_of(const char* text) {
  fpg::runtime::Options options;
  if (text == nullptr) return options;
  const auto value = nlohmann::json::parse(text);
  for (const auto& [name, given] : value.items()) {
    if (name == "frames") {
      options.frames = given.get<int>();
    } else if (name == "every") {
      options.every = given.get<int>();
    } else if (name == "batch") {
      options.batch = given.get<int>();
    } else if (name == "threads") {
      options.threads = given.get<int>();
    } else if (name == "threshold") {
      options.threshold = given.get<double>();
    } else if (name == "timeout") {
      options.timeout_s = given.get<double>();
    } else if (name == "decode") {
      options.decode = given.get<std::string>();
    } else if (name == "min_face") {
      options.min_face = given.get<double>();
    } else if (name == "face_models") {
      options.face_models = given.get<std::string>();
    } else {
      throw fpg::runtime::UsageError("options: there is no " + name);
    }
  }
  return options;
}

}  // namespace

extern "C" {

fpg_detector* fpg_detector_create(const char* model, const char* options, char** error) {
  try {
    return new fpg_detector{{std::string(model == nullptr ? "" : model), options_of(options)}};
  } catch (const std::exception& caught) {
    if (error != nullptr) *error = copied(caught.what());
  }
  return nullptr;
}

char* fpg_detector_judge(fpg_detector* detector, const char* path) {
  try {
    return copied(fpg::runtime::to_json(detector->detector.judge(path)));
  } catch (const std::exception&) {  // memory: everything else is in the judgement
    return nullptr;
  }
}

void fpg_detector_destroy(fpg_detector* detector) { delete detector; }

void fpg_string_free(char* text) { std::free(text); }
}
