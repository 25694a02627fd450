#include "internal.h"

#include <stdlib.h>
#include <string.h>
#include <webp/decode.h>

static int read_header(const uint8_t *data, size_t size, ci_info *info, char *message) {
  WebPBitstreamFeatures features;
  if (WebPGetFeatures(data, size, &features) != VP8_STATUS_OK) return ci_fail(message, "the WebP header is damaged");
  if (features.has_animation) return ci_fail(message, "an animation, not a picture");
  *info = (ci_info){features.width, features.height, 3};
  return 0;
}

// How the camera was held, as the chunk EXIF of the RIFF container says.
static int orientation(const uint8_t *data, size_t size) {
  for (size_t offset = 12; offset + 8 <= size;) {
    size_t length = (size_t)data[offset + 4] | (size_t)data[offset + 5] << 8 | (size_t)data[offset + 6] << 16 |
                    (size_t)data[offset + 7] << 24;
    const uint8_t *content = data + offset + 8;
    if (length > size - offset - 8) return 1;
    if (!memcmp(data + offset, "EXIF", 4)) return ci_exif_orientation(content, length);
    offset += 8 + length + length % 2;
  }
  return 1;
}

int ci_webp_probe(const uint8_t *data, size_t size, ci_info *info, char *message) {
  if (read_header(data, size, info, message)) return -1;
  ci_orient_info(info, orientation(data, size));
  return 0;
}

int ci_webp_decode(const uint8_t *data, size_t size, ci_request request, uint8_t **pixels, ci_info *info,
                   char *message) {
  if (read_header(data, size, info, message)) return -1;
  // A picture of one colour takes next to no bytes, so their number bounds nothing.
  if (ci_check_size(*info, request.max_pixels, INT64_MAX, message)) return -1;
  uint8_t *decoded = ci_allocate(*info, request.channels);
  if (!decoded) return ci_fail(message, "no memory for the pixels");
  size_t stride = (size_t)info->width * 3;
  if (!WebPDecodeRGBInto(data, size, decoded, stride * info->height, (int)stride) ||
      ci_orient(&decoded, info, orientation(data, size), message)) {
    free(decoded);
    return ci_fail(message, "the WebP data are damaged or end too early");
  }
  *pixels = decoded;
  return 0;
}
