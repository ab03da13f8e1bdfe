#include "media.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>

#include "container.h"
#include "media_tags.h"
#include "pictures.h"
#include "video.h"

#ifdef FPG_RUNTIME_HEIF
#include <libheif/heif.h>
#endif

namespace fpg::runtime {
namespace {

constexpr size_t kLongest = 200;  // characters kept of what a file says
constexpr uint32_t kMostEntries = 1000, kLongestText = 1000;
constexpr uint16_t kSubDirectory = 0x8769, kAscii = 2, kLong = 4;
const std::map<uint32_t, std::string> kTexts = {
    {0x010f, "make"}, {0x0110, "model"}, {0x0131, "encoder"}, {0x0132, "changed"}, {0x9003, "created"}};

// One line, not too long; nothing for nothing. Characters beyond ASCII are kept as they are.
std::optional<std::string> kept(const std::string& text) {
  std::string line;
  bool gap = false;
  size_t characters = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte == 0x7f) {
      gap = !line.empty();
      continue;
    }
    const bool begins = (byte & 0xc0) != 0x80;
    if (begins && characters + (gap ? 1 : 0) >= kLongest) break;
    if (gap) line += ' ';
    characters += (gap ? 1 : 0) + (begins ? 1 : 0);
    gap = false;
    line += c;
  }
  return line.empty() ? std::nullopt : std::optional<std::string>(line);
}

using Tags = std::map<std::string, std::string>;

Tags tags_of(const AVDictionary* dictionary) {
  Tags found;
  const AVDictionaryEntry* entry = nullptr;
  while ((entry = av_dict_get(dictionary, "", entry, AV_DICT_IGNORE_SUFFIX)) != nullptr) found.emplace(entry->key, entry->value);
  return found;
}

// The first answer: of the container before its streams, of the tags in their order.
std::optional<std::string> first(const char* question, const std::vector<Tags>& told) {
  const auto asked =
      std::find_if(tags::kTags.begin(), tags::kTags.end(), [&](const auto& pair) { return pair.first == question; });
  for (const Tags& tags : told) {
    for (const std::string& name : asked->second) {
      const auto found = tags.find(name);
      if (found == tags.end()) continue;
      if (std::optional<std::string> text = kept(found->second)) return text;
    }
  }
  return std::nullopt;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::optional<std::string> device(const std::optional<std::string>& make, const std::optional<std::string>& model) {
  if (!make || !model) return model ? model : make;
  return lower(*model).rfind(lower(*make), 0) == 0 ? model : *make + " " + *model;
}

std::optional<std::string> decoder_name(AVCodecID id) {
  return avcodec_find_decoder(id) == nullptr ? std::nullopt : std::optional<std::string>(avcodec_get_name(id));
}

MediaInfo video_info(const std::string& path) {
  Notes unused;
  const Container container(path, kVideoContainers, kMaxVideoPixels, unused);
  const AVFormatContext* format = container.format();
  MediaInfo info;
  info.format = format->iformat->name;
  if (format->duration > 0) info.duration_s = std::nearbyint(static_cast<double>(format->duration) / AV_TIME_BASE * 1e3) / 1e3;
  std::vector<Tags> told = {tags_of(format->metadata)};
  for (unsigned i = 0; i < format->nb_streams; ++i) {
    const AVStream* stream = format->streams[i];
    const AVMediaType type = stream->codecpar->codec_type;
    if (type != AVMEDIA_TYPE_VIDEO && type != AVMEDIA_TYPE_AUDIO && type != AVMEDIA_TYPE_SUBTITLE) continue;
    told.push_back(tags_of(stream->metadata));
    info.streams.push_back({stream->index, av_get_media_type_string(type), decoder_name(stream->codecpar->codec_id),
                            first("encoder", {told.back()})});
  }
  info.created = first("created", told);
  info.encoder = first("encoder", told);
  info.device = device(first("make", told), first("model", told));
  return info;
}

bool begins(const std::string& data, size_t at, const std::string& text) { return data.compare(at, text.size(), text) == 0; }

uint32_t big_endian(const std::string& data, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4 && at + i < data.size(); ++i) value = value << 8 | static_cast<uint8_t>(data[at + i]);
  return value;
}

uint32_t little_endian(const std::string& data, size_t at) {
  uint32_t value = 0;
  for (size_t i = 4; i-- > 0;) value = value << 8 | (at + i < data.size() ? static_cast<uint8_t>(data[at + i]) : 0);
  return value;
}

// The first EXIF block among a JPEG's segments before its pixels.
std::string jpeg_exif(std::istream& file) {
  std::array<char, 4> head{};
  file.seekg(2);
  while (file.read(head.data(), 4) && static_cast<uint8_t>(head[0]) == 0xff && static_cast<uint8_t>(head[1]) != 0xda) {
    const auto length = static_cast<size_t>(static_cast<uint8_t>(head[2]) << 8 | static_cast<uint8_t>(head[3]));
    if (length < 2) break;
    std::string data(length - 2, '\0');
    if (!file.read(data.data(), static_cast<std::streamsize>(data.size()))) break;
    if (static_cast<uint8_t>(head[1]) == 0xe1 && begins(data, 0, std::string("Exif\0\0", 6))) return data;
  }
  return {};
}

// The content of a PNG's or WebP's chunk of that name.
std::string chunk(std::istream& file, size_t from, const std::string& name, bool png) {
  file.seekg(static_cast<std::streamoff>(from));
  std::string head(8, '\0');
  while (file.read(head.data(), 8)) {
    const uint32_t length = png ? big_endian(head, 0) : little_endian(head, 4);
    if (begins(head, png ? 4 : 0, name)) {
      std::string data(std::min<uint32_t>(length, 1 << 20), '\0');
      file.read(data.data(), static_cast<std::streamsize>(data.size()));
      data.resize(static_cast<size_t>(file.gcount()));
      return data;
    }
    file.seekg(static_cast<std::streamoff>(length) + (png ? 4 : length % 2), std::ios::cur);
  }
  return {};
}

std::string heif_exif([[maybe_unused]] const std::string& path) {
  std::string data;
#ifdef FPG_RUNTIME_HEIF
  heif_context* context = heif_context_alloc();
  heif_image_handle* handle = nullptr;
  heif_item_id id = 0;
  if (heif_context_read_from_file(context, path.c_str(), nullptr).code == heif_error_Ok &&
      heif_context_get_primary_image_handle(context, &handle).code == heif_error_Ok &&
      heif_image_handle_get_list_of_metadata_block_IDs(handle, "Exif", &id, 1) == 1) {
    data.resize(heif_image_handle_get_metadata_size(handle, id));
    if (data.size() <= 4 || heif_image_handle_get_metadata(handle, id, data.data()).code != heif_error_Ok) data.clear();
    const size_t skip = data.empty() ? 0 : 4 + size_t{big_endian(data, 0)};  // where the TIFF structure begins
    data = skip < data.size() ? data.substr(skip) : "";
  }
  if (handle != nullptr) heif_image_handle_release(handle);
  heif_context_free(context);
#endif
  return data;
}

// What Pillow calls the format of a picture, by its first bytes.
std::string picture_format(const std::string& start) {
  if (begins(start, 0, "\xff\xd8\xff")) return "JPEG";
  if (begins(start, 0, "\x89PNG")) return "PNG";
  if (begins(start, 0, "RIFF") && begins(start, 8, "WEBP")) return "WEBP";
  if (begins(start, 0, "II") || begins(start, 0, "MM")) return "TIFF";
  if (begins(start, 0, "GIF8")) return "GIF";
  if (begins(start, 0, "BM")) return "BMP";
  if (begins(start, 4, "ftyp")) return start.find("avi", 8) < 40 ? "AVIF" : "HEIF";
  if (begins(start, 0, std::string("\0\0\0\x0cjP", 6)) || begins(start, 0, "\xff\x4f\xff\x51")) return "JPEG2000";
  return "PPM";
}

MediaInfo picture_info(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string start(64, '\0');
  file.read(start.data(), static_cast<std::streamsize>(start.size()));
  file.clear();
  MediaInfo info;
  info.format = picture_format(start);
  std::map<std::string, std::string> texts;
  if (info.format == "TIFF") {
    file.seekg(0);
    texts = exif_texts(file);
  } else {
    std::string block;
    if (info.format == "JPEG") block = jpeg_exif(file);
    if (info.format == "PNG") block = chunk(file, 8, "eXIf", true);
    if (info.format == "WEBP") block = chunk(file, 12, "EXIF", false);
    if (info.format == "HEIF" || info.format == "AVIF") block = heif_exif(path);
    std::istringstream data(block);
    texts = exif_texts(data);
  }
  const auto said = [&](const char* name) { return texts.count(name) ? kept(texts[name]) : std::nullopt; };
  info.created = said("created");
  info.encoder = said("encoder");
  info.device = device(said("make"), said("model"));
  return info;
}

// `bytes` of a number at a place; nothing where the data end before.
std::optional<uint32_t> number(std::istream& data, std::streamoff at, int bytes, bool little) {
  std::array<uint8_t, 4> raw{};
  data.clear();
  data.seekg(at);
  if (!data.read(reinterpret_cast<char*>(raw.data()), bytes)) return std::nullopt;
  uint32_t value = 0;
  for (int i = 0; i < bytes; ++i) value |= static_cast<uint32_t>(raw[static_cast<size_t>(i)]) << 8 * (little ? i : bytes - 1 - i);
  return value;
}

// Takes the texts of a directory; where the one below it is, 0 without one.
uint32_t directory(std::istream& data, std::streamoff base, uint32_t at, bool little, std::map<std::string, std::string>& found) {
  uint32_t below = 0;
  const std::optional<uint32_t> entries = number(data, base + at, 2, little);
  for (uint32_t i = 0; i < std::min(entries.value_or(0), kMostEntries); ++i) {
    const std::streamoff entry = base + at + 2 + 12 * static_cast<std::streamoff>(i);
    const auto tag = number(data, entry, 2, little), kind = number(data, entry + 2, 2, little);
    const auto count = number(data, entry + 4, 4, little), value = number(data, entry + 8, 4, little);
    if (!tag || !kind || !count || !value) break;
    if (*tag == kSubDirectory && *kind == kLong) below = *value;
    const auto name = kTexts.find(*tag);
    if (name == kTexts.end() || *kind != kAscii || found.count(name->second)) continue;
    std::string text(std::min(*count, kLongestText), '\0');
    data.clear();
    data.seekg(*count <= 4 ? entry + 8 : base + static_cast<std::streamoff>(*value));
    data.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<size_t>(data.gcount()));
    text.resize(std::strlen(text.c_str()));
    if (kept(text)) found[name->second] = text;
  }
  return below;
}

}  // namespace

std::map<std::string, std::string> exif_texts(std::istream& data) {
  std::array<char, 6> start{};
  data.read(start.data(), 6);
  const std::streamoff base = std::memcmp(start.data(), "Exif\0\0", 6) == 0 ? 6 : 0;
  data.clear();
  data.seekg(base);
  data.read(start.data(), 4);
  const bool little = std::memcmp(start.data(), "II*\0", 4) == 0;
  if (!little && std::memcmp(start.data(), "MM\0*", 4) != 0) return {};
  std::map<std::string, std::string> found;
  const std::optional<uint32_t> first_directory = number(data, base + 4, 4, little);
  if (!first_directory) return {};
  const uint32_t below = directory(data, base, *first_directory, little, found);
  if (below != 0) directory(data, base, below, little, found);
  if (found.count("changed")) {
    found.emplace("created", found["changed"]);
    found.erase("changed");
  }
  return found;
}

std::optional<MediaInfo> describe_media(const std::string& path) {
  try {
    check_file(path);
    return is_image_name(path) ? picture_info(path) : video_info(path);
  } catch (const InputError&) {
    return std::nullopt;
  }
}

}  // namespace fpg::runtime
