// JPEG by libjpeg, as Pillow reads it: FFmpeg's decoder does other arithmetic for chroma.

#include <cstdio>

#include <jerror.h>
#include <jpeglib.h>

#include <algorithm>
#include <csetjmp>
#include <cstring>
#include <memory>

#include "video.h"

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

// Warnings are of no consequence, but for those that say that data are missing.
void on_message(j_common_ptr jpeg, int level) {
  const int code = jpeg->err->msg_code;
  if (level < 0 && (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER)) reinterpret_cast<Errors*>(jpeg->err)->incomplete = true;
}

// Each scan costs a pass over the whole picture, and a small file has room for thousands: fpg/data/jpeg_scans.py has the same
// limit.
constexpr int kMaxScans = 100;

struct Scans {
  jpeg_progress_mgr base;
  bool too_many;
};

void on_progress(j_common_ptr jpeg) {
  if (reinterpret_cast<j_decompress_ptr>(jpeg)->input_scan_number <= kMaxScans) return;
  reinterpret_cast<Scans*>(jpeg->progress)->too_many = true;
  std::longjmp(reinterpret_cast<Errors*>(jpeg->err)->escape, 1);
}

// EXIF's orientation (1 to 8) from the APP1 marker; 1 where there is none.
int orientation(const jpeg_decompress_struct& jpeg) {
  for (jpeg_saved_marker_ptr marker = jpeg.marker_list; marker != nullptr; marker = marker->next) {
    const JOCTET* data = marker->data;
    const size_t size = marker->data_length;
    if (marker->marker != JPEG_APP0 + 1 || size < 14 || std::memcmp(data, "Exif\0\0", 6) != 0) continue;
    const JOCTET* tiff = data + 6;
    const size_t length = size - 6;
    const bool little = tiff[0] == 'I';
    const auto number = [&](size_t at, size_t bytes) {
      size_t value = 0;
      for (size_t i = 0; i < bytes && at + i < length; ++i)
        value |= static_cast<size_t>(tiff[at + i]) << 8 * (little ? i : bytes - 1 - i);
      return value;
    };
    const size_t directory = number(4, 4), entries = number(directory, 2);
    for (size_t i = 0; i < entries && directory + 2 + 12 * (i + 1) <= length; ++i) {
      const size_t entry = directory + 2 + 12 * i;
      if (number(entry, 2) == 0x0112) return std::clamp(static_cast<int>(number(entry + 8, 2)), 1, 8);
    }
  }
  return 1;
}

Image mirrored(const Image& image) {
  Image result(image.height, image.width);
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) std::copy_n(image.row(y) + 3 * (image.width - 1 - x), 3, result.row(y) + 3 * x);
  }
  return result;
}

Image upright(const Image& image, int orientation) {
  constexpr int turns[] = {0, 0, 0, 2, 2, 3, 3, 1, 1};  // counter-clockwise
  constexpr bool mirror[] = {false, false, true, false, true, true, false, true, false};
  const Image turned = rotated(image, turns[orientation]);
  return mirror[orientation] ? mirrored(turned) : turned;
}

// One row of inverted CMYK (as Adobe writes it) or plain CMYK to RGB.
void to_rgb(const JSAMPLE* cmyk, bool inverted, int width, uint8_t* rgb) {
  for (int x = 0; x < width; ++x, cmyk += 4, rgb += 3) {
    const int white = inverted ? cmyk[3] : 255 - cmyk[3];
    for (int c = 0; c < 3; ++c) {
      const int ink = inverted ? 255 - cmyk[c] : cmyk[c], product = ink * white + 128;
      rgb[c] = static_cast<uint8_t>(std::clamp(white - ((product >> 8) + product) / 256, 0, 255));
    }
  }
}

}  // namespace

Image read_jpeg(const std::string& path, int64_t max_pixels) {
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
      throw InputError(path, "is a JPEG of more than " + std::to_string(kMaxScans) + " scans", codes::too_large);
    throw InputError(path, std::string("is damaged or truncated: ") + errors.text, codes::damaged);
  }
  jpeg_create_decompress(&jpeg);
  jpeg.progress = &scans.base;
  jpeg_stdio_src(&jpeg, file.get());
  jpeg_save_markers(&jpeg, JPEG_APP0 + 1, 0xffff);
  jpeg_read_header(&jpeg, TRUE);
  if (static_cast<int64_t>(jpeg.image_width) * jpeg.image_height > max_pixels) {
    throw InputError(path,
                     "is too large: " + std::to_string(jpeg.image_width) + " x " + std::to_string(jpeg.image_height) +
                         " pixels, the limit is " + std::to_string(max_pixels / 1'000'000) + " megapixels",
                     codes::too_large);
  }
  const bool inks = jpeg.jpeg_color_space == JCS_CMYK || jpeg.jpeg_color_space == JCS_YCCK;
  jpeg.out_color_space = inks ? JCS_CMYK : JCS_RGB;
  turn = orientation(jpeg);  // the markers go with the end of decompression
  jpeg_start_decompress(&jpeg);
  image = Image(static_cast<int>(jpeg.output_height), static_cast<int>(jpeg.output_width));
  row.resize(4 * static_cast<size_t>(image.width));
  while (jpeg.output_scanline < jpeg.output_height) {
    const int y = static_cast<int>(jpeg.output_scanline);
    JSAMPROW to = inks ? row.data() : image.row(y);
    jpeg_read_scanlines(&jpeg, &to, 1);
    if (inks) to_rgb(row.data(), jpeg.saw_Adobe_marker, image.width, image.row(y));
  }
  jpeg_finish_decompress(&jpeg);
  if (errors.incomplete) throw InputError(path, "is damaged or truncated", codes::truncated);
  return upright(image, turn);
}

}  // namespace fpg::runtime
