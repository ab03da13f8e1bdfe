#include "media.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <set>
#include <sstream>

#include "containers.h"
#include "exif.h"
#include "images.h"
#include "media_tags.h"
#include "video.h"

#ifdef FPG_RUNTIME_HEIF
#include <libheif/heif.h>
#endif

namespace fpg::runtime {
namespace {

constexpr size_t kLongest = 200;  // characters kept of a text in a file

using Tags = std::map<std::string, std::string>;

Tags tags_of(const AVDictionary* dictionary) {
  Tags found;
  const AVDictionaryEntry* entry = nullptr;
  while ((entry = av_dict_get(dictionary, "", entry, AV_DICT_IGNORE_SUFFIX)) != nullptr) found.emplace(entry->key, entry->value);
  return found;
}

// The first of the tags that mean `property`: the container before its streams, tags in the order of the table.
std::optional<std::string> first(const char* property, const std::vector<Tags>& stated) {
  const auto names =
      std::find_if(tags::kTags.begin(), tags::kTags.end(), [&](const auto& pair) { return pair.first == property; });
  for (const Tags& tags : stated) {
    for (const std::string& name : names->second) {
      const auto found = tags.find(name);
      if (found == tags.end()) continue;
      if (std::optional<std::string> text = single_line(found->second)) return text;
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
  const Container container(path, reading_constants().containers, reading_constants().max_video_pixels, unused);
  const AVFormatContext* format = container.format();
  MediaInfo info;
  info.format = format->iformat->name;
  if (format->duration > 0) info.duration_s = std::nearbyint(static_cast<double>(format->duration) / AV_TIME_BASE * 1e3) / 1e3;
  std::vector<Tags> stated = {tags_of(format->metadata)};
  for (unsigned i = 0; i < format->nb_streams; ++i) {
    const AVStream* stream = format->streams[i];
    const AVMediaType type = stream->codecpar->codec_type;
    if (type != AVMEDIA_TYPE_VIDEO && type != AVMEDIA_TYPE_AUDIO && type != AVMEDIA_TYPE_SUBTITLE) continue;
    stated.push_back(tags_of(stream->metadata));
    info.streams.push_back({stream->index, av_get_media_type_string(type), decoder_name(stream->codecpar->codec_id),
                            first("encoder", {stated.back()})});
  }
  info.created = first("created", stated);
  info.encoder = first("encoder", stated);
  info.device = device(first("make", stated), first("model", stated));
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

// The first EXIF block among the segments before a JPEG's pixels.
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

// The content of the PNG or WebP chunk of that name.
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
    const size_t skip = data.empty() ? 0 : 4 + size_t{big_endian(data, 0)};  // to the TIFF structure
    data = skip < data.size() ? data.substr(skip) : "";
  }
  if (handle != nullptr) heif_image_handle_release(handle);
  heif_context_free(context);
#endif
  return data;
}

// The format of an image, as Pillow names it, by its first bytes.
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
  const auto said = [&](const char* name) { return texts.count(name) ? single_line(texts[name]) : std::nullopt; };
  info.created = said("created");
  info.encoder = said("encoder");
  info.device = device(said("make"), said("model"));
  return info;
}

}  // namespace

std::optional<std::string> single_line(const std::string& text) {
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

std::optional<MediaInfo> describe_media(const std::string& path) {
  try {
    check_file(path);
    return is_image_name(path) ? picture_info(path) : video_info(path);
  } catch (const InputError&) {
    return std::nullopt;
  }
}

}  // namespace fpg::runtime
