// JPEG with libjpeg, as Pillow reads it: FFmpeg's decoder computes chroma differently.

#include <cstdio>

#include <jerror.h>
#include <jpeglib.h>

#include <algorithm>
#include <csetjmp>
#include <cstring>
#include <memory>
#include <string_view>

#include "display.h"
#include "exif.h"
#include "images.h"
#include "orientation.h"

namespace fpg::runtime {
namespace {

struct Errors {
  jpeg_error_mgr base;
  jmp_buf escape;
  char text[JMSG_LENGTH_MAX];
  bool incomplete;
};

void on_error(j_common_ptr jpeg) {
  auto* errors = reinterpret_cast<Errors*>(jpeg->err);
  jpeg->err->format_message(jpeg, errors->text);
  std::longjmp(errors->escape, 1);
}

// Warnings do not matter, except those about missing data.
void on_message(j_common_ptr jpeg, int level) {
  const int code = jpeg->err->msg_code;
  if (level < 0 && (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER)) reinterpret_cast<Errors*>(jpeg->err)->incomplete = true;
}

// Each scan costs a pass over the whole image, and a small file has room for thousands of them.
struct Scans {
  jpeg_progress_mgr base;
  bool too_many;
};

void on_progress(j_common_ptr jpeg) {
  if (reinterpret_cast<j_decompress_ptr>(jpeg)->input_scan_number <= reading_constants().max_jpeg_scans) return;
  reinterpret_cast<Scans*>(jpeg->progress)->too_many = true;
  std::longjmp(reinterpret_cast<Errors*>(jpeg->err)->escape, 1);
}

// EXIF's orientation, by the file's markers.
int orientation(const jpeg_decompress_struct& jpeg) {
  for (jpeg_saved_marker_ptr marker = jpeg.marker_list; marker != nullptr; marker = marker->next) {
    const bool exif =
        marker->marker == JPEG_APP0 + 1 && marker->data_length >= 14 && std::memcmp(marker->data, "Exif\0\0", 6) == 0;
    if (exif) return exif_orientation(marker->data, marker->data_length);
  }
  return 1;
}

// Whether other pictures follow (MPO), by the file's markers.
bool several(const jpeg_decompress_struct& jpeg) {
  bool found = false;
  for (jpeg_saved_marker_ptr marker = jpeg.marker_list; marker != nullptr; marker = marker->next) {
    const std::string_view text(reinterpret_cast<const char*>(marker->data), marker->data_length);
    if (marker->marker == JPEG_APP0 + 1 && text.find(" hdrgm:Version=\"") != text.npos)
      return false;  // a gain map, not a picture
    if (marker->marker != JPEG_APP0 + 2 || text.substr(0, 4) != std::string_view("MPF\0", 4) || text.size() < 14) continue;
    const bool little = text[4] == 'I';
    const auto number = [&](size_t at, size_t bytes) {
      uint32_t value = 0;
      for (size_t i = 0; i < bytes && at + i < text.size(); ++i)
        value |= static_cast<uint32_t>(static_cast<uint8_t>(text[at + i])) << 8 * (little ? i : bytes - 1 - i);
      return value;
    };
    const size_t directory = 4 + size_t{number(8, 4)}, entries = number(directory, 2);
    for (size_t i = 0; i < entries && directory + 14 + 12 * i <= text.size(); ++i)
      found = found || (number(directory + 2 + 12 * i, 2) == 0xb001 && number(directory + 10 + 12 * i, 4) > 1);
  }
  return found;
}

}  // namespace

Image read_jpeg(const std::string& path, Notes& notes) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file) throw InputError(path, "cannot be opened");
  jpeg_decompress_struct jpeg{};
  Errors errors{};
  Scans scans{};
  scans.base.progress_monitor = on_progress;
  Image image;
  std::vector<JSAMPLE> row;
  volatile int turn = 1;
  jpeg.err = jpeg_std_error(&errors.base);
  errors.base.error_exit = on_error;
  errors.base.emit_message = on_message;
  const std::unique_ptr<jpeg_decompress_struct, void (*)(j_decompress_ptr)> guard(&jpeg, jpeg_destroy_decompress);
  if (setjmp(errors.escape) != 0) {
    if (scans.too_many)
      throw InputError(path, "is a JPEG of more than " + std::to_string(reading_constants().max_jpeg_scans) + " scans",
                       codes::too_large);
    throw InputError(path, std::string("is damaged or truncated: ") + errors.text, codes::damaged);
  }
  jpeg_create_decompress(&jpeg);
  jpeg.progress = &scans.base;
  jpeg_stdio_src(&jpeg, file.get());
  jpeg_save_markers(&jpeg, JPEG_APP0 + 1, 0xffff);
  jpeg_save_markers(&jpeg, JPEG_APP0 + 2, 0xffff);
  jpeg_read_header(&jpeg, TRUE);
  check_pixels(path, jpeg.image_width, jpeg.image_height, reading_constants().max_image_pixels);
  const bool cmyk = jpeg.jpeg_color_space == JCS_CMYK || jpeg.jpeg_color_space == JCS_YCCK;
  jpeg.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
  if (cmyk) notes.warn(reading_constants().cmyk);
  if (several(jpeg)) notes.warn(reading_constants().several_images);
  turn = orientation(jpeg);  // the markers are freed at the end of decompression
  jpeg_start_decompress(&jpeg);
  image = Image(static_cast<int>(jpeg.output_height), static_cast<int>(jpeg.output_width));
  row.resize(4 * static_cast<size_t>(image.width));
  while (jpeg.output_scanline < jpeg.output_height) {
    const int y = static_cast<int>(jpeg.output_scanline);
    JSAMPROW to = cmyk ? row.data() : image.row(y);
    jpeg_read_scanlines(&jpeg, &to, 1);
    if (cmyk) cmyk_to_rgb(row.data(), true, image.width, image.row(y));
  }
  jpeg_finish_decompress(&jpeg);
  if (errors.incomplete) throw InputError(path, "is damaged or truncated", codes::damaged);
  return upright(image, turn);
}

}  // namespace fpg::runtime
