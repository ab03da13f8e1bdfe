// What the runtime writes: fpg-detect's JSON, and files atomically.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "constants.h"
#include "findings.h"
#include "output.h"
#include "record.h"

namespace fpg::runtime {
namespace {

using json = nlohmann::ordered_json;

double rounded(double value, double units) { return std::nearbyint(value * units) / units; }

json rounded(const Box& box) { return {rounded(box.x0, 100), rounded(box.y0, 100), rounded(box.x1, 100), rounded(box.y1, 100)}; }

json stream_of(const Judgement& judgement) {
  if (!judgement.stream) return {};
  const StreamInfo& stream = *judgement.stream;
  json value = {{"index", stream.index},
                {"streams", stream.streams},
                {"codec", stream.codec},
                {"width", stream.width},
                {"height", stream.height}};
  if (stream.transfer.empty()) return value;  // no frame was displayed
  value["pixel_aspect"] = stream.pixel_aspect;
  value["orientation"] = stream.orientation ? json(*stream.orientation) : json();
  value["transfer"] = stream.transfer;
  return value;
}

template <class T>
json or_null(const std::optional<T>& value) {
  return value ? json(*value) : json();
}

json interval_of(const Interval& interval) { return interval ? json(*interval) : json(); }

json finding_of(const Judgement& judgement) {
  const std::optional<Finding> finding = judgement.finding();
  if (!finding) return {};
  json limits = json::array();
  for (const Limit& limit : finding->limits)
    limits.push_back({{"code", limit.code}, {"value", limit.value}, {"bound", limit.bound}, {"text", limit.text}});
  return {{"level", finding->level},
          {"words", finding->words},
          {"interval", interval_of(finding->interval)},
          {"limits", limits},
          {"text", finding->text}};
}

json conditions_of(const Judgement& judgement) {
  const std::optional<Conditions> seen = judgement.conditions();
  if (!seen) return {};
  return {{"frames_with_face", seen->frames_with_face},
          {"face_px", rounded(seen->face_px, 1e3)},
          {"sharpness", rounded(seen->sharpness, 1e3)},
          {"yaw", rounded(seen->yaw, 1e3)},
          {"pitch", rounded(seen->pitch, 1e3)},
          {"bits_per_pixel", seen->bits_per_pixel ? json(rounded(*seen->bits_per_pixel, 1e3)) : json()}};
}

json models_of(const Judgement& judgement) {
  json models = json::array();
  for (const ModelScore& model : judgement.models()) {
    models.push_back({{"name", model.name},
                      {"score", model.score},
                      {"verdict", model.score >= model.threshold ? "fake" : "real"},
                      {"threshold", model.threshold},
                      {"level", model.level},
                      {"weight", model.weight}});
  }
  return models;
}

// A stretch of frames: a segment or a shot.
template <typename Part>
json part_of(const Part& part) {
  return {{"start_s", rounded(part.start_s, 1e4)},
          {"end_s", rounded(part.end_s, 1e4)},
          {"first_frame", part.first_frame},
          {"last_frame", part.last_frame},
          {"frames", part.frames}};
}

json track_of(const TrackScore& track) {
  json segments = json::array();
  for (const Segment& segment : track.segments) {
    segments.push_back(part_of(segment));
    segments.back()["score"] = segment.score;
    segments.back()["reaches_threshold"] = segment.reaches_threshold;
    segments.back()["stands_out_by"] = or_null(segment.stands_out_by);
  }
  return {{"track", track.track},
          {"score", track.score},
          {"frames", track.frames},
          {"start_s", rounded(track.start_s, 1e4)},
          {"end_s", rounded(track.end_s, 1e4)},
          {"interval", interval_of(track.interval)},
          {"level", track.level},
          {"segments", segments}};
}

json media_of(const std::optional<MediaInfo>& media) {
  if (!media) return {};
  json streams = json::array();
  for (const MediaStream& stream : media->streams)
    streams.push_back(
        {{"index", stream.index}, {"kind", stream.kind}, {"codec", or_null(stream.codec)}, {"encoder", or_null(stream.encoder)}});
  return {{"format", media->format},
          {"duration_s", or_null(media->duration_s)},
          {"created", or_null(media->created)},
          {"encoder", or_null(media->encoder)},
          {"device", or_null(media->device)},
          {"streams", streams}};
}

// This runtime does not read Content Credentials; fpg-detect does, with c2pa-python.
json credentials_of(const Exhibit& exhibit) {
  if (!exhibit.modified) return {};  // no file
  return {{"state", "not_checked"},
          {"trusted", nullptr},
          {"signer", nullptr},
          {"signed", nullptr},
          {"generator", nullptr},
          {"actions", json::array()},
          {"problems", {"this program reads none"}},
          {"note", constants()["record"]["credentials"]}};
}

json model_of(const UsedModel& used) {
  const EngineSpec& spec = used.spec;
  json hash;
  for (const auto& [file, value] : spec.files) {
    if (file == spec.model_file) hash = value;
  }
  return {{"file", used.model.name},
          {"sha256", hash},
          {"backend", spec.backend},
          {"backbone", spec.backbone.empty() ? json() : json(spec.backbone)},
          {"image_size", spec.image_size},
          {"precision", spec.precision},
          {"threshold", spec.threshold},
          {"temperature", spec.temperature},
          {"warnings", spec.warnings},
          {"reliability", json::parse(spec.reliability_json)},
          {"provenance", json::parse(spec.provenance)}};
}

}  // namespace

json value_of(const Judgement& judgement) {
  json frames = json::array();
  for (const FrameScore& frame : judgement.frames) {
    json faces = json::array();
    for (const FaceScore& face : frame.faces) {
      faces.push_back({{"box", rounded(face.box)}, {"score", face.score}, {"track", face.track}});
      if (!face.scores.empty()) faces.back()["scores"] = face.scores;
    }
    json value = {{"index", frame.index}, {"time_s", rounded(frame.time_s, 1e4)}, {"faces", faces}};
    for (const RejectedFace& face : frame.rejected)
      value["rejected"].push_back({{"box", rounded(face.box)}, {"reason", face.reason}});
    frames.push_back(std::move(value));
  }
  json tracks = json::array(), shots = json::array();
  for (const TrackScore& track : judgement.tracks()) tracks.push_back(track_of(track));
  for (const Shot& shot : judgement.shots()) shots.push_back(part_of(shot));
  return {{"input", judgement.input},
          {"score", judgement.score ? json(*judgement.score) : json()},
          {"verdict", judgement.verdict.empty() ? json() : json(judgement.verdict)},
          {"threshold", judgement.threshold},
          {"finding", finding_of(judgement)},
          {"conditions", conditions_of(judgement)},
          {"models", models_of(judgement)},
          {"frames", frames},
          {"tracks", tracks},
          {"shots", shots},
          {"error", judgement.error.empty() ? json() : json(judgement.error)},
          {"error_code", judgement.error_code.empty() ? json() : json(judgement.error_code)},
          {"stream", stream_of(judgement)},
          {"warnings", judgement.warnings},
          {"sha256", or_null(judgement.exhibit.sha256)},
          {"bytes", or_null(judgement.exhibit.bytes)},
          {"modified", or_null(judgement.exhibit.modified)},
          {"media", media_of(judgement.exhibit.media)},
          {"c2pa", credentials_of(judgement.exhibit)}};
}

// How the scores came about: `describe_judging` in fpg/runtime/judgement.py.
json protocol_of(const Options& options, const RunRecord& record) {
  const json& texts = constants()["protocol"];
  json sampling = texts["evenly_spaced"];
  if (options.frames == 0) {
    const std::string every = std::to_string(options.every);
    sampling = options.every == 1 ? texts["every_frame"] : json(filled(texts["every_nth_frame"], {{"every", every}}));
  }
  json protocol = {{"unit", texts["unit"]},
                   {"frames", options.frames == 0 ? json("all") : json(options.frames)},
                   {"sampling", sampling},
                   {"crop", texts["crops"][record.models.at(0).spec.crop]},
                   {"aggregation", texts["aggregation"]},
                   {"compression", texts["compression"]}};
  if (options.decode != "whole") protocol["decode"] = options.decode;
  protocol["faces"] = texts["faces"];
  protocol["min_face"] = options.min_face;
  for (const char* part : {"segments", "intervals", "shots"}) protocol[part] = findings_tables()[part]["text"];
  if (record.models.size() > 1) protocol["fusion"] = findings_tables()["fusion"]["text"];
  return protocol;
}

json head_of(const Options& options, const RunRecord& record) {
  json models = json::array();
  std::vector<std::string> warnings;
  for (const UsedModel& used : record.models) {
    models.push_back(model_of(used));
    for (const std::string& text : used.spec.warnings) {
      if (std::find(warnings.begin(), warnings.end(), text) == warnings.end()) warnings.push_back(text);
    }
  }
  json value = {{"schema", constants()["record"]["schema"]}, {"record", record_value(options, record)}, {"model", models[0]}};
  if (models.size() > 1) value["models"] = models;
  value["protocol"] = protocol_of(options, record);
  value["warnings"] = warnings;
  return value;
}

std::string text_of(const json& value, int indent) { return value.dump(indent, ' ', false, json::error_handler_t::replace); }

std::string to_json(const Judgement& judgement) { return text_of(value_of(judgement)); }

void write_atomically(const std::string& path, const std::string& text) {
  write_atomically(path, [&](const Write& write) { write(text); });
}

void write_atomically(const std::string& path, const std::function<void(const Write&)>& produce) {
  const auto refuse = [&](int code) {
    throw InputError(path, std::string("cannot be written: ") + std::strerror(code), codes::not_written);
  };
  const auto write_all = [&](int file) {
    int code = 0;
    produce([&](const std::string& text) {
      for (size_t done = 0; code == 0 && done < text.size();) {
        const ssize_t part = ::write(file, text.data() + done, text.size() - done);
        if (part < 0 && errno != EINTR) code = errno;
        if (part > 0) done += static_cast<size_t>(part);
      }
    });
    return code;
  };
  struct stat info{};
  if (stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    if (S_ISDIR(info.st_mode)) refuse(EISDIR);
    const int file = ::open(path.c_str(), O_WRONLY);  // a pipe or device is written to as it is
    const int code = file < 0 ? errno : write_all(file);
    if (file >= 0) ::close(file);
    if (code != 0) refuse(code);
    return;
  }
  std::error_code error;
  std::filesystem::path target = std::filesystem::weakly_canonical(path, error);  // a link is followed
  if (error) target = path;
  if (target.has_parent_path()) std::filesystem::create_directories(target.parent_path(), error);
  if (error) refuse(error.value());
  std::string temporary = (target.parent_path() / ("." + target.filename().string() + ".XXXXXX")).string();
  const int file = ::mkstemp(temporary.data());
  if (file < 0) refuse(errno);
  int code = 0;
  try {
    code = write_all(file);
  } catch (...) {
    ::close(file);
    ::unlink(temporary.c_str());
    throw;
  }
  if (code == 0 && ::fsync(file) != 0) code = errno;
  const mode_t mask = umask(0);
  umask(mask);
  if (code == 0 && ::fchmod(file, 0666 & ~mask) != 0) code = errno;
  ::close(file);
  if (code == 0 && ::rename(temporary.c_str(), target.c_str()) != 0) code = errno;
  if (code != 0) {
    ::unlink(temporary.c_str());
    refuse(code);
  }
}

}  // namespace fpg::runtime
