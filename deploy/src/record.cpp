#include "record.h"

#include <sys/utsname.h>

#include <chrono>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <openvino/openvino.hpp>

#include "constants.h"
#include "fpg_commit.h"
#include "models.h"
#include "sha256.h"

extern "C" {
#include <libavutil/avutil.h>
}

namespace fpg::runtime {
namespace {

using json = nlohmann::ordered_json;

// The name of the processor, if Linux states it.
std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) == 0 && line.find(": ") != std::string::npos) return line.substr(line.find(": ") + 2);
  }
  return "unknown";
}

json machine() {
  utsname name{};
  uname(&name);
  const std::string system = std::string(name.sysname) + "-" + name.release + "-" + name.machine;
  return {{"system", system},
          {"processor", processor()},
          {"versions", {{"openvino", ov::get_openvino_version().buildNumber}, {"ffmpeg", av_version_info()}}}};
}

json card_of(const ResolvedModel& model) {
  const std::filesystem::path card = std::filesystem::path(model.path).parent_path() / "README.md";
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(card, ignored)) return {};
  const std::optional<std::string> stated = licence_of(card.string());
  return {{"file", "README.md"}, {"sha256", sha256_of_file(card.string())}, {"license", stated ? json(*stated) : json()}};
}

json model_of(const UsedModel& used) {
  json files = json::object(), hash;
  for (const auto& [name, value] : used.spec.files) {
    files[name] = value;
    if (name == used.spec.model_file) hash = value;
  }
  return {{"name", used.model.name}, {"sha256", hash}, {"files", files}, {"card", card_of(used.model)}};
}

json settings(const Options& options) {
  return {{"frames", options.frames == 0 ? json("all") : json(options.frames)},
          {"every", options.every},
          {"decode", options.decode},
          {"min_face", options.min_face},
          {"batch", options.batch},
          {"jobs", options.jobs},
          {"threads", options.threads == 0 ? json() : json(options.threads)},
          {"device", "auto"},
          {"threshold", options.threshold ? json(*options.threshold) : json()},
          {"timeout", options.timeout_s > 0 ? json(options.timeout_s) : json()}};
}

}  // namespace

std::string now_utc() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

json record_value(const Options& options, const RunRecord& record) {
  json models = json::array();
  for (const UsedModel& used : record.models) models.push_back(model_of(used));
  const std::string commit = FPG_COMMIT;
  std::error_code ignored;
  return {{"schema", constants()["record"]["schema"]},
          {"fpg", {{"program", record.program}, {"version", FPG_VERSION}, {"commit", commit.empty() ? json() : json(commit)}}},
          {"platform", machine()},
          {"started", record.started},
          {"ended", record.ended.empty() ? json() : json(record.ended)},
          {"command", record.command},
          {"folder", std::filesystem::current_path(ignored).string()},
          {"settings", settings(options)},
          {"models", models},
          {"case", record.case_name ? json(*record.case_name) : json()},
          {"examiner", record.examiner ? json(*record.examiner) : json()}};
}

}  // namespace fpg::runtime
