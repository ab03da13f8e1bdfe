// fpg's video runtime: from a video, image or folder of frames to a verdict. C++17; no Python, no torch.
//
//   fpg::runtime::VideoDetector detector("model.xml", {});
//   fpg::runtime::Judgement judgement = detector.judge("clip.mp4");
//
// It gives the results of the Python package's `fpg-detect`: the same frames, faces, crops, scores and JSON.
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

// One input (a video, a model, a sidecar) cannot be used: which one, why in one line, and one of `codes` (error_codes.h) for
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

// Wrong usage: an unknown option, a value out of range.
class FPG_RUNTIME_API UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// How far a model's scores can be relied on, as its sidecar says (fpg/findings/strength.py).
struct Reliability {
  std::vector<std::pair<std::string, std::optional<double>>> bounds;   // level -> score; nullopt: the level is never given
  int64_t real = 0, fake = 0;                                          // videos that it was measured on
  std::vector<std::pair<std::string, std::array<int64_t, 2>>> levels;  // level -> real and fake videos with such a score
  std::vector<std::pair<std::string, double>> conditions;              // limits that nearly all these videos keep
  double weight = 1;                                                   // in a fusion
};

// The content of STEM.spec.json next to a model file, checked: fpg/common/spec.py documents the fields.
struct EngineSpec {
  std::string backend;     // openvino, tensorrt, tensorrt-rtx (onnx and torch: not with this runtime)
  std::string model_file;  // file name, next to the sidecar
  std::vector<std::pair<std::string, std::string>> files;  // name, SHA-256
  int image_size = 0;                                      // S: input float32 [B, 3, S, S], RGB in [0, 1]
  std::array<int, 2> map_size{};                           // of the second output, activation_map [B, h, w]; 0, 0: no such output
  std::string network;                                     // forgery-detector, face-detector or face-landmarks
  std::string precision;
  std::string crop;                         // evaluation, aligned: see fpg/common/crops.py
  std::optional<std::array<int, 3>> batch;  // smallest, usual, largest; nullopt: any batch
  double threshold = 0.5;
  double temperature = 1.0;
  std::string backbone;
  std::string package;  // of TensorRT engines: what built it, for which GPU
  std::string package_version;
  std::string compute_capability;     // empty: any
  std::string provenance;             // JSON
  std::string stated_rate;            // false positive rate that the threshold was set for, in words; empty: unknown
  std::vector<std::string> warnings;  // what every reader of a score must know
  std::optional<Reliability> reliability;
  std::string reliability_json = "null";
};

// Reads and checks the sidecar of a model file; hashes are not compared. Throws InputError.
FPG_RUNTIME_API EngineSpec read_spec(const std::string& model);

// Compares the hash of every file of the model. Throws InputError for a missing or different file.
FPG_RUNTIME_API void verify_files(const EngineSpec& spec, const std::string& model);

struct ResolvedModel {
  std::string name;  // as requested
  std::string path;  // of the model file
};

// Finds a model: a packaged one by name ($FPG_MODELS, share/fpg/models next to the program, the source tree), a model file, or a
// folder with one; empty is the starter. Hashes of the model file are compared by load_engine. Throws InputError.
FPG_RUNTIME_API ResolvedModel resolve_model(const std::string& reference);

// Whether a file name has the suffix of a model, readable or not.
FPG_RUNTIME_API bool is_model_name(const std::string& name);

// Describes the model in one line, followed by a line per warning; `threshold` overrides the model's own.
FPG_RUNTIME_API std::vector<std::string> introduce(const EngineSpec& spec, const std::string& name,
                                                   std::optional<double> threshold);

// A loaded detector. Not thread-safe.
class FPG_RUNTIME_API Engine {
 public:
  virtual ~Engine() = default;
  const EngineSpec& spec() const { return spec_; }
  // images [batch, 3, S, S] in [0, 1] -> logits [batch, 2] (real, fake) and activation_map [batch, h, w], if the model has one;
  // any batch size that the spec allows.
  virtual void run(const float* images, int64_t batch, float* logits, float* activation_map) = 0;

 protected:
  explicit Engine(EngineSpec spec) : spec_(std::move(spec)) {}

 private:
  EngineSpec spec_;
};

// Loads .xml (OpenVINO) or .engine (TensorRT, where this library was built with it) after comparing its hashes.
// threads: CPU threads, 0 leaves the choice to the backend. Throws InputError, UsageError.
FPG_RUNTIME_API std::unique_ptr<Engine> load_engine(const std::string& model, int threads = 0);

// Where a face is, in pixels of its image: fpg/common/rectangles.py.
struct Box {
  double x0 = 0, y0 = 0, x1 = 0, y1 = 0;
};

struct FaceScore {
  Box box;                       // in pixels of the frame
  double score = 0;              // probability of fake; with several models, fused
  int track = 0;                 // the same face has the same number in every frame
  std::vector<double> scores;    // each model's score when there are several, else empty
  double sharpness = 0;          // variance of the Laplacian of the first network's input
  std::array<double, 2> pose{};  // yaw and pitch in degrees
};

// A face that counts but cannot be judged: it is too small, or the model's crop rule cannot cut it.
struct RejectedFace {
  Box box;
  std::string reason;
  std::string code;  // codes::face_too_small or codes::face_rejected
};

struct FrameScore {
  int64_t index = 0;
  double time_s = 0;
  std::vector<FaceScore> faces;        // those that count
  std::vector<RejectedFace> rejected;  // those that count but cannot be judged
  bool cut = false;                    // there is a cut between the previously examined frame and this one
};

// The following types say how strong the evidence is, when, and in which face: docs/findings.md.
using Interval = std::optional<std::array<double, 2>>;  // 95 %; nullopt for a single frame

// A suspicious part of a track, from its first to its last examined frame.
struct Segment {
  double start_s = 0, end_s = 0;
  int64_t first_frame = 0, last_frame = 0, frames = 0;
  double score = 0;
  bool reaches_threshold = false;       // otherwise it stands out from the rest of its track
  std::optional<double> stands_out_by;  // mean log-odds above those of the rest; nullopt for a whole track
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

// Recording conditions: medians over the judged faces.
struct Conditions {
  int64_t frames_with_face = 0;
  double face_px = 0, sharpness = 0, yaw = 0, pitch = 0;
  std::optional<double> bits_per_pixel;
};

// The score of one model.
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

// A model that took part in a judgement.
struct JudgedBy {
  std::string name;
  double threshold = 0.5;
  std::optional<Reliability> reliability;
};

// Which stream of a video was read, and how it was displayed.
struct StreamInfo {
  int index = 0;
  int streams = 1;  // number of video streams in the file
  std::string codec;
  int width = 0, height = 0;       // as stored
  std::string pixel_aspect;        // width:height of one pixel
  std::optional<int> orientation;  // EXIF orientation, 1 to 8; nullopt if the display matrix rotates by another angle
  std::string transfer;            // SDR, PQ or HLG
};

// What a file says about itself: claims, not facts.
struct MediaStream {
  int index = 0;
  std::string kind;  // video, audio, subtitle
  std::optional<std::string> codec, encoder;
};
struct MediaInfo {
  std::string format;  // FFmpeg's name of the container, or the image format
  std::optional<double> duration_s;
  std::optional<std::string> created, encoder, device;
  std::vector<MediaStream> streams;
};

// The bytes of one input; everything is nullopt if there are none to examine.
struct Exhibit {
  std::optional<std::string> sha256;  // of the file; for a folder of frames, of the lines `SHA256  NAME` of its frames
  std::optional<int64_t> bytes;
  std::optional<std::string> modified;  // time of the last change according to the file system, in UTC
  std::optional<MediaInfo> media;
};

// Records what an input is; what cannot be read stays nullopt.
FPG_RUNTIME_API Exhibit examine(const std::string& path);

// The result for one input: either a score and a verdict, or an error.
struct FPG_RUNTIME_API Judgement {
  std::string input;
  std::optional<double> score;
  std::string verdict;  // "real" or "fake"; empty without a score
  double threshold = 0.5;
  std::vector<FrameScore> frames;
  std::string error;
  std::string error_code;             // one of `codes`; empty if `error` is
  std::optional<StreamInfo> stream;   // of a video
  std::vector<std::string> warnings;  // of the model, and about how the input was read
  Exhibit exhibit;                    // the bytes that were examined

  std::vector<JudgedBy> judged_by;  // in the order of FaceScore::scores
  std::optional<double> bits_per_pixel;

  int64_t frames_with_face() const;
  std::vector<TrackScore> tracks() const;
  std::vector<Shot> shots() const;
  std::optional<Conditions> conditions() const;  // nullopt without a face
  std::vector<ModelScore> models() const;        // empty without a score
  std::optional<Finding> finding() const;        // nullopt without a score
};

struct Options {
  int frames = 32;  // examined per input, evenly spaced; 0: one in `every`
  int every = 1;
  int batch = 16;                   // faces per call of the engine
  int threads = 0;                  // of the engine; 0 leaves the choice to the backend
  int jobs = 1;                     // inputs judged at the same time by judge_many
  std::optional<double> threshold;  // from which the verdict is fake; nullopt: the model's own
  double timeout_s = 0;             // limit per input; 0: none
  std::string decode = "whole";     // or "needed": only what the wanted frames need; damage elsewhere goes unnoticed
  double min_face = 32;             // smallest face that is searched for and judged, in pixels: square root of its box's area
  std::string show_frames;          // folder for the judged frames and crops and their index; empty: none
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

class Judging;

// Judges videos. Each input has a thread that decodes and one that finds faces; all inputs share the network's thread.
class FPG_RUNTIME_API VideoDetector {
 public:
  // model: see resolve_model. Throws InputError if the model or the face models cannot be used.
  VideoDetector(const std::string& model, const Options& options);
  VideoDetector(std::unique_ptr<Engine> engine, const Options& options);
  // Several models judge together. Judgements call each by its name here, or by its file name if that is empty.
  VideoDetector(std::vector<std::pair<std::string, std::unique_ptr<Engine>>> engines, const Options& options);
  ~VideoDetector();
  VideoDetector(const VideoDetector&) = delete;
  VideoDetector& operator=(const VideoDetector&) = delete;

  const EngineSpec& spec() const;  // of the first model
  double threshold() const;        // from which a verdict is fake
  std::vector<std::string> warnings() const;

  // Never throws for bad input: the judgement has an `error` instead.
  Judgement judge(const std::string& path);

  // Judges `jobs` inputs at the same time; `done` is called in the order of the inputs, from the calling thread.
  void judge_many(const std::vector<std::string>& paths, const std::function<void(Judgement)>& done);

  // Writes the index of `Options::show_frames`; call it when everything is judged. Throws InputError.
  void finish();

  // From any thread: running judgements end soon with an error, and no new ones start.
  void cancel();
  bool cancelled() const;

  std::vector<StageTime> times() const;

 private:
  std::shared_ptr<Judging> judging_;
};

// A file or folder that is not judged, and why: `audio`, `document`, `hidden`, ... or its suffix.
struct Skipped {
  std::string path;
  std::string reason;
};

// What a folder holds: videos and images, by their names; what a user would expect to be judged but cannot be (unsupported
// formats, dangling links); and the rest.
struct FPG_RUNTIME_API Walk {
  std::vector<std::string> media;
  std::vector<InputError> unusable;
  std::vector<Skipped> skipped;

  std::string summary() const;  // "3 not judged: 2 .heic, 1 audio"; empty if everything will be judged
};

// Lists everything in a folder, recursively and in natural order. Follows links; enters no folder twice. Throws InputError.
FPG_RUNTIME_API Walk walk_folder(const std::string& root);

// A model used in a run.
struct UsedModel {
  ResolvedModel model;
  EngineSpec spec;
};

// One run of a program, as recorded in every file that it writes: the twin of fpg/record/run.py.
struct RunRecord {
  std::string program = "fpg-detect-cpp";
  std::vector<std::string> command;
  std::string started, ended;  // in UTC; `ended` is empty until then
  std::optional<std::string> case_name, examiner;
  std::vector<UsedModel> models;  // at least one
};

// The current time in UTC, as written in a record.
FPG_RUNTIME_API std::string now_utc();

// One of fpg-detect's results as JSON. Files of several results: results.h.
FPG_RUNTIME_API std::string to_json(const Judgement& judgement);

// Writes a file atomically. Throws InputError.
FPG_RUNTIME_API void write_atomically(const std::string& path, const std::string& text);

// Whether a file name has the suffix of a video or an image, in any case.
FPG_RUNTIME_API bool is_video_name(const std::string& path);
FPG_RUNTIME_API bool is_image_name(const std::string& path);

// Natural order, ignoring case: `frame_2` comes before `frame_10`.
FPG_RUNTIME_API bool natural_less(const std::string& a, const std::string& b);

}  // namespace fpg::runtime
