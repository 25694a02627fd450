#include "internal.h"

#include <stdlib.h>
#include <string.h>

// An Exif block is a small TIFF file: a directory of twelve-byte entries, of which one (0x0112) says how the camera
// was held (Exif 2.3, section 4.6.4).
static uint32_t number(const uint8_t *bytes, int count, int big) {
  uint32_t value = 0;
  for (int i = 0; i < count; i++) value |= (uint32_t)bytes[i] << 8 * (big ? count - 1 - i : i);
  return value;
}

int ci_exif_orientation(const uint8_t *data, size_t size) {
  if (size >= 6 && !memcmp(data, "Exif\0\0", 6)) data += 6, size -= 6;
  if (size < 8) return 1;
  int big = data[0] == 'M';
  if (memcmp(data, big ? "MM\0*" : "II*\0", 4)) return 1;
  size_t directory = number(data + 4, 4, big);
  if (directory > size || size - directory < 2) return 1;
  size_t entries = number(data + directory, 2, big);
  if (entries > (size - directory - 2) / 12) entries = (size - directory - 2) / 12;
  for (size_t i = 0; i < entries; i++) {
    const uint8_t *entry = data + directory + 2 + 12 * i;
    if (number(entry, 2, big) != 0x0112 || number(entry + 2, 2, big) != 3) continue;
    uint32_t orientation = number(entry + 8, 2, big);
    return orientation >= 1 && orientation <= 8 ? (int)orientation : 1;
  }
  return 1;
}

void ci_orient_info(ci_info *info, int orientation) {
  if (orientation < 5) return;
  int32_t width = info->width;
  info->width = info->height;
  info->height = width;
}

int ci_orient(uint8_t **pixels, ci_info *info, int orientation, char *message) {
  if (orientation == 1) return 0;
  int32_t width = info->width, height = info->height;
  size_t depth = (size_t)info->channels;
  uint8_t *turned = malloc((size_t)width * height * depth);
  if (!turned) return ci_fail(message, "no memory to turn the picture");
  int transposed = orientation >= 5;
  // Whether the stored picture is read from its right, from its bottom.
  int from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  int from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  ci_orient_info(info, orientation);
  uint8_t *out = turned;
  for (int32_t y = 0; y < info->height; y++)
    for (int32_t x = 0; x < info->width; x++) {
      int32_t column = transposed ? y : x, row = transposed ? x : y;
      if (from_right) column = width - 1 - column;
      if (from_bottom) row = height - 1 - row;
      memcpy(out, *pixels + ((size_t)row * width + column) * depth, depth);
      out += depth;
    }
  free(*pixels);
  *pixels = turned;
  return 0;
}
