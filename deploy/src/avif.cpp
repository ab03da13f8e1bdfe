// AVIF with libavif, which Python reads it with, too.

#include "images.h"

#if defined(FPG_RUNTIME_AVIF)

#include <avif/avif.h>

#include <memory>
#include <string>
#include <vector>

#include "display.h"

namespace fpg::runtime {
namespace {

void check(const std::string& path, avifResult result) {
  if (result == AVIF_RESULT_OK) return;
  const bool unsupported = result == AVIF_RESULT_NOT_IMPLEMENTED || result == AVIF_RESULT_NO_CODEC_AVAILABLE ||
                           result == AVIF_RESULT_UNSUPPORTED_DEPTH || result == AVIF_RESULT_REFORMAT_FAILED;
  throw InputError(path,
                   (unsupported ? "is an AVIF picture of a kind that is not supported: " : "is damaged or truncated: ") +
                       std::string(avifResultToString(result)),
                   unsupported ? codes::unsupported : codes::damaged);
}

// What the container's rotation (quarter turns against the clock) and mirroring (after it; 0: top to bottom, 1: left to right)
// are in EXIF's numbers.
int orientation_of(const avifImage* image) {
  static constexpr int plain[4] = {1, 8, 3, 6}, mirrored[2][4] = {{4, 5, 2, 7}, {2, 7, 4, 5}};
  const int turns = (image->transformFlags & AVIF_TRANSFORM_IROT) != 0 ? image->irot.angle & 3 : 0;
  return (image->transformFlags & AVIF_TRANSFORM_IMIR) != 0 ? mirrored[image->imir.mode & 1][turns] : plain[turns];
}

}  // namespace

Image read_avif(const std::string& path, Notes& notes) {
  const std::vector<uint8_t> file = first_file(whole_file(path));
  const std::unique_ptr<avifDecoder, void (*)(avifDecoder*)> decoder(avifDecoderCreate(), avifDecoderDestroy);
  decoder->strictFlags &= ~static_cast<avifStrictFlags>(AVIF_STRICT_CLAP_VALID | AVIF_STRICT_PIXI_REQUIRED);  // as Pillow does
  check(path, avifDecoderSetIOMemory(decoder.get(), file.data(), file.size()));
  check(path, avifDecoderParse(decoder.get()));
  const avifImage* image = decoder->image;
  check_pixels(path, image->width, image->height, reading_constants().max_image_pixels);
  if (decoder->imageCount > 1) notes.warn(reading_constants().several_images);
  warn_of_hdr(file, notes);
  check(path, avifDecoderNextImage(decoder.get()));
  avifRGBImage rgb;
  avifRGBImageSetDefaults(&rgb, image);
  rgb.depth = 8;
  rgb.format = image->alphaPlane != nullptr ? AVIF_RGB_FORMAT_RGBA : AVIF_RGB_FORMAT_RGB;
  const uint32_t channels = avifRGBFormatChannelCount(rgb.format);
  rgb.rowBytes = image->width * channels;
  std::vector<uint8_t> pixels(static_cast<size_t>(rgb.rowBytes) * image->height);
  rgb.pixels = pixels.data();
  check(path, avifImageYUVToRGB(image, &rgb));
  Image result(static_cast<int>(image->height), static_cast<int>(image->width));
  for (size_t i = 0, count = pixels.size() / channels; i < count; ++i)
    for (size_t c = 0; c < 3; ++c) result.data[3 * i + c] = pixels[channels * i + c];
  return upright(result, orientation_of(image));
}

}  // namespace fpg::runtime

#else

namespace fpg::runtime {

Image read_avif(const std::string& path, Notes&) {
  throw InputError(path, "is an AVIF picture, which this program was built without support for (libavif)", codes::unsupported);
}

}  // namespace fpg::runtime

#endif
