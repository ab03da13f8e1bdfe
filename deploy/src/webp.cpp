// WebP with libwebp, as Pillow reads it: FFmpeg's decoder computes chroma differently.

#include <webp/demux.h>

#include <algorithm>
#include <memory>

#include "display.h"
#include "exif.h"
#include "images.h"
#include "orientation.h"

namespace fpg::runtime {

Image read_webp(const std::string& path, Notes& notes) {
  const std::vector<uint8_t> file = whole_file(path);
  const WebPData data = {file.data(), file.size()};
  const std::unique_ptr<WebPDemuxer, void (*)(WebPDemuxer*)> parts(WebPDemux(&data), WebPDemuxDelete);
  const InputError damaged(path, "is damaged or truncated", codes::damaged);
  if (!parts) throw damaged;
  const auto width = WebPDemuxGetI(parts.get(), WEBP_FF_CANVAS_WIDTH), height = WebPDemuxGetI(parts.get(), WEBP_FF_CANVAS_HEIGHT);
  check_pixels(path, width, height, reading_constants().max_image_pixels);
  if (WebPDemuxGetI(parts.get(), WEBP_FF_FRAME_COUNT) > 1) notes.warn(reading_constants().several_images);
  WebPAnimDecoderOptions options;
  WebPAnimDecoderOptionsInit(&options);
  const std::unique_ptr<WebPAnimDecoder, void (*)(WebPAnimDecoder*)> decoder(WebPAnimDecoderNew(&data, &options),
                                                                             WebPAnimDecoderDelete);
  uint8_t* rgba = nullptr;
  int time = 0;
  if (!decoder || !WebPAnimDecoderGetNext(decoder.get(), &rgba, &time)) throw damaged;
  Image image(static_cast<int>(height), static_cast<int>(width));
  for (size_t i = 0; i < image.data.size() / 3; ++i) std::copy_n(rgba + 4 * i, 3, image.data.data() + 3 * i);
  int orientation = 1;
  WebPChunkIterator exif;
  if (WebPDemuxGetChunk(parts.get(), "EXIF", 1, &exif)) orientation = exif_orientation(exif.chunk.bytes, exif.chunk.size);
  WebPDemuxReleaseChunkIterator(&exif);
  return upright(image, orientation);
}

}  // namespace fpg::runtime
