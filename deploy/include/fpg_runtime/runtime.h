// fpg's video runtime: from a video, image or folder of frames to a verdict. C++17; no Python, no torch.
//
//   fpg::runtime::VideoDetector detector("model.xml", {});
//   fpg::runtime::Judgement judgement = detector.judge("clip.mp4");
//
// It answers as `fpg-detect` of the Python package does: the same frames, faces, crops, scores and JSON.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "fpg_runtime/error_codes.h"

#if defined(_WIN32)
#define FPG_RUNTIME_API
#else
#define FPG_RUNTIME_API __attribute__((visibility("default")))
#endif

namespace fpg::runtime {

// One input (a video, a model, a sidecar) cannot be used: which, why in one line, and one of `codes` (error_codes.h) for
// programs.
class FPG_RUNTIME_API InputError : public std::runtime_error {
 public:
  InputError(std::string path, const std::string& reason, std::string code = codes::unreadable);
  const std::string& path() const { return path_; }
  const std::string& reason() const { return reason_; }
  const std::string& code() const { return code_; }

 private:
  std::string path_;
  std::string reason_;
  std::string code_;
};

// The call is wrong: an unknown option, a value out of range.
class FPG_RUNTIME_API UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// What a sidecar says of how far scores can be relied on (fpg/findings/strength.py).
struct Reliability {
  std::vector<std::pair<std::string, std::optional<double>>> bounds;   // level -> score; nothing: the level is not given
  int64_t real = 0, fake = 0;                                          // videos that it was measured on
  std::vector<std::pair<std::string, std::array<int64_t, 2>>> levels;  // level -> real, fake videos with such a score
  std::vector<std::pair<std::string, double>> conditions;              // where those of nearly all these videos end
  double weight = 1;                                                   // in a fusion
};

// What lies beside a model file as STEM.spec.json, checked: fpg/common/spec.py says what the fields mean.
struct EngineSpec {
  std::string backend;     // openvino, tensorrt, tensorrt-rtx (onnx and torch: not with this runtime)
  std::string model_file;  // name beside the sidecar
  std::vector<std::pair<std::string, std::string>> files;  // name, SHA-256
  int image_size = 0;                                      // S: input float32 [B, 3, S, S], RGB in [0, 1]
  std::array<int, 2> map_size{};                           // of the second output, activation_map [B, h, w]; 0, 0: there is none
  std::string network;                                     // forgery-detector, face-detector or face-landmarks
  std::string precision;
  std::string crop;                         // evaluation, aligned: fpg/common/crops.py says what they cut
  std::optional<std::array<int, 3>> batch;  // smallest, usual, largest; nothing: any
  double threshold = 0.5;
  double temperature = 1.0;
  std::string backbone;
  std::string package;  // of TensorRT engines: what built it, and for which GPU
  std::string package_version;
  std::string compute_capability;     // empty: any
  std::string provenance;             // JSON
  std::string stated_rate;            // what share of real videos the threshold was set to call fake, in words; empty: not known
  std::vector<std::string> warnings;  // what whoever reads a score has to know
  std::optional<Reliability> reliability;
  std::string reliability_json = "null";
};

// The checked sidecar of a model file. Hashes are not compared. Throws InputError.
FPG_RUNTIME_API EngineSpec read_spec(const std::string& model);

// Compares the hash of every file of the model. Throws InputError for one that is missing or another.
FPG_RUNTIME_API void verify_files(const EngineSpec& spec, const std::string& model);

struct Model {
  std::string name;  // as it was asked for
  std::string path;  // of the model file
};

// Finds a model: a packaged one by name ($FPG_MODELS, share/fpg/models beside the program, the source tree), a model file, or a
// folder with one; empty is the starter. Hashes of the model file are compared by load_engine. Throws InputError.
FPG_RUNTIME_API Model resolve_model(const std::string& reference);

// Whether a file's suffix is that of a model, readable or not.
FPG_RUNTIME_API bool is_model_name(const std::string& name);

// What judges, in a line, then a line per warning; `threshold` was given instead of the model's own.
FPG_RUNTIME_API std::vector<std::string> introduce(const EngineSpec& spec, const std::string& name,
                                                   std::optional<double> threshold);

// A loaded detector. Not thread-safe.
class FPG_RUNTIME_API Engine {
 public:
  virtual ~Engine() = default;
  const EngineSpec& spec() const { return spec_; }
  // images [batch, 3, S, S] in [0, 1] -> logits [batch, 2] (real, fake), activation_map [batch, h, w] where the model has one;
  // any batch that the spec allows.
  virtual void run(const float* images, int64_t batch, float* logits, float* activation_map) = 0;

 protected:
  explicit Engine(EngineSpec spec) : spec_(std::move(spec)) {}

 private:
  EngineSpec spec_;
};

// Loads .xml (OpenVINO) or .engine (TensorRT, where this library was built with it) after comparing its hashes.
// threads: of the CPU, 0 leaves it to the backend. Throws InputError, UsageError.
FPG_RUNTIME_API std::unique_ptr<Engine> load_engine(const std::string& model, int threads = 0);

struct FaceScore {
  std::array<double, 4> box{};   // x0, y0, x1, y1 in pixels of the frame
  double score = 0;              // probability of fake; of several models their fusion
  int track = 0;                 // the same face has the same number in every frame
  std::vector<double> scores;    // of several models each one's, else empty
  double sharpness = 0;          // of the first network's input: variance of the Laplacian
  std::array<double, 2> pose{};  // yaw and pitch in degrees
};

// A face that counts and cannot be judged: too small, or not to be cut by the model's crop rule.
struct RejectedFace {
  std::array<double, 4> box{};
  std::string reason;
  std::string code;  // codes::face_too_small or codes::face_rejected
};

struct FrameScore {
  int64_t index = 0;
  double time_s = 0;
  std::vector<FaceScore> faces;        // those that count
  std::vector<RejectedFace> rejected;  // those that count and cannot be judged
  bool cut = false;                    // a cut lies between the frame looked at before and this one
};

// What follows says how strong the evidence is, when and who: docs/findings.md.
using Interval = std::optional<std::array<double, 2>>;  // 95 %; nothing of a single frame

// A suspicious part of a track; times and frames of its first and last frame looked at.
struct Segment {
  double start_s = 0, end_s = 0;
  int64_t first_frame = 0, last_frame = 0, frames = 0;
  double score = 0;
  bool reaches_threshold = false;       // else it stands out from the rest of its track
  std::optional<double> stands_out_by;  // mean log-odds over those of the rest; nothing of a whole track
};

struct TrackScore {
  int track = 0;
  double score = 0;  // mean over its frames
  int64_t frames = 0;
  double start_s = 0;
  double end_s = 0;
  Interval interval;
  std::string level;
  std::vector<Segment> segments;
};

struct Shot {
  double start_s = 0, end_s = 0;
  int64_t first_frame = 0, last_frame = 0, frames = 0;
};

// How an input was seen: medians over the judged faces.
struct Conditions {
  int64_t frames_with_face = 0;
  double face_px = 0, sharpness = 0, yaw = 0, pitch = 0;
  std::optional<double> bits_per_pixel;
};

// A model, and what it says of an input.
struct ModelScore {
  std::string name;
  double score = 0;
  double threshold = 0.5;
  std::string level;
  double weight = 1;
};

struct Limit {
  std::string code;
  double value = 0, bound = 0;
  std::string text;
};

struct Finding {
  std::string level;
  std::string words;
  Interval interval;
  std::vector<Limit> limits;
  std::string text;
};

// A model as a judgement knows it.
struct JudgedBy {
  std::string name;
  double threshold = 0.5;
  std::optional<Reliability> reliability;
};

// Which stream of a video was read, and how it was shown.
struct StreamInfo {
  int index = 0;
  int streams = 1;  // that it was chosen from
  std::string codec;
  int width = 0, height = 0;       // as stored
  std::string pixel_aspect;        // width:height of a pixel
  std::optional<int> orientation;  // EXIF's 1 to 8; nothing where the display matrix turns by another angle
  std::string transfer;            // SDR, PQ or HLG
};

// What a file says of itself: claims, not facts.
struct MediaStream {
  int index = 0;
  std::string kind;  // video, audio, subtitle
  std::optional<std::string> codec, encoder;
};
struct MediaInfo {
  std::string format;  // FFmpeg's name of the container, or the format of a picture
  std::optional<double> duration_s;
  std::optional<std::string> created, encoder, device;
  std::vector<MediaStream> streams;
};

// The bytes of one input; nothing where there are none to look at.
struct Exhibit {
  std::optional<std::string> sha256;  // of the file; of a folder of frames that of the lines `SHA256  NAME` of its frames
  std::optional<int64_t> bytes;
  std::optional<std::string> modified;  // when the file system says it was changed last: UTC
  std::optional<MediaInfo> media;
};

// Takes down what an input is; what cannot be read is left out.
FPG_RUNTIME_API Exhibit examine(const std::string& path);

// What became of one input: either a score and a verdict, or an error.
struct FPG_RUNTIME_API Judgement {
  std::string input;
  std::optional<double> score;
  std::string verdict;  // "real" or "fake"; empty without a score
  double threshold = 0.5;
  std::vector<FrameScore> frames;
  std::string error;
  std::string error_code;             // one of `codes`; empty where `error` is
  std::optional<StreamInfo> stream;   // of a video
  std::vector<std::string> warnings;  // of the model, and what a person should know about how the input was read
  Exhibit exhibit;                    // the bytes that were examined

  std::vector<JudgedBy> judged_by;  // several scores of a face are fused in their order
  std::optional<double> bits_per_pixel;

  int64_t frames_with_face() const;
  std::vector<TrackScore> tracks() const;
  std::vector<Shot> shots() const;
  std::optional<Conditions> conditions() const;  // nothing without a face
  std::vector<ModelScore> models() const;        // empty without a score
  std::optional<Finding> finding() const;        // nothing without a score
};

struct Options {
  int frames = 32;  // looked at per input, evenly spaced; 0: one in `every`
  int every = 1;
  int batch = 16;                   // faces per call of the engine
  int threads = 0;                  // of the engine; 0 leaves it to the backend
  int jobs = 1;                     // inputs judged at the same time by judge_many
  std::optional<double> threshold;  // from which the verdict is fake; nothing: the model's
  double timeout_s = 0;             // after which an input is given up; 0: never
  std::string decode = "whole";     // or "needed": only what the frames need, so that damage elsewhere is not seen
  double min_face = 32;             // smallest face that is looked for and judged, in pixels: root of the area of its box
  std::string show_frames;          // folder for the frames and crops that were judged, and their index; empty: none
  std::string face_models;          // folder with MediaPipe's two .tflite files; empty: see face_model_folder
};

struct StageTime {
  std::string stage;
  int64_t number = 0;
  double total_s = 0;
  double p50_ms = 0, p95_ms = 0, p99_ms = 0;
};

// The folder of MediaPipe's face models: `wanted`, else $FPG_FACE_MODELS, else where the program was installed. Throws
// InputError.
FPG_RUNTIME_API std::string face_model_folder(const std::string& wanted);

// Judges videos; each input has a thread that decodes and one that finds faces, the network has one for all.
class FPG_RUNTIME_API VideoDetector {
 public:
  // model: see resolve_model. Throws InputError when the model or the face models cannot be used.
  VideoDetector(const std::string& model, const Options& options);
  VideoDetector(std::unique_ptr<Engine> engine, const Options& options);
  // Several models judge together; each has the name that judgements call it by (empty: that of its file).
  VideoDetector(std::vector<std::pair<std::string, std::unique_ptr<Engine>>> engines, const Options& options);
  ~VideoDetector();
  VideoDetector(const VideoDetector&) = delete;
  VideoDetector& operator=(const VideoDetector&) = delete;

  const EngineSpec& spec() const;  // of the first model
  double threshold() const;        // from which a verdict is fake
  std::vector<std::string> warnings() const;

  // Never throws for bad input: that is the judgement's `error`.
  Judgement judge(const std::string& path);

  // `jobs` at the same time; `done` is called in the order of the inputs, from the calling thread.
  void judge_many(const std::vector<std::string>& paths, const std::function<void(Judgement)>& done);

  // Writes the index of `Options::show_frames`, when all is judged. Throws InputError.
  void finish();

  // From another thread or between signals: what is being judged ends soon with an error, and nothing more is begun.
  void cancel();
  bool cancelled() const;

  std::vector<StageTime> times() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

// A file or folder that is nothing to judge, and why: `audio`, `document`, `hidden`, ... or a suffix.
struct Skipped {
  std::string path;
  std::string reason;
};

// What a folder holds: videos and pictures by their names; what a person would expect to be judged and cannot be (kinds that are
// not read, links that lead nowhere); and the rest.
struct FPG_RUNTIME_API Walk {
  std::vector<std::string> media;
  std::vector<InputError> unusable;
  std::vector<Skipped> skipped;

  std::string summary() const;  // "3 not judged: 2 .heic, 1 audio"; empty where everything is to be judged
};

// Everything under a folder, in natural order. Links are followed, and no folder is entered twice. Throws InputError.
FPG_RUNTIME_API Walk walk_folder(const std::string& root);

// A model that judged in a run.
struct UsedModel {
  Model model;
  EngineSpec spec;
};

// One run of a program, as it stands in every file that it writes: the twin of fpg/record/run.py.
struct RunRecord {
  std::string program = "fpg-detect-cpp";
  std::vector<std::string> command;
  std::string started, ended;  // UTC; `ended` is empty until then
  std::optional<std::string> case_name, examiner;
  std::vector<UsedModel> models;  // one at least
};

// The time in UTC, as it stands in a record.
FPG_RUNTIME_API std::string now_utc();

// A result as it stands in the JSON of fpg-detect. Files of many: results.h.
FPG_RUNTIME_API std::string to_json(const Judgement& judgement);

// Writes a file that is whole or absent. Throws InputError.
FPG_RUNTIME_API void write_atomically(const std::string& path, const std::string& text);

// Whether a file's suffix is that of a video or an image, lower or upper case.
FPG_RUNTIME_API bool is_video_name(const std::string& path);
FPG_RUNTIME_API bool is_image_name(const std::string& path);

// `frame_2` before `frame_10`, whatever the case of letters.
FPG_RUNTIME_API bool natural_less(const std::string& a, const std::string& b);

}  // namespace fpg::runtime
