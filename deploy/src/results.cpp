// Results on disk as they come: the twin of fpg/record/spool.py and fpg/cli/results.py.

#include "fpg_runtime/results.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "constants.h"
#include "csv.h"
#include "media.h"
#include "output.h"
#include "record.h"

namespace fpg::runtime {
namespace {

using json = nlohmann::ordered_json;

// Where a result is in the file, and enough of it to recognise the input.
struct Line {
  off_t start = 0;
  size_t length = 0;
  Exhibit exhibit;    // only bytes and time
  std::string level;  // of its finding; empty: not judged
};

json part_of(const json& value, const char* section, const char* key) {
  return value.contains(section) && value[section].is_object() && value[section].contains(key) ? value[section][key] : json();
}

Line line_of(off_t start, size_t length, const json& value) {
  Line line{start, length, {}, ""};
  if (const auto& bytes = value["bytes"]; bytes.is_number_integer()) line.exhibit.bytes = bytes.get<int64_t>();
  if (const auto& modified = value["modified"]; modified.is_string()) line.exhibit.modified = modified.get<std::string>();
  if (value["score"].is_number()) {
    const json level = part_of(value, "finding", "level");
    line.level = level.is_string() ? level.get<std::string>() : "not_calibrated";
  }
  return line;
}

json hashes_of(const json& record) {
  json hashes = json::array();
  if (!record.contains("models") || !record["models"].is_array()) return {};
  for (const json& model : record["models"])
    hashes.push_back(model.is_object() && model.contains("sha256") ? model["sha256"] : json());
  return hashes;
}

// (what, now, before) of everything that results depend on.
std::vector<std::array<json, 3>> that_count(const json& now, const json& before) {
  std::vector<std::array<json, 3>> rows = {{json("schema"), now["schema"], before.contains("schema") ? before["schema"] : json()},
                                           {json("the program"), now["fpg"]["program"], part_of(before, "fpg", "program")},
                                           {json("fpg"), now["fpg"]["version"], part_of(before, "fpg", "version")},
                                           {json("the model"), hashes_of(now), hashes_of(before)}};
  for (const std::string key : constants()["record"]["resumed_settings"]) {  // a run continues only with the same ones
    std::string option = "--" + key;
    std::replace(option.begin(), option.end(), '_', '-');
    rows.push_back({json(option), part_of(now, "settings", key.c_str()), part_of(before, "settings", key.c_str())});
  }
  return rows;
}

// Text indented by four more spaces.
std::string shifted(const std::string& text) {
  std::string result = "    ";
  for (const char c : text) {
    result += c;
    if (c == '\n') result += "    ";
  }
  return result;
}

std::string brief(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return value.is_null() ? "none" : text_of(value, -1);
  std::string text;
  for (const json& item : value) text += (text.empty() ? "" : ", ") + brief(item).substr(0, 12);
  return text;
}

}  // namespace

struct Results::Impl {
  std::string path;
  Options options;
  RunRecord run;
  json record;
  int file = -1;
  int stream = -1;  // a pipe or device, which cannot be read back
  std::map<size_t, Line> lines;
  std::map<std::string, Line> known;  // lines of the resumed run, by the name of the input

  ~Impl() {
    if (file >= 0) ::close(file);
    if (stream >= 0) ::close(stream);
  }

  [[noreturn]] void refuse() const {
    throw InputError(path.empty() ? "temporary file" : path, std::string("cannot be written: ") + std::strerror(errno),
                     codes::not_written);
  }

  void open(bool resume) {
    std::error_code ignored;
    const bool exists = !path.empty() && std::filesystem::exists(path, ignored);
    if (exists && !std::filesystem::is_regular_file(path, ignored)) {
      if (resume) throw UsageError("--resume: " + path + " is not a file, so it keeps no lines");
      stream = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
      if (stream < 0) refuse();
    }
    if (path.empty() || stream >= 0) {
      std::string name = (std::filesystem::temp_directory_path(ignored) / "fpg-XXXXXX").string();
      file = ::mkstemp(name.data());
      if (file >= 0) ::unlink(name.c_str());
    } else {
      const std::filesystem::path folder = std::filesystem::path(path).parent_path();
      if (!folder.empty()) std::filesystem::create_directories(folder, ignored);
      file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | (resume ? 0 : O_TRUNC), 0666);
    }
    if (file < 0) refuse();
    if (resume && !path.empty()) take_up();
  }

  std::string read(off_t start, size_t length) const {
    std::string data(length, '\0');
    for (size_t done = 0; done < length;) {
      const ssize_t part = ::pread(file, data.data() + done, length - done, start + static_cast<off_t>(done));
      if (part < 0 && errno == EINTR) continue;
      if (part < 0) refuse();  // not the end: what is behind it must not be cut off
      if (part == 0) {
        data.resize(done);
        break;
      }
      done += static_cast<size_t>(part);
    }
    return data;
  }

  json value(const Line& line) const {
    json found = json::parse(read(line.start, line.length));
    found.erase("schema");
    found.erase("record");
    return found;
  }

  // Reads the complete lines, and cuts off an incomplete last one.
  void take_up() {
    std::set<std::string> twice;
    off_t position = 0;
    int64_t number = 0;
    std::string rest;
    for (std::string block; !(block = read(position + static_cast<off_t>(rest.size()), 1 << 20)).empty();) {
      rest += block;
      size_t begin = 0;
      for (size_t end; (end = rest.find('\n', begin)) != std::string::npos; begin = end + 1) {
        const std::string text = rest.substr(begin, end - begin);
        take_line(text, ++number, position + static_cast<off_t>(begin), twice);
      }
      position += static_cast<off_t>(begin);
      rest.erase(0, begin);
    }
    for (const std::string& name : twice) known.erase(name);  // inputs of the same name cannot be told apart
    if (::ftruncate(file, position) != 0) refuse();
  }

  void take_line(const std::string& text, int64_t number, off_t start, std::set<std::string>& twice) {
    const json value = json::parse(text, nullptr, false);
    if (!value.is_object() || !value.contains("input") || !value["input"].is_string() || !value.contains("record") ||
        !value["record"].is_object() || !value.contains("bytes") || !value.contains("modified") || !value.contains("score"))
      throw InputError(path,
                       "line " + std::to_string(number) + " is not a result of fpg-detect: --resume continues only its own lines",
                       codes::invalid);
    for (const auto& [what, now, before] : that_count(record, value["record"])) {
      if (now != before)
        throw UsageError("--resume: line " + std::to_string(number) + " of " + path + " was written with " + brief(what) + " " +
                         brief(before) + ", now " + brief(now) + ": go on with the same, or without --resume");
    }
    const std::string name = value["input"];
    if (!known.emplace(name, line_of(start, text.size() + 1, value)).second) twice.insert(name);
  }

  void append(int to, const std::string& data) const {
    for (size_t done = 0; done < data.size();) {
      const ssize_t part = ::write(to, data.data() + done, data.size() - done);
      if (part < 0 && errno == EINTR) continue;
      if (part < 0) refuse();
      done += static_cast<size_t>(part);
    }
  }
};

Results::Results(const std::string& path, const Options& options, const RunRecord& record, bool resume)
    : impl_(std::make_unique<Impl>()) {
  impl_->path = path;
  impl_->options = options;
  impl_->run = record;
  impl_->record = record_value(options, record);
  impl_->open(resume);
}

Results::~Results() = default;

bool Results::take_known(size_t place, const std::string& input) {
  const auto found = impl_->known.find(json::parse(text_of(input, -1)).get<std::string>());  // as written in the lines
  if (found == impl_->known.end()) return false;
  std::error_code ignored;
  const Exhibit& before = found->second.exhibit;
  const bool same =
      before.modified ? !changed_since(input, before) : !before.bytes && !std::filesystem::is_regular_file(input, ignored);
  if (same) impl_->lines[place] = found->second;
  return same;
}

void Results::add(size_t place, const Judgement& judgement) {
  json value = value_of(judgement);
  value["schema"] = constants()["record"]["schema"];
  value["record"] = impl_->record;
  value["record"]["ended"] = now_utc();
  const std::string data = text_of(value, -1) + "\n";
  const off_t start = ::lseek(impl_->file, 0, SEEK_END);
  if (start < 0) impl_->refuse();
  impl_->append(impl_->file, data);
  if (impl_->stream >= 0) impl_->append(impl_->stream, data);
  impl_->lines[place] = line_of(start, data.size(), value);
}

size_t Results::size() const { return impl_->lines.size(); }

bool Results::failed() const {
  return std::any_of(impl_->lines.begin(), impl_->lines.end(), [](const auto& line) { return line.second.level.empty(); });
}

std::map<std::string, int64_t> Results::levels() const {
  std::map<std::string, int64_t> counts;
  for (const auto& [place, line] : impl_->lines) ++counts[line.level];
  return counts;
}

void Results::write_json(const std::string& path, const RunRecord& ended, const std::vector<Skipped>& skipped) const {
  json left = json::array();
  for (const Skipped& item : skipped) left.push_back({{"path", item.path}, {"reason", item.reason}});
  write_atomically(path, [&](const Write& write) {
    const json end = {{"skipped", left}};
    const std::string head = text_of(head_of(impl_->options, ended)), tail = text_of(end);
    write(head.substr(0, head.size() - 2) + ",\n  \"results\": [");
    const char* before = "\n";
    for (const auto& [place, line] : impl_->lines) {
      write(before + shifted(text_of(impl_->value(line))));
      before = ",\n";
    }
    write(std::string(impl_->lines.empty() ? "]" : "\n  ]") + "," + tail.substr(1) + "\n");
  });
}

void Results::write_csv(const std::string& path) const {
  write_atomically(path, [&](const Write& write) {
    write(csv_head());
    for (const auto& [place, line] : impl_->lines) write(csv_rows(impl_->value(line)));
  });
}

}  // namespace fpg::runtime
