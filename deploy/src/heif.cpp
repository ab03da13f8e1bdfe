// HEIC and HEIF with libheif.

#include "images.h"

#if defined(FPG_RUNTIME_HEIF)

#include <libheif/heif.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "display.h"

namespace fpg::runtime {
namespace {

template <class T>
using Owned = std::unique_ptr<T, void (*)(T*)>;

void check(const std::string& path, const heif_error& error) {
  if (error.code == heif_error_Ok) return;
  const bool unsupported = error.code == heif_error_Unsupported_filetype || error.code == heif_error_Unsupported_feature;
  throw InputError(path,
                   (unsupported ? "is a HEIF picture of a kind that is not supported: " : "is damaged or truncated: ") +
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

Image rgb_of(const std::string& path, const heif_image_handle* handle) {
  const Owned<heif_decoding_options> options(heif_decoding_options_alloc(), heif_decoding_options_free);
  options->strict_decoding = 1;
  heif_image* pixels = nullptr;
  check(path, heif_decode_image(handle, &pixels, heif_colorspace_RGB, heif_chroma_interleaved_RGB, options.get()));
  const Owned<const heif_image> decoded(pixels, heif_image_release);
  int stride = 0;
  const uint8_t* rows = heif_image_get_plane_readonly(decoded.get(), heif_channel_interleaved, &stride);
  if (rows == nullptr) throw InputError(path, "is damaged or truncated", codes::damaged);
  Image image(heif_image_get_height(decoded.get(), heif_channel_interleaved),
              heif_image_get_width(decoded.get(), heif_channel_interleaved));
  for (int y = 0; y < image.height; ++y)
    std::copy_n(rows + static_cast<ptrdiff_t>(y) * stride, 3 * static_cast<size_t>(image.width), image.row(y));
  return image;
}

}  // namespace

Image read_heif(const std::string& path, Notes& notes) {
  const std::vector<uint8_t> file = first_file(whole_file(path));
  const Opened opened(path, file);
  if (heif_context_get_number_of_top_level_images(opened.context.get()) > 1) notes.warn(reading_constants().several_images);
  warn_of_hdr(file, notes);
  const heif_image_handle* handle = opened.handle.get();
  check_pixels(path, heif_image_handle_get_width(handle), heif_image_handle_get_height(handle),
               reading_constants().max_image_pixels);
  return rgb_of(path, handle);
}

}  // namespace fpg::runtime

#else

namespace fpg::runtime {

Image read_heif(const std::string& path, Notes&) {
  throw InputError(path, "is a HEIF picture, which this program was built without support for (libheif)", codes::unsupported);
}

}  // namespace fpg::runtime

#endif
