// HEIF and AVIF with libheif. The colours of AVIF are converted here, with chroma interpolated as in libavif, which Python uses.

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

struct Colours {
  float kr = 0.299F, kb = 0.114F;
  bool full = true;
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
  if (matrix == 1) colours = {0.2126F, 0.0722F, colours.full};
  if (matrix == 9 || matrix == 10) colours = {0.2627F, 0.0593F, colours.full};
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
  // Interpolates where two pixels have one sample: three quarters of the nearer, one quarter of the other.
  float between(int y, int x, bool down, bool across) const {
    const int ny = down ? y / 2 : y, nx = across ? x / 2 : x;
    const int fy = !down ? ny : y % 2 ? ny + 1 : ny - 1, fx = !across ? nx : x % 2 ? nx + 1 : nx - 1;
    const float near = 0.75F * at(ny, nx) + 0.25F * at(ny, fx), far = 0.75F * at(fy, nx) + 0.25F * at(fy, fx);
    return std::floor(0.75F * near + 0.25F * far + 0.5F);  // libheif and libavif interpolate whole numbers
  }
};

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
      const float blue = grey ? 0 : (cb.between(y, x, down, across) - middle) / chroma_span;
      const float red = grey ? 0 : (cr.between(y, x, down, across) - middle) / chroma_span;
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
  const Owned<heif_context> context(heif_context_alloc(), heif_context_free);
  check(path, heif_context_read_from_file(context.get(), path.c_str(), nullptr));
  if (heif_context_get_number_of_top_level_images(context.get()) > 1) notes.warn(reading_constants().several_images);
  heif_image_handle* found = nullptr;
  check(path, heif_context_get_primary_image_handle(context.get(), &found));
  const Owned<const heif_image_handle> handle(found, heif_image_handle_release);
  check_pixels(path, heif_image_handle_get_width(found), heif_image_handle_get_height(found),
               reading_constants().max_image_pixels);
  const Owned<heif_decoding_options> options(heif_decoding_options_alloc(), heif_decoding_options_free);
  options->strict_decoding = 1;
  const std::vector<uint8_t> file = whole_file(path);
  if (is_sequence(file)) notes.warn(reading_constants().several_images);
  const std::optional<heif_chroma> chroma = av1_chroma(file);
  const std::optional<Colours> colours = colours_of(path, found, notes);
  const bool luma_chroma = chroma && colours;
  heif_image* pixels = nullptr;
  const heif_error error =
      luma_chroma ? heif_decode_image(found, &pixels, heif_colorspace_YCbCr, *chroma, options.get())
                  : heif_decode_image(found, &pixels, heif_colorspace_RGB, heif_chroma_interleaved_RGB, options.get());
  check(path, error);
  const Owned<const heif_image> decoded(pixels, heif_image_release);
  if (!luma_chroma) {
    int stride = 0;
    const uint8_t* rows = heif_image_get_plane_readonly(pixels, heif_channel_interleaved, &stride);
    Image image(heif_image_get_height(pixels, heif_channel_interleaved), heif_image_get_width(pixels, heif_channel_interleaved));
    if (rows == nullptr) throw InputError(path, "is damaged or truncated", codes::damaged);
    for (int y = 0; y < image.height; ++y)
      std::copy_n(rows + static_cast<ptrdiff_t>(y) * stride, 3 * static_cast<size_t>(image.width), image.row(y));
    return image;
  }
  const Plane luma(pixels, heif_channel_Y);
  if (luma.data == nullptr || luma.bits < 8) throw InputError(path, "is damaged or truncated", codes::damaged);
  return from_ycbcr(pixels, *colours, luma.height, luma.width);
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
