// The parts of the runtime that need no video: hashes, sampling, order of names, tracks, geometry, scores, batches, queues,
// sidecars, atomic files.

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <thread>

#include "../check.h"
#include "channel.h"
#include "colour.h"
#include "faces.h"
#include "fpg_runtime/runtime.h"
#include "judgement.h"
#include "scores.h"
#include "sha256.h"
#include "stages.h"
#include "tracks.h"
#include "video.h"

namespace {

using namespace fpg::runtime;
namespace fs = std::filesystem;

void hashes() {
  CHECK(sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "");
  CHECK(sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "");
  CHECK(sha256(std::string(1'000'000, 'a')) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0", "");
}

void sampling() {
  CHECK((sample_indices(10, 4) == std::vector<int64_t>{0, 3, 6, 9}), "");
  CHECK((sample_indices(3, 32) == std::vector<int64_t>{0, 1, 2}), "");
  CHECK((sample_indices(100, 1) == std::vector<int64_t>{0}), "");
  CHECK(sample_indices(0, 5).empty(), "");
  for (int64_t total = 1; total < 400; ++total) {
    const std::vector<int64_t> found = sample_indices(total, 32);
    CHECK(found.front() == 0 && (total == 1 || found.back() == total - 1), std::to_string(total));
    CHECK(std::adjacent_find(found.begin(), found.end(), std::greater_equal<>()) == found.end(), std::to_string(total));
  }
}

void names() {
  CHECK(natural_less("f2.png", "f10.png") && !natural_less("f10.png", "f2.png"), "");
  CHECK(natural_less("A1", "b0") && natural_less("a", "a1"), "");
  CHECK(!natural_less("same", "same"), "");
  CHECK(is_video_name("x.MP4") && is_image_name("y.JPeG") && !is_image_name("z.txt") && !is_video_name("mp4"), "");
}

// Fields of a frame that hold what a damaged file said and none of FFmpeg's values; the sanitized build sees how they are read.
void colours() {
  AVFrame frame = {};
  const int said[] = {205, 254, -1, 99, 33};
  std::memcpy(&frame.color_primaries, &said[0], sizeof(int));
  std::memcpy(&frame.color_trc, &said[1], sizeof(int));
  std::memcpy(&frame.colorspace, &said[2], sizeof(int));
  std::memcpy(&frame.color_range, &said[3], sizeof(int));
  std::memcpy(&frame.chroma_location, &said[4], sizeof(int));
  const Colour colour(&frame);
  CHECK(colour.primaries == 205 && colour.transfer == 254 && colour.matrix == -1 && colour.range == 99, "");
  CHECK(colour.chroma_location == 33, "");
  CHECK(!is_wide(&frame) && hdr_name(&frame) == nullptr, "");
  frame.color_trc = AVCOL_TRC_SMPTE2084;
  CHECK(!is_wide(&frame) && std::string(hdr_name(&frame)) == "PQ", "");
  frame.color_primaries = AVCOL_PRI_UNSPECIFIED;
  CHECK(is_wide(&frame), "");
}

void tracks() {
  FaceTracker tracker;
  const Box left = {0, 0, 10, 10}, right = {100, 0, 110, 10};
  CHECK((tracker.next({left, right}) == std::vector<int>{0, 1}), "");
  CHECK((tracker.next({{98, 1, 108, 11}, {3, 0, 13, 10}}) == std::vector<int>{1, 0}), "another order");
  CHECK((tracker.next({{200, 200, 210, 210}}) == std::vector<int>{2}), "a new face");
  tracker.next({});
  CHECK((tracker.next({{4, 0, 14, 10}}) == std::vector<int>{0}), "away for two frames");
  for (int i = 0; i < 4; ++i) tracker.next({});
  CHECK((tracker.next({{4, 0, 14, 10}}) == std::vector<int>{3}), "away for too long");
  CHECK((tracker.next({{0, 0, 40, 40}}) == std::vector<int>{4}), "four times the size");
}

void geometry() {
  const Box a = {0, 0, 10, 10}, b = {5, 0, 15, 10};
  CHECK(std::abs(intersection_over_union(a, b) - 1.0 / 3) < 1e-12, "");
  CHECK(intersection_over_union(a, {20, 20, 30, 30}) == 0, "");
  const std::vector<Detection> merged =
      suppress({{a, 0.6, {{1, 1}}}, {{0, 0, 10, 12}, 0.9, {{3, 3}}}, {{50, 50, 60, 60}, 0.7, {{0, 0}}}}, 0.3);
  CHECK(merged.size() == 2 && merged[0].score == 0.9 && merged[1].score == 0.7, "");
  CHECK(std::abs(merged[0].box.y1 - (0.6 * 10 + 0.9 * 12) / 1.5) < 1e-5 &&
            std::abs(merged[0].points[0][0] - (0.6 + 2.7) / 1.5) < 1e-6,
        "");
  const Roi roi = roi_around({0, 0, 20, 10}, {5, 5}, {5, 9}, 1.5);  // eyes one below the other: a quarter turn
  const auto corner = roi.to_image(0, 0);
  CHECK(roi.side == 30 && std::abs(corner[0] - 25) < 1e-9 && std::abs(corner[1] + 10) < 1e-9, "");
  Image crop;
  CHECK(!crop_upright(Image(50, 50), {500, 500, 20, 0}, 192, crop), "outside");
  CHECK(!crop_upright(Image(50, 50), {25, 25, std::nan(""), 0}, 192, crop), "not a number");
}

FrameScore frame_of(const std::vector<double>& scores) {
  FrameScore frame;
  for (const double score : scores) {
    frame.faces.emplace_back();
    frame.faces.back().score = score;
    frame.faces.back().scores = {score, 1 - score};
  }
  return frame;
}

void scores() {
  CHECK(faces_that_count({}).empty(), "");
  CHECK((faces_that_count({{0, 0, 10, 10}, {0, 0, 10, 5}, {0, 0, 10, 4.9}}) == std::vector<bool>{true, true, false}), "");
  CHECK(!frame_score(frame_of({})) && *frame_score(frame_of({0.2, 0.7, 0.1})) == 0.7, "");
  CHECK(*frame_score(frame_of({0.2, 0.7}), 1) == 0.8, "of the second model");
  CHECK(!video_score({}) && !video_score({frame_of({}), frame_of({})}), "");
  CHECK(*video_score({frame_of({0.25, 0.5}), frame_of({}), frame_of({1})}) == 0.75, "");
  Judgement judgement;
  CHECK(check::message<InputError>([&] { conclude(judgement); }).find("no frame could be decoded") != std::string::npos, "");
  judgement.frames = {frame_of({}), frame_of({})};
  conclude(judgement);
  CHECK(judgement.error == "no face found in 2 frames" && judgement.error_code == codes::no_face, judgement.error);
  judgement.frames[0].rejected = {{{0, 0, 9, 9}, too_small({0, 0, 9, 9}, 32), codes::face_too_small},
                                  {{0, 0, 20, 20}, too_small({0, 0, 20, 20}, 32), codes::face_too_small}};
  conclude(judgement);
  CHECK(judgement.error == "face too small to judge: 20 px (at least 32 are needed)", judgement.error);
  judgement.frames[1].rejected = {{{0, 0, 99, 99}, "cut off", codes::face_rejected}};
  conclude(judgement);
  CHECK(judgement.error == "no face that can be judged in 2 frames: cut off" && judgement.error_code == codes::face_rejected, "");
}

// Scores a face of one pixel by its red value; fails for a batch with a negative one.
class PixelEngine final : public Engine {
 public:
  explicit PixelEngine(EngineSpec spec) : Engine(std::move(spec)) {}

  void run(const float* images, int64_t batch, float* logits, float*) override {
    calls.push_back(batch);
    for (int64_t i = 0; i < batch; ++i) {
      if (images[3 * i] < 0) throw std::runtime_error("negative");
      logits[2 * i] = 0;
      logits[2 * i + 1] = images[3 * i];
    }
  }

  static std::vector<int64_t> calls;
};
std::vector<int64_t> PixelEngine::calls;

void batches() {
  EngineSpec spec;
  spec.image_size = 1;
  spec.batch = {2, 4, 4};
  StageTimes times;
  EngineThread network(std::make_unique<PixelEngine>(spec), 16, true, times);
  CHECK(network.size() == 4, "bounded by the engine");
  const auto probability = [](double logit) { return 1 / (1 + std::exp(-logit)); };
  Collector collector(network, 2);
  std::vector<PendingScore> pending;
  for (int i = 0; i < 5; ++i) pending.push_back(collector.add({static_cast<float>(i), 0, 0}));
  CHECK(std::abs(pending[3].get() - probability(3)) < 1e-6, "a full batch is sent at once");
  collector.end_frame();
  collector.end_frame();  // the window has passed
  CHECK(std::abs(pending[4].get() - probability(4)) < 1e-6, "");
  CHECK((PixelEngine::calls == std::vector<int64_t>{4, 2}), "one face is padded to the engine's smallest batch");
  Collector other(network, 2);
  const PendingScore bad = collector.add({-1, 0, 0}), good = other.add({1, 0, 0});
  collector.flush();
  other.flush();
  CHECK(check::message<std::runtime_error>([&] { bad.get(); }) == "negative", "");
  CHECK(std::abs(good.get() - probability(1)) < 1e-6, "the failure of one input does not cost the other its score");
  const PendingScore broken = collector.add({std::nanf(""), 0, 0});
  collector.flush();
  CHECK(std::isnan(broken.get()), "");
  CHECK(times.summary().at(0).stage == "network" && times.summary().at(0).number >= 4, "");
}

void queues() {
  Channel<int> channel(2);
  std::thread producer([&] {
    for (int i = 0; i < 1000; ++i) channel.put(i);
    channel.finish(std::make_exception_ptr(std::runtime_error("the end")));
  });
  int sum = 0;
  const std::string message = check::message<std::runtime_error>([&] {
    while (const std::optional<int> item = channel.take()) sum += *item;
  });
  producer.join();
  CHECK(sum == 499500 && message == "the end", std::to_string(sum));
  Channel<int> left(1);
  std::thread waiting([&] {
    left.put(1);
    CHECK(!left.put(2), "the other side has ended it");
  });
  left.cancel();
  waiting.join();
}

std::string spec_text(const std::string& change_from = "", const std::string& change_to = "") {
  std::string text =
      R"({"backend": "openvino", "model_file": "m.xml", "files": {"m.xml": "00", "m.bin": "11"}, "detector": {"backbone": "b"},
    "image_size": 96, "map_size": [3, 3], "precision": "fp32", "batch": null, "build": null, "crop": "evaluation",
    "labels": ["real", "fake"], "threshold": 0.5, "temperature": 1.0, "reference": null, "provenance": {"z": 1, "a": 2},
    "schema": "fpg.engine/1"})";
  if (!change_from.empty()) text.replace(text.find(change_from), change_from.size(), change_to);
  return text;
}

void sidecars(const fs::path& folder) {
  const std::string model = (folder / "m.xml").string();
  const auto error_of = [&](const std::string& text) {
    std::ofstream(folder / "m.spec.json") << text;
    return check::message<InputError>([&] { read_spec(model); });
  };
  std::ofstream(folder / "m.xml") << "x";
  CHECK(error_of(spec_text()) == "(nothing was thrown)", "");
  const EngineSpec spec = read_spec(model);
  CHECK(spec.crop == "evaluation" && error_of(spec_text("[3, 3]", "null")) == "(nothing was thrown)", "no map");
  CHECK(read_spec(model).map_size[0] == 0 && error_of(spec_text("\"evaluation\"", "\"aligned\"")) == "(nothing was thrown)", "");
  CHECK(read_spec(model).crop == "aligned", "");
  CHECK(spec.image_size == 96 && spec.files.size() == 2 && spec.backbone == "b" && spec.provenance == R"({"z":1,"a":2})",
        spec.provenance);
  const std::string known =
      R"("warnings": ["w"], "provenance": {"calibration": {"wanted_fpr": 0.05, "real": 60, "data": ["d"]}})";
  CHECK(error_of(spec_text("\"provenance\": {\"z\": 1, \"a\": 2}", known)) == "(nothing was thrown)", "");
  const std::vector<std::string> lines = introduce(read_spec(model), "m", std::nullopt);
  CHECK(lines == (std::vector<std::string>{"judged by m (b at 96 px): threshold 0.5, set to call at most 5 % of real videos fake "
                                           "(fitted on 60 real videos of d)",
                                           "warning: w"}),
        lines[0]);
  const std::pair<std::string, std::string> wrong[] = {
      {"\"reference\": null", "\"reference\": null, \"warnings\": \"w\""},
      {"\"reference\": null", "\"reference\": null, \"warnings\": [1]"},
      {"\"openvino\"", "\"magic\""},
      {"\"m.xml\", \"files\"", "\"n.xml\", \"files\""},
      {"\"m.bin\"", "\"../m.bin\""},
      {"96", "0"},
      {"96", "9600"},
      {"[3, 3]", "[3]"},
      {"[3, 3]", "[3, 0]"},
      {"\"batch\": null", "\"batch\": [8, 4, 1]"},
      {"\"evaluation\"", "\"other\""},
      {"[\"real\", \"fake\"]", "[\"fake\", \"real\"]"},
      {"0.5", "1.5"},
      {"1.0", "-1.0"},
      {"\"provenance\": {\"z\": 1, \"a\": 2}", "\"provenance\": 3"},
      {"\"reference\": null", "\"reference\": 1"},
      {"{\"m.xml\": \"00\", \"m.bin\": \"11\"}", "{}"},
  };
  for (const auto& [from, to] : wrong) CHECK(error_of(spec_text(from, to)).find(": expected ") != std::string::npos, to);
  CHECK(error_of("{").find("is not a readable sidecar") != std::string::npos, "");
  CHECK(error_of(spec_text("\"crop\"", "\"crops\"")).find("fields do not fit: there is no crops") != std::string::npos, "");
  const std::string deep(20'000, '[');
  CHECK(
      error_of(spec_text("\"z\": 1", "\"z\": " + deep + std::string(20'000, ']'))).find("nested too deeply") != std::string::npos,
      "");
  CHECK(error_of(deep).find("nested too deeply") != std::string::npos, "");
  CHECK(error_of("[1]").find("schema: expected") != std::string::npos, "");
  // Any bytes: an InputError, never anything worse.
  const std::string whole = spec_text();
  std::srand(7);
  for (int i = 0; i < 2000; ++i) {
    std::string text = whole;
    for (int k = 0; k < 3; ++k) text[static_cast<size_t>(std::rand()) % text.size()] = static_cast<char>(std::rand());
    if (i % 3 == 0) text.resize(static_cast<size_t>(std::rand()) % text.size());
    error_of(text);
  }
  CHECK(check::message<InputError>([&] { load_engine((folder / "m.onnx").string()); }).find("expected an engine") !=
            std::string::npos,
        "");
}

void files(const fs::path& folder) {
  const fs::path target = folder / "new" / "a.txt";
  write_atomically(target.string(), "one");
  write_atomically(target.string(), "two");
  std::ifstream file(target);
  CHECK(std::string(std::istreambuf_iterator<char>(file), {}) == "two", "");
  CHECK(std::distance(fs::directory_iterator(target.parent_path()), fs::directory_iterator()) == 1, "no temporary file is left");
  CHECK(check::message<InputError>([&] { write_atomically((target / "b").string(), "x"); }).find("cannot be written") !=
            std::string::npos,
        "");
  CHECK(
      check::message<InputError>([&] { write_atomically(folder.string(), "x"); }).find("cannot be written") != std::string::npos,
      "");
}

}  // namespace

int main() {
  const fs::path folder = fs::temp_directory_path() /
                          ("fpg_runtime_test." + std::to_string(std::hash<std::thread::id>()(std::this_thread::get_id())));
  fs::create_directories(folder);
  hashes();
  sampling();
  names();
  colours();
  tracks();
  geometry();
  scores();
  batches();
  queues();
  sidecars(folder);
  files(folder);
  fs::remove_all(folder);
  return check::result();
}
