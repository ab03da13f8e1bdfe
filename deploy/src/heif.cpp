// HEIF and AVIF with libheif. The colours of AVIF are converted here, as libavif does for Python.

#include "images.h"

#if defined(FPG_RUNTIME_HEIF)

#include <libheif/heif.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string>

#include "display.h"

namespace fpg::runtime {
namespace {

template <class T>
using Owned = std::unique_ptr<T, void (*)(T*)>;

void check(const std::string& path, const heif_error& error) {
  if (error.code == heif_error_Ok) return;
  const bool unsupported = error.code == heif_error_Unsupported_filetype || error.code == heif_error_Unsupported_feature;
  throw InputError(path,
                   (unsupported ? "is a HEIF or AVIF picture of a kind that is not supported: " : "is damaged or truncated: ") +
                       std::string(error.message),
                   unsupported ? codes::unsupported : codes::damaged);
}

// A context and its main picture, of a file that lives as long.
struct Opened {
  Owned<heif_context> context{heif_context_alloc(), heif_context_free};
  Owned<const heif_image_handle> handle{nullptr, heif_image_handle_release};

  Opened(const std::string& path, const std::vector<uint8_t>& file) {
    check(path, heif_context_read_from_memory_without_copy(context.get(), file.data(), file.size(), nullptr));
    heif_image_handle* found = nullptr;
    check(path, heif_context_get_primary_image_handle(context.get(), &found));
    handle.reset(found);
  }
};

using Pixels = Owned<const heif_image>;

Pixels decode(const std::string& path, const heif_image_handle* handle, heif_colorspace colours, heif_chroma chroma) {
  const Owned<heif_decoding_options> options(heif_decoding_options_alloc(), heif_decoding_options_free);
  options->strict_decoding = 1;
  heif_image* pixels = nullptr;
  check(path, heif_decode_image(handle, &pixels, colours, chroma, options.get()));
  return {pixels, heif_image_release};
}

Image rgb_of(const std::string& path, const heif_image_handle* handle) {
  const Pixels decoded = decode(path, handle, heif_colorspace_RGB, heif_chroma_interleaved_RGB);
  int stride = 0;
  const uint8_t* rows = heif_image_get_plane_readonly(decoded.get(), heif_channel_interleaved, &stride);
  if (rows == nullptr) throw InputError(path, "is damaged or truncated", codes::damaged);
  Image image(heif_image_get_height(decoded.get(), heif_channel_interleaved),
              heif_image_get_width(decoded.get(), heif_channel_interleaved));
  for (int y = 0; y < image.height; ++y)
    std::copy_n(rows + static_cast<ptrdiff_t>(y) * stride, 3 * static_cast<size_t>(image.width), image.row(y));
  return image;
}

// The first of several files behind each other, as motion photos have them: up to where another begins, or no box does.
std::vector<uint8_t> first_file(std::vector<uint8_t> file) {
  size_t end = 0;
  while (end + 8 <= file.size()) {
    const uint8_t* box = file.data() + end;
    const size_t size = size_t{box[0]} << 24 | size_t{box[1]} << 16 | size_t{box[2]} << 8 | box[3];
    const bool named = std::all_of(box + 4, box + 8, [](uint8_t c) { return c >= 0x20 && c < 0x7f; });
    if (end > 0 && (!named || std::equal(box + 4, box + 8, "ftyp"))) break;
    if (size < 8 || size > file.size() - end) return file;  // the last one, a long one, or cut off
    end += size;
  }
  file.resize(end);
  return file;
}

// libheif converts what is no full-range BT.601, through RGB: it is told that all is, and what there is gets converted here.
std::vector<uint8_t> as_plain(std::vector<uint8_t> file) {
  const std::string name = "colrnclx";
  for (auto at = file.begin(); (at = std::search(at, file.end(), name.begin(), name.end())) != file.end(); at += 8) {
    if (file.end() - at < 15) break;
    at[12] = 0;
    at[13] = 6;
    at[14] = 0x80;
  }
  return file;
}

// libyuv's numbers of 1/64 for a matrix, by which libavif converts 8 bits: of luma (of 1/65536), the offset, Cb in blue and in green,
// Cr in green and in red.
struct Steps {
  int luma, offset, cb_blue, cb_green, cr_green, cr_red;
};
constexpr Steps kBt601Full = {16320, 32, 113, 22, 46, 90}, kBt601 = {18997, -1160, 128, 25, 52, 102};
constexpr Steps kBt709Full = {16320, 32, 119, 12, 30, 101}, kBt709 = {18997, -1160, 128, 14, 34, 115};
constexpr Steps kBt2020Full = {16320, 32, 120, 11, 37, 94}, kBt2020 = {19003, -1160, 128, 12, 42, 107};

struct Colours {
  float kr = 0.299F, kb = 0.114F;
  bool full = true;
  Steps steps = kBt601Full;
  bool identity = false;  // green, blue and red in the places of Y, Cb and Cr
};

// The colours that the container states; nullopt if it leaves them to the coded image.
std::optional<Colours> colours_of(const std::string& path, const heif_image_handle* handle, Notes& notes) {
  Colours colours;
  heif_color_profile_nclx* profile = nullptr;
  if (heif_image_handle_get_nclx_color_profile(handle, &profile).code != heif_error_Ok) return std::nullopt;
  const Owned<heif_color_profile_nclx> guard(profile, heif_nclx_color_profile_free);
  if (profile->transfer_characteristics == heif_transfer_characteristic_ITU_R_BT_2100_0_PQ ||
      profile->transfer_characteristics == heif_transfer_characteristic_ITU_R_BT_2100_0_HLG) {
    notes.warn("has the colours of HDR, which were not converted");
  }
  colours.full = profile->full_range_flag != 0;
  const int matrix = profile->matrix_coefficients;
  colours.identity = matrix == 0;
  colours.steps = colours.full ? kBt601Full : kBt601;
  if (matrix == 1) colours = {0.2126F, 0.0722F, colours.full, colours.full ? kBt709Full : kBt709};
  if (matrix == 9 || matrix == 10) colours = {0.2627F, 0.0593F, colours.full, colours.full ? kBt2020Full : kBt2020};
  if (matrix == 8 || matrix > 10)
    throw InputError(path, "is a HEIF or AVIF picture of a kind that is not supported: its colour matrix", codes::unsupported);
  return colours;
}

// A plane as samples of up to 16 bits.
struct Plane {
  const uint8_t* data = nullptr;
  int stride = 0, width = 0, height = 0, bits = 8;

  Plane(const heif_image* image, heif_channel channel) {
    data = heif_image_get_plane_readonly(image, channel, &stride);
    if (data == nullptr) return;
    width = heif_image_get_width(image, channel);
    height = heif_image_get_height(image, channel);
    bits = heif_image_get_bits_per_pixel_range(image, channel);
  }
  float at(int y, int x) const {
    const uint8_t* row = data + static_cast<ptrdiff_t>(std::clamp(y, 0, height - 1)) * stride;
    x = std::clamp(x, 0, width - 1);
    return bits <= 8 ? row[x] : static_cast<float>(row[2 * x] | row[2 * x + 1] << 8);
  }
  // Interpolates where two pixels have one sample: three quarters of the nearer, one quarter of the other. In an odd width the last
  // column has its sample to itself.
  float between(int y, int x, int image_width, bool down, bool across) const {
    const int ny = down ? y / 2 : y, nx = across ? x / 2 : x;
    const bool alone = !across || (x == image_width - 1 && x % 2 == 0);
    const int fy = !down ? ny : y % 2 ? ny + 1 : ny - 1, fx = alone ? nx : x % 2 ? nx + 1 : nx - 1;
    const float near = 0.75F * at(ny, nx) + 0.25F * at(ny, fx), far = 0.75F * at(fy, nx) + 0.25F * at(fy, fx);
    return std::floor(0.75F * near + 0.25F * far + 0.5F);  // libheif and libavif interpolate whole numbers
  }
};

uint8_t clamped(int sixty_fourths) { return static_cast<uint8_t>(std::clamp(sixty_fourths >> 6, 0, 255)); }

uint8_t to_byte(float value) { return static_cast<uint8_t>(std::nearbyint(std::clamp(value, 0.0F, 1.0F) * 255)); }

// The chroma subsampling of the images in an AVIF file, by their flags: libheif converts to whatever is requested. nullopt for
// HEVC, where Python takes libheif's own RGB, and for grey images.
std::optional<heif_chroma> av1_chroma(const std::vector<uint8_t>& file) {
  const char* name = "av1C";
  const auto at = std::search(file.begin(), file.end(), name, name + 4);
  if (file.end() - at < 8) return std::nullopt;
  const uint8_t flags = at[6];
  if (flags & 0x10) return std::nullopt;
  return flags & 0x04 ? heif_chroma_420 : flags & 0x08 ? heif_chroma_422 : heif_chroma_444;
}

// Whether its brands say that a file holds a sequence.
bool is_sequence(const std::vector<uint8_t>& file) {
  const char* name = "avis";
  const auto end = file.begin() + std::min<std::ptrdiff_t>(file.end() - file.begin(), file.size() > 4 ? file[3] : 0);
  return std::search(file.begin(), end, name, name + 4) != end;
}

Image from_ycbcr(const heif_image* decoded, const Colours& colours, int height, int width) {
  const Plane luma(decoded, heif_channel_Y), cb(decoded, heif_channel_Cb), cr(decoded, heif_channel_Cr);
  const heif_chroma chroma = heif_image_get_chroma_format(decoded);
  const bool grey = cb.data == nullptr || cr.data == nullptr;
  const bool down = chroma == heif_chroma_420, across = down || chroma == heif_chroma_422;
  const auto unit = static_cast<float>(1 << (luma.bits - 8)), whole = static_cast<float>((1 << luma.bits) - 1);
  const float black = colours.full ? 0 : 16 * unit, luma_span = colours.full ? whole : 219 * unit;
  const float chroma_span = colours.full ? whole : 224 * unit, middle = 128 * unit;
  Image image(height, width);
  for (int y = 0; y < height; ++y) {
    uint8_t* out = image.row(y);
    for (int x = 0; x < width; ++x, out += 3) {
      const float l = (luma.at(y, x) - black) / luma_span;
      if (colours.identity && !grey) {
        out[0] = to_byte((cr.at(y, x) - black) / luma_span);
        out[1] = to_byte(l);
        out[2] = to_byte((cb.at(y, x) - black) / luma_span);
        continue;
      }
      const float cb_here = grey ? middle : cb.between(y, x, width, down, across);
      const float cr_here = grey ? middle : cr.between(y, x, width, down, across);
      if (!grey && luma.bits == 8) {
        const Steps& s = colours.steps;
        const int u = static_cast<int>(cb_here) - 128, v = static_cast<int>(cr_here) - 128;
        const int light = (static_cast<int>(luma.at(y, x)) * 0x0101 * s.luma >> 16) + s.offset;
        out[0] = clamped(light + v * s.cr_red);
        out[1] = clamped(light - u * s.cb_green - v * s.cr_green);
        out[2] = clamped(light + u * s.cb_blue);
        continue;
      }
      const float blue = (cb_here - middle) / chroma_span, red = (cr_here - middle) / chroma_span;
      const float r = l + 2 * (1 - colours.kr) * red, b = l + 2 * (1 - colours.kb) * blue;
      out[0] = to_byte(r);
      out[1] = to_byte((l - colours.kr * r - colours.kb * b) / (1 - colours.kr - colours.kb));
      out[2] = to_byte(b);
    }
  }
  return image;
}

}  // namespace

Image read_heif(const std::string& path, Notes& notes) {
  const std::vector<uint8_t> file = first_file(whole_file(path));
  const Opened opened(path, file);
  if (heif_context_get_number_of_top_level_images(opened.context.get()) > 1 || is_sequence(file))
    notes.warn(reading_constants().several_images);
  const heif_image_handle* handle = opened.handle.get();
  check_pixels(path, heif_image_handle_get_width(handle), heif_image_handle_get_height(handle),
               reading_constants().max_image_pixels);
  const std::optional<heif_chroma> chroma = av1_chroma(file);
  const std::optional<Colours> colours = colours_of(path, handle, notes);
  if (!chroma || !colours) return rgb_of(path, handle);
  const std::vector<uint8_t> plain = as_plain(file);
  const Opened again(path, plain);
  const Pixels decoded = decode(path, again.handle.get(), heif_colorspace_YCbCr, *chroma);
  const Plane luma(decoded.get(), heif_channel_Y);
  if (luma.data == nullptr || luma.bits < 8) throw InputError(path, "is damaged or truncated", codes::damaged);
  return from_ycbcr(decoded.get(), *colours, luma.height, luma.width);
}

}  // namespace fpg::runtime

#else

namespace fpg::runtime {

Image read_heif(const std::string& path, Notes&) {
  throw InputError(path, "is a HEIF or AVIF picture, which this program was built without support for (libheif)",
                   codes::unsupported);
}

}  // namespace fpg::runtime

#endif
