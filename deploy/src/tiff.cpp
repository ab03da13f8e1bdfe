// TIFF with libtiff, as Pillow reads it: grey, RGB and CMYK of 8 and 16 bits here; libtiff itself converts other kinds to RGB.

#include <tiffio.h>

#include <algorithm>
#include <fstream>
#include <memory>

#include "display.h"
#include "exif.h"
#include "images.h"
#include "orientation.h"

namespace fpg::runtime {
namespace {

struct Layout {
  uint32_t width = 0, height = 0;
  uint16_t bits = 1, samples = 1, photometric = 0, planes = PLANARCONFIG_CONTIG, format = SAMPLEFORMAT_UINT, compression = 1;
  bool premultiplied = false;  // the fourth channel is an alpha by which the others were multiplied
};

Layout layout_of(const std::string& path, TIFF* file) {
  Layout layout;
  if (!TIFFGetField(file, TIFFTAG_IMAGEWIDTH, &layout.width) || !TIFFGetField(file, TIFFTAG_IMAGELENGTH, &layout.height) ||
      !TIFFGetField(file, TIFFTAG_PHOTOMETRIC, &layout.photometric)) {
    throw InputError(path, "is damaged or truncated: a field is missing", codes::damaged);
  }
  TIFFGetFieldDefaulted(file, TIFFTAG_BITSPERSAMPLE, &layout.bits);
  TIFFGetFieldDefaulted(file, TIFFTAG_SAMPLESPERPIXEL, &layout.samples);
  TIFFGetFieldDefaulted(file, TIFFTAG_PLANARCONFIG, &layout.planes);
  TIFFGetFieldDefaulted(file, TIFFTAG_SAMPLEFORMAT, &layout.format);
  TIFFGetFieldDefaulted(file, TIFFTAG_COMPRESSION, &layout.compression);
  uint16_t extras = 0, *kinds = nullptr;
  if (TIFFGetField(file, TIFFTAG_EXTRASAMPLES, &extras, &kinds) && extras > 0 && layout.samples == 4)
    layout.premultiplied = layout.photometric == PHOTOMETRIC_RGB && kinds[0] == EXTRASAMPLE_ASSOCALPHA;
  check_pixels(path, layout.width, layout.height, reading_constants().max_image_pixels);
  if (layout.format == SAMPLEFORMAT_IEEEFP)
    throw InputError(path, "has floating-point pixels: expected 8 or 16 bits", codes::unsupported);
  return layout;
}

// Reads one strip or tile at a time; `see` gets its bytes, position, size and plane. Throws if one cannot be decoded.
template <class See>
void for_each_block(const std::string& path, TIFF* file, const Layout& layout, const See& see) {
  const bool tiled = TIFFIsTiled(file) != 0;
  uint32_t across = layout.width, down = layout.height;
  if (tiled) {
    TIFFGetField(file, TIFFTAG_TILEWIDTH, &across);
    TIFFGetField(file, TIFFTAG_TILELENGTH, &down);
  } else {
    TIFFGetFieldDefaulted(file, TIFFTAG_ROWSPERSTRIP, &down);
    down = std::min(down, layout.height);
  }
  check_pixels(path, across, down, reading_constants().max_image_pixels);
  const tmsize_t size = tiled ? TIFFTileSize(file) : TIFFStripSize(file);
  const uint16_t planes = layout.planes == PLANARCONFIG_SEPARATE ? layout.samples : 1;
  if (across == 0 || down == 0 || size <= 0) throw InputError(path, "is damaged or truncated", codes::damaged);
  std::vector<uint8_t> bytes(static_cast<size_t>(size));
  for (uint16_t plane = 0; plane < planes; ++plane) {
    for (uint32_t y = 0; y < layout.height; y += down) {
      for (uint32_t x = 0; x < layout.width; x += across) {
        const tmsize_t wanted = tiled ? size : TIFFVStripSize(file, std::min(down, layout.height - y));
        const tmsize_t got = tiled ? TIFFReadTile(file, bytes.data(), x, y, 0, plane)
                                   : TIFFReadEncodedStrip(file, TIFFComputeStrip(file, y, plane), bytes.data(), wanted);
        if (got < wanted) throw InputError(path, "is damaged or truncated", codes::damaged);
        see(bytes.data(), x, y, across, std::min(down, layout.height - y), plane);
      }
    }
  }
}

// 8 bits of every sample, interleaved; of 16 the upper ones.
std::vector<uint8_t> samples_of(const std::string& path, TIFF* file, const Layout& layout) {
  const size_t samples = layout.samples, width = layout.width;
  std::vector<uint8_t> result(samples * width * layout.height);
  const size_t bytes_each = layout.bits / 8, together = layout.planes == PLANARCONFIG_SEPARATE ? 1 : samples;
  for_each_block(path, file, layout, [&](const uint8_t* bytes, size_t x0, size_t y0, size_t across, size_t rows, size_t plane) {
    for (size_t y = 0; y < rows; ++y) {
      for (size_t x = 0; x < std::min(across, width - x0); ++x) {
        for (size_t s = 0; s < together; ++s) {
          const uint8_t* from = bytes + ((y * across + x) * together + s) * bytes_each;
          // libtiff gives 16 bits in this machine's order.
          const uint8_t value = bytes_each == 1 ? *from : static_cast<uint8_t>(*reinterpret_cast<const uint16_t*>(from) >> 8);
          result[((y0 + y) * width + x0 + x) * samples + plane + s] = value;
        }
      }
    }
  });
  return result;
}

Image direct(const std::string& path, TIFF* file, const Layout& layout) {
  const std::vector<uint8_t> values = samples_of(path, file, layout);
  Image image(static_cast<int>(layout.height), static_cast<int>(layout.width));
  const size_t samples = layout.samples;
  for (size_t i = 0; i < image.data.size() / 3; ++i) {
    const uint8_t* from = values.data() + i * samples;
    uint8_t* to = image.data.data() + 3 * i;
    if (layout.photometric == PHOTOMETRIC_SEPARATED) {
      cmyk_to_rgb(from, false, 1, to);
    } else if (layout.photometric == PHOTOMETRIC_RGB) {
      std::copy_n(from, 3, to);
      if (layout.premultiplied && from[3] > 0)
        for (int c = 0; c < 3; ++c) to[c] = static_cast<uint8_t>(std::min(255, 255 * to[c] / from[3]));
    } else {
      std::fill_n(to, 3, layout.photometric == PHOTOMETRIC_MINISWHITE ? static_cast<uint8_t>(255 - *from) : *from);
    }
  }
  return image;
}

Image by_libtiff(const std::string& path, TIFF* file, const Layout& layout) {
  char why[1024] = {};
  if (!TIFFRGBAImageOK(file, why))
    throw InputError(path, "is a TIFF of a kind that is not supported: " + std::string(why), codes::unsupported);
  TIFFSetField(file, TIFFTAG_ORIENTATION, ORIENTATION_TOPLEFT);  // rotated later
  std::vector<uint32_t> raster(static_cast<size_t>(layout.width) * layout.height);
  if (!TIFFReadRGBAImageOriented(file, layout.width, layout.height, raster.data(), ORIENTATION_TOPLEFT, 1))
    throw InputError(path, "is damaged or truncated", codes::damaged);
  Image image(static_cast<int>(layout.height), static_cast<int>(layout.width));
  for (size_t i = 0; i < raster.size(); ++i) {
    uint8_t* to = image.data.data() + 3 * i;
    to[0] = static_cast<uint8_t>(TIFFGetR(raster[i]));
    to[1] = static_cast<uint8_t>(TIFFGetG(raster[i]));
    to[2] = static_cast<uint8_t>(TIFFGetB(raster[i]));
  }
  return image;
}

}  // namespace

Image read_tiff(const std::string& path, Notes& notes) {
  TIFFSetErrorHandler(nullptr);  // our own messages say what matters
  TIFFSetWarningHandler(nullptr);
  const std::unique_ptr<TIFF, void (*)(TIFF*)> file(TIFFOpen(path.c_str(), "rm"), TIFFClose);
  if (!file) throw InputError(path, "is damaged or truncated", codes::damaged);
  const Layout layout = layout_of(path, file.get());
  if (!TIFFLastDirectory(file.get())) notes.warn(reading_constants().several_images);
  if (layout.photometric == PHOTOMETRIC_SEPARATED) notes.warn(reading_constants().cmyk);
  const size_t least = layout.photometric == PHOTOMETRIC_SEPARATED ? 4 : layout.photometric == PHOTOMETRIC_RGB ? 3 : 1;
  const bool plain = layout.photometric == PHOTOMETRIC_SEPARATED || layout.photometric <= PHOTOMETRIC_RGB;
  const bool ours = plain && (layout.bits == 8 || layout.bits == 16) && layout.samples >= least && layout.samples <= 8;
  if (layout.photometric == PHOTOMETRIC_CIELAB || layout.photometric == PHOTOMETRIC_ICCLAB)
    throw InputError(path, "is a TIFF in LAB, which is not supported", codes::unsupported);
  const Image image = ours ? direct(path, file.get(), layout) : by_libtiff(path, file.get(), layout);
  std::ifstream data(path, std::ios::binary);
  return upright(image, exif_orientation(data));
}

}  // namespace fpg::runtime
