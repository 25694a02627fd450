#include "internal.h"

#include <stdlib.h>
#include <string.h>

// A bitmap of Windows or OS/2: pixels as they are, in 1, 4 or 8 bits by way of a palette, or in 16, 24 or 32 bits.
typedef struct {
  ci_info info;
  int bits, from_top, palette_entry;
  uint32_t colours;
  size_t palette, pixels;
  uint32_t masks[3];
} Header;

static uint32_t little(const uint8_t *bytes, int count) {
  uint32_t value = 0;
  for (int i = 0; i < count; i++) value |= (uint32_t)bytes[i] << 8 * i;
  return value;
}

static int read_header(const uint8_t *data, size_t size, Header *header, char *message) {
  if (size < 26) return ci_fail(message, "the data end too early");
  uint32_t length = little(data + 14, 4);
  int64_t width, height;
  uint32_t compression = 0, colours = 0;
  memset(header, 0, sizeof *header);
  if (length == 12) {
    width = little(data + 18, 2), height = little(data + 20, 2);
    header->bits = (int)little(data + 24, 2);
    header->palette_entry = 3;
  } else {
    if (length < 40 || length > 1024 || size < 14 + (size_t)length)
      return ci_fail(message, "a header of %u bytes", length);
    width = (int32_t)little(data + 18, 4), height = (int32_t)little(data + 22, 4);
    header->bits = (int)little(data + 28, 2);
    compression = little(data + 30, 4);
    colours = little(data + 46, 4);
    header->palette_entry = 4;
  }
  header->from_top = height < 0;
  if (height < 0) height = -height;
  if (width < 1 || height < 1 || width > INT32_MAX || height > INT32_MAX)
    return ci_fail(message, "the picture has no pixels");
  int bits = header->bits;
  if (bits != 1 && bits != 4 && bits != 8 && bits != 16 && bits != 24 && bits != 32)
    return ci_fail(message, "%d bits a pixel", bits);
  int has_masks = compression == 3 || compression == 6;
  if (compression != 0 && !(has_masks && bits >= 16 && bits != 24))
    return ci_fail(message, "a compressed bitmap; save it uncompressed, or as PNG");
  header->info = (ci_info){(int32_t)width, (int32_t)height, 3};
  header->pixels = little(data + 10, 4);
  header->palette = 14 + (size_t)length;
  if (bits == 16) memcpy(header->masks, (uint32_t[]){0x7C00, 0x03E0, 0x001F}, sizeof header->masks);
  else memcpy(header->masks, (uint32_t[]){0xFF0000, 0xFF00, 0xFF}, sizeof header->masks);
  if (has_masks) {
    if (size < 66) return ci_fail(message, "the data end too early");
    for (int k = 0; k < 3; k++) header->masks[k] = little(data + 54 + 4 * k, 4);
  }
  if (bits <= 8) {
    header->colours = colours && colours < 1u << bits ? colours : 1u << bits;
    if (size < header->palette || (size - header->palette) / header->palette_entry < header->colours)
      return ci_fail(message, "the palette ends too early");
  }
  return 0;
}

int ci_bmp_probe(const uint8_t *data, size_t size, ci_info *info, char *message) {
  Header header;
  if (read_header(data, size, &header, message)) return -1;
  *info = header.info;
  return 0;
}

// The bits of `mask` in a pixel, as 0 to 255.
static uint8_t sample(uint32_t pixel, uint32_t mask) {
  if (!mask) return 0;
  int shift = __builtin_ctz(mask);
  uint32_t most = mask >> shift;
  return (uint8_t)(((uint64_t)((pixel & mask) >> shift) * 255 + most / 2) / most);
}

static void read_row(const uint8_t *row, const Header *header, const uint8_t *palette, uint8_t *out) {
  for (int32_t x = 0; x < header->info.width; x++, out += 3) {
    int bits = header->bits;
    if (bits <= 8) {
      size_t position = (size_t)x * bits;
      uint32_t index = row[position / 8] >> (8 - bits - position % 8) & ((1u << bits) - 1);
      if (index >= header->colours) index = 0;
      const uint8_t *colour = palette + (size_t)header->palette_entry * index;
      for (int k = 0; k < 3; k++) out[k] = colour[2 - k];
    } else {
      const uint8_t *bytes = row + (size_t)x * (bits / 8);
      uint32_t pixel = little(bytes, bits / 8);
      for (int k = 0; k < 3; k++) out[k] = sample(pixel, header->masks[k]);
    }
  }
}

int ci_bmp_decode(const uint8_t *data, size_t size, ci_request request, uint8_t **pixels, ci_info *info,
                  char *message) {
  Header header;
  if (read_header(data, size, &header, message)) return -1;
  if (ci_check_size(header.info, request.max_pixels, 8 * (int64_t)size, message)) return -1;
  size_t stride = ((size_t)header.info.width * header.bits + 31) / 32 * 4;
  if (header.pixels > size || (size - header.pixels) / stride < (size_t)header.info.height)
    return ci_fail(message, "the data end too early");
  *info = header.info;
  *pixels = ci_allocate(*info, request.channels);
  if (!*pixels) return ci_fail(message, "no memory for the pixels");
  for (int32_t y = 0; y < info->height; y++) {
    size_t line = header.from_top ? y : info->height - 1 - y;
    read_row(data + header.pixels + line * stride, &header, data + header.palette,
             *pixels + (size_t)y * info->width * 3);
  }
  return 0;
}
