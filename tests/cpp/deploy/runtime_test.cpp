// The runtime's parts that need no video: hashes, sampling, order of names, tracks, geometry, queues, sidecars, whole files.

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <thread>

#include "../check.h"
#include "channel.h"
#include "faces.h"
#include "fpg_runtime/runtime.h"
#include "sha256.h"
#include "tracker.h"
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

void tracks() {
  Tracker tracker;
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
  CHECK(std::abs(merged[0].box[3] - (0.6 * 10 + 0.9 * 12) / 1.5) < 1e-5 &&
            std::abs(merged[0].points[0][0] - (0.6 + 2.7) / 1.5) < 1e-6,
        "");
  const Roi roi = roi_around({0, 0, 20, 10}, {5, 5}, {5, 9}, 1.5);  // eyes one below the other: a quarter turn
  const auto corner = roi.to_image(0, 0);
  CHECK(roi.side == 30 && std::abs(corner[0] - 25) < 1e-9 && std::abs(corner[1] + 10) < 1e-9, "");
  Image crop;
  CHECK(!crop_upright(Image(50, 50), {500, 500, 20, 0}, 192, crop), "outside");
  CHECK(!crop_upright(Image(50, 50), {25, 25, std::nan(""), 0}, 192, crop), "no number");
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
    CHECK(!left.put(2), "nobody takes it");
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
  const auto said = [&](const std::string& text) {
    std::ofstream(folder / "m.spec.json") << text;
    return check::message<InputError>([&] { read_spec(model); });
  };
  std::ofstream(folder / "m.xml") << "x";
  CHECK(said(spec_text()) == "(nothing was thrown)", "");
  const EngineSpec spec = read_spec(model);
  CHECK(spec.crop == "evaluation" && said(spec_text("[3, 3]", "null")) == "(nothing was thrown)", "no map");
  CHECK(read_spec(model).map_size[0] == 0 && said(spec_text("\"evaluation\"", "\"aligned\"")) == "(nothing was thrown)", "");
  CHECK(read_spec(model).crop == "aligned", "");
  CHECK(spec.image_size == 96 && spec.files.size() == 2 && spec.backbone == "b" && spec.provenance == R"({"z":1,"a":2})",
        spec.provenance);
  const std::string known =
      R"("warnings": ["w"], "provenance": {"calibration": {"wanted_fpr": 0.05, "real": 60, "data": ["d"]}})";
  CHECK(said(spec_text("\"provenance\": {\"z\": 1, \"a\": 2}", known)) == "(nothing was thrown)", "");
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
  for (const auto& [from, to] : wrong) CHECK(said(spec_text(from, to)).find(": expected ") != std::string::npos, to);
  CHECK(said("{").find("is not a readable sidecar") != std::string::npos, "");
  CHECK(said(spec_text("\"crop\"", "\"crops\"")).find("fields do not fit: there is no crops") != std::string::npos, "");
  const std::string deep(20'000, '[');
  CHECK(said(spec_text("\"z\": 1", "\"z\": " + deep + std::string(20'000, ']'))).find("nested too deeply") != std::string::npos,
        "");
  CHECK(said(deep).find("nested too deeply") != std::string::npos, "");
  CHECK(said("[1]").find("schema: expected") != std::string::npos, "");
  // Whatever bytes are there: an error, never anything worse.
  const std::string whole = spec_text();
  std::srand(7);
  for (int i = 0; i < 2000; ++i) {
    std::string text = whole;
    for (int k = 0; k < 3; ++k) text[static_cast<size_t>(std::rand()) % text.size()] = static_cast<char>(std::rand());
    if (i % 3 == 0) text.resize(static_cast<size_t>(std::rand()) % text.size());
    said(text);
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
  CHECK(std::distance(fs::directory_iterator(target.parent_path()), fs::directory_iterator()) == 1, "nothing else is left");
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
  tracks();
  geometry();
  queues();
  sidecars(folder);
  files(folder);
  fs::remove_all(folder);
  return check::result();
}
