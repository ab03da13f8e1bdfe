#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "constants.h"
#include "fpg_runtime/runtime.h"
#include "models.h"
#include "sha256.h"

namespace fpg::runtime {
namespace {

using json = nlohmann::ordered_json;  // provenance keeps its order

constexpr const char* kFields[] = {"backend",   "model_file", "files",  "detector", "image_size", "map_size",  "network",
                                   "precision", "batch",      "build",  "crop",     "labels",     "threshold", "temperature",
                                   "reference", "provenance", "schema", "warnings", "reliability"};
constexpr int kDeepest = 100;  // levels of nesting

std::string one_line(const std::string& text) {
  std::istringstream words(text);
  std::string result;
  for (std::string word; words >> word;) result += (result.empty() ? "" : " ") + word;
  return result;
}

// Throws InputError for a field that is not as expected.
class Reader {
 public:
  Reader(std::string path, const json& value) : path_(std::move(path)), value_(value) {}

  const json& field(const char* name) const {
    static const json nothing;
    const auto found = value_.find(name);
    return found == value_.end() ? nothing : *found;
  }

  bool absent(const char* name) const { return value_.find(name) == value_.end(); }

  void expect(bool ok, const char* name, const char* expected) const {
    if (!ok) throw InputError(path_, std::string(name) + ": expected " + expected + ", got " + field(name).dump().substr(0, 80));
  }

  std::string text(const char* name, const char* otherwise) const {
    if (absent(name)) return otherwise;
    expect(field(name).is_string(), name, "a text");
    return field(name).get<std::string>();
  }

  double number(const char* name, double otherwise, double low, double high, const char* expected) const {
    if (absent(name)) return otherwise;
    expect(field(name).is_number(), name, expected);
    const double value = field(name).get<double>();
    expect(value >= low && value <= high, name, expected);
    return value;
  }

 private:
  std::string path_;
  const json& value_;
};

bool whole(const json& value) {
  return value.is_number_integer() && value.get<int64_t>() >= 1 && value.get<int64_t>() <= (1 << 30);
}

// Whether a value is an array of so many positive integers.
bool wholes(const json& value, size_t count) {
  return value.is_array() && value.size() == count && std::all_of(value.begin(), value.end(), whole);
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// EngineSpec.stated_rate of fpg/common/spec.py.
std::string stated_rate(const json& fitted) {
  if (!fitted.is_object() || !fitted.value("wanted_fpr", json()).is_number()) return "";
  std::string where;
  if (const json data = fitted.value("data", json()); data.is_array()) {
    for (const json& name : data) {
      if (name.is_string()) where += (where.empty() ? "" : ", ") + name.get<std::string>();
    }
  }
  const json real = fitted.value("real", json());
  return message("stated_rate", {{"rate", short_number(100 * fitted["wanted_fpr"].get<double>(), 4)},
                                 {"data", (whole(real) ? std::to_string(real.get<int64_t>()) + " real videos of " : "") +
                                              (where.empty() ? "validation data" : where)}});
}

bool is_count(const json& value) {
  return value.is_number_integer() && value.get<int64_t>() >= 0 && value.get<int64_t>() <= (1 << 30);
}

// Whether there is a field for all that a reliability consists of, and no other.
bool has_reliability_fields(const json& value) {
  const std::vector<std::string>& fields = model_constants().reliability_fields;
  for (const auto& [name, part] : value.items()) {
    if (name != "data" && !contains(fields, name)) return false;
  }
  const auto object = [&](const char* name) { return value.value(name, json()).is_object(); };
  const json weight = value.value("weight", json()), data = value.value("data", json::array());
  return object("bounds") && object("levels") && object("conditions") && is_count(value.value("real", json())) &&
         is_count(value.value("fake", json())) && weight.is_number() && weight.get<double>() > 0 && data.is_array() &&
         std::all_of(data.begin(), data.end(), [](const json& name) { return name.is_string(); });
}

// EngineSpec.reliability of fpg/common/spec.py; nullopt for a value that is not one.
std::optional<Reliability> reliability_of(const json& value) {
  if (!has_reliability_fields(value)) return std::nullopt;
  Reliability found;
  found.real = value["real"].get<int64_t>();
  found.fake = value["fake"].get<int64_t>();
  found.weight = value["weight"].get<double>();
  const json& bounds = value["bounds"];
  for (const std::string& level : model_constants().bounded_levels) {
    if (bounds.size() != model_constants().bounded_levels.size() || !bounds.contains(level)) return std::nullopt;
    const json& bound = bounds[level];
    const bool fits = bound.is_number() && bound.get<double>() >= 0 && bound.get<double>() <= 1;
    if (!bound.is_null() && !fits) return std::nullopt;
    found.bounds.emplace_back(level, fits ? std::optional(bound.get<double>()) : std::nullopt);
  }
  for (const auto& [level, counts] : value["levels"].items()) {
    if (!counts.is_object() || counts.size() != 2 || !is_count(counts.value("real", json())) ||
        !is_count(counts.value("fake", json())))
      return std::nullopt;
    found.levels.push_back({level, {counts["real"].get<int64_t>(), counts["fake"].get<int64_t>()}});
  }
  for (const auto& [name, end] : value["conditions"].items()) {
    if (!end.is_number()) return std::nullopt;
    found.conditions.emplace_back(name, end.get<double>());
  }
  return found;
}

// The sidecar's JSON: an object of the expected schema without unknown fields.
json parsed(const std::string& model, const std::string& path) {
  std::ifstream file(path);
  if (!file) {
    throw InputError(model, "has no sidecar " + std::filesystem::path(path).filename().string() +
                                "; export or save it with fpg, or import it first");
  }
  json value;
  try {
    // Deep nesting would overflow the stack of whatever writes it again.
    value = json::parse(file, [](int depth, json::parse_event_t, const json&) {
      if (depth > kDeepest) throw std::runtime_error("nested too deeply");
      return true;
    });
    value.dump();  // text that is not UTF-8 is refused now, not when the results are written
  } catch (const std::exception& error) {
    throw InputError(path, std::string("is not a readable sidecar: ") + error.what());
  }
  const std::string& schema = model_constants().schema;
  if (!value.is_object() || value.value("schema", json()) != schema) {
    throw InputError(path, "schema: expected " + schema + ", got " +
                               (value.is_object() ? value.value("schema", json()).dump() : value.type_name()));
  }
  for (const auto& [name, content] : value.items()) {
    if (std::find(std::begin(kFields), std::end(kFields), name) == std::end(kFields))
      throw InputError(path, "fields do not fit: there is no " + name);
  }
  return value;
}

// What the model is, and its files.
void read_files(const Reader& read, EngineSpec& spec) {
  const std::vector<std::string>& backends = model_constants().backends;
  spec.backend = read.text("backend", "");
  read.expect(contains(backends, spec.backend), "backend", "one of torch, onnx, openvino, tensorrt, tensorrt-rtx");
  const json& files = read.field("files");
  read.expect(files.is_object() && !files.empty(), "files", "plain names, each with its SHA-256");
  for (const auto& [name, hash] : files.items()) {
    const bool plain = !name.empty() && name != "." && name != ".." && name.find('\0') == std::string::npos &&
                       std::filesystem::path(name).filename() == name;
    read.expect(plain && hash.is_string(), "files", "plain names, each with its SHA-256");
    spec.files.emplace_back(name, hash.get<std::string>());
  }
  spec.model_file = read.text("model_file", "");
  read.expect(files.contains(spec.model_file), "model_file", "one of the names in files");
  read.expect(read.field("detector").is_object(), "detector", "an object");
  const json backbone = read.field("detector").value("backbone", json());
  if (backbone.is_string()) spec.backbone = backbone.get<std::string>();
  if (const json& build = read.field("build"); !build.is_null()) {
    read.expect(build.is_object(), "build", "null or an object");
    const auto text = [&](const char* name) {
      return build.value(name, json()).is_string() ? build[name].get<std::string>() : std::string();
    };
    spec.package = text("package");
    spec.package_version = text("version");
    spec.compute_capability = text("compute_capability");
  }
}

// Shapes of the input and the outputs, and how faces are cut for it.
void read_shapes(const Reader& read, EngineSpec& spec) {
  const ModelConstants& c = model_constants();
  read.expect(whole(read.field("image_size")) && read.field("image_size") <= c.largest_side, "image_size",
              "an integer from 1 to 4096");
  spec.image_size = read.field("image_size").get<int>();
  const json& map = read.field("map_size");
  spec.network = read.text("network", "forgery-detector");
  const bool mapless = !read.absent("map_size") && map.is_null() && spec.network == "forgery-detector";
  read.expect(mapless || (wholes(map, 2) && map[0] <= spec.image_size && map[1] <= spec.image_size), "map_size",
              "two integers from 1 to image_size, of a detector also null");
  if (!mapless) spec.map_size = {map[0].get<int>(), map[1].get<int>()};
  spec.precision = read.text("precision", "fp32");
  if (const json& batch = read.field("batch"); !batch.is_null()) {
    read.expect(wholes(batch, 3) && batch[0] <= batch[1] && batch[1] <= batch[2] && batch[2] <= c.largest_batch, "batch",
                "null or three integers from 1 to 1024 in rising order");
    spec.batch = {batch[0].get<int>(), batch[1].get<int>(), batch[2].get<int>()};
  }
  const bool evaluation = read.absent("crop") || read.field("crop") == "evaluation";
  read.expect(evaluation || read.field("crop") == "aligned", "crop", "one of evaluation, aligned");
  spec.crop = evaluation ? "evaluation" : "aligned";
}

// What its scores mean.
void read_scores(const Reader& read, EngineSpec& spec) {
  const json& labels = read.field("labels");
  read.expect(read.absent("labels") || labels == json::array({"real", "fake"}), "labels", "real, fake");
  spec.threshold = read.number("threshold", 0.5, 0, 1, "a number in [0, 1]");
  spec.temperature = read.number("temperature", 1, std::nextafter(0.0, 1.0), model_constants().largest_number, "a number > 0");
  const json& reference = read.field("reference");
  read.expect(reference.is_null() || reference.is_object(), "reference", "null or an object");
  const json& provenance = read.field("provenance");
  read.expect(read.absent("provenance") || provenance.is_object(), "provenance", "an object without NaN or infinity");
  spec.provenance = provenance.is_null() ? "{}" : provenance.dump();
  if (provenance.is_object()) spec.stated_rate = stated_rate(provenance.value("calibration", json()));
  if (const json& reliability = read.field("reliability"); !reliability.is_null()) {
    if (reliability.is_object()) spec.reliability = reliability_of(reliability);
    read.expect(spec.reliability.has_value(), "reliability", model_constants().reliability.c_str());
    spec.reliability_json = reliability.dump();
  }
  const json& warnings = read.field("warnings");
  const bool texts =
      warnings.is_array() && std::all_of(warnings.begin(), warnings.end(), [](const json& w) { return w.is_string(); });
  read.expect(read.absent("warnings") || texts, "warnings", "a list of texts");
  for (const json& text : warnings) spec.warnings.push_back(text.get<std::string>());
}

}  // namespace

InputError::InputError(std::string path, const std::string& reason, std::string code)
    : std::runtime_error(path + ": " + one_line(reason)),
      path_(std::move(path)),
      reason_(one_line(reason)),
      code_(std::move(code)) {}

EngineSpec read_spec(const std::string& model) {
  const std::string path = sidecar(model).string();
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(model, ignored)) throw InputError(model, "no such file");
  const json value = parsed(model, path);
  const Reader read(path, value);
  EngineSpec spec;
  read_files(read, spec);
  read_shapes(read, spec);
  read_scores(read, spec);
  return spec;
}

std::vector<std::string> introduce(const EngineSpec& spec, const std::string& name, std::optional<double> threshold) {
  const std::string limit = threshold ? short_number(*threshold, 4) + ", as given"
                                      : short_number(spec.threshold, 4) + ", " +
                                            (spec.stated_rate.empty() ? message("no_stated_rate") : spec.stated_rate);
  std::vector<std::string> lines = {message("judged_by", {{"name", name},
                                                          {"backbone", spec.backbone.empty() ? "unknown network" : spec.backbone},
                                                          {"size", std::to_string(spec.image_size)},
                                                          {"threshold", limit}})};
  for (const std::string& text : spec.warnings) lines.push_back("warning: " + text);
  return lines;
}

void verify_files(const EngineSpec& spec, const std::string& model) {
  for (const auto& [name, expected] : spec.files) {
    const std::string path = (std::filesystem::path(model).parent_path() / name).string();
    const std::string actual = sha256_of_file(path);
    if (actual != expected) {
      throw InputError(path, "does not match its sidecar (SHA-256 " + actual.substr(0, 12) + "..., expected " +
                                 expected.substr(0, 12) + "...)");
    }
  }
}

}  // namespace fpg::runtime
