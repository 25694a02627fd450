#include "internal.h"

#include <png.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  const uint8_t *data;
  size_t size, offset;
  char *message;
  png_structp png;
  png_infop info;
  uint8_t *pixels;
} Reader;

static void stop(png_structp png, png_const_charp text) {
  Reader *reader = png_get_error_ptr(png);
  ci_fail(reader->message, "%s", text);
  png_longjmp(png, 1);
}

// libpng warns about ancillary chunks only; damage to the picture itself is an error.
static void stay_silent(png_structp png, png_const_charp text) { (void)png, (void)text; }

static void read_bytes(png_structp png, png_bytep out, size_t count) {
  Reader *reader = png_get_io_ptr(png);
  if (count > reader->size - reader->offset) png_error(png, "the data end too early");
  memcpy(out, reader->data + reader->offset, count);
  reader->offset += count;
}

static int create(Reader *reader) {
  reader->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, reader, stop, stay_silent);
  if (reader->png) reader->info = png_create_info_struct(reader->png);
  return reader->info ? 0 : ci_fail(reader->message, "no memory for the PNG decoder");
}

static ci_info read_header(Reader *reader) {
  png_set_read_fn(reader->png, reader, read_bytes);
  // Texts, profiles and other chunks that do not change the pixels are passed over.
  png_set_keep_unknown_chunks(reader->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
  png_read_info(reader->png, reader->info);
  int colour = png_get_color_type(reader->png, reader->info) & PNG_COLOR_MASK_COLOR;
  return (ci_info){(int32_t)png_get_image_width(reader->png, reader->info),
                   (int32_t)png_get_image_height(reader->png, reader->info), colour ? 3 : 1};
}

// How the camera was held, as the chunk eXIf says, which may stand before the pixels or behind them.
static int orientation(const uint8_t *data, size_t size) {
  for (size_t offset = 8; offset + 12 <= size;) {
    size_t length = (size_t)data[offset] << 24 | (size_t)data[offset + 1] << 16 | (size_t)data[offset + 2] << 8 |
                    (size_t)data[offset + 3];
    if (length > size - offset - 12) return 1;
    if (!memcmp(data + offset + 4, "eXIf", 4)) return ci_exif_orientation(data + offset + 8, length);
    offset += 12 + length;
  }
  return 1;
}

static int probe(Reader *reader, ci_info *info) {
  if (create(reader)) return -1;
  if (setjmp(png_jmpbuf(reader->png))) return -1;
  *info = read_header(reader);
  ci_orient_info(info, orientation(reader->data, reader->size));
  return 0;
}

int ci_png_probe(const uint8_t *data, size_t size, ci_info *info, char *message) {
  Reader reader = {.data = data, .size = size, .message = message};
  int status = probe(&reader, info);
  png_destroy_read_struct(&reader.png, &reader.info, NULL);
  return status;
}

static int decode(Reader *reader, ci_request request, ci_info *info) {
  if (create(reader)) return -1;
  if (setjmp(png_jmpbuf(reader->png))) return -1;
  png_structp png = reader->png;
  *info = read_header(reader);
  // Deflate unpacks a byte to 1032 at most.
  int64_t bits = (int64_t)png_get_bit_depth(png, reader->info) * png_get_channels(png, reader->info);
  if (ci_check_size(*info, request.max_pixels, 1032 * 8 / bits * (int64_t)reader->size, reader->message))
    return -1;

  if (png_get_color_type(png, reader->info) == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png);
  else if (bits < 8) png_set_expand_gray_1_2_4_to_8(png);
  png_set_scale_16(png);
  png_set_strip_alpha(png);
  int passes = png_set_interlace_handling(png);
  png_read_update_info(png, reader->info);

  size_t stride = (size_t)info->width * info->channels;
  if (png_get_rowbytes(png, reader->info) != stride) png_error(png, "unsupported pixel layout");
  reader->pixels = ci_allocate(*info, request.channels);
  if (!reader->pixels) png_error(png, "no memory for the pixels");
  for (int pass = 0; pass < passes; pass++)
    for (int32_t row = 0; row < info->height; row++) png_read_row(png, reader->pixels + stride * row, NULL);
  png_read_end(png, NULL);
  return 0;
}

int ci_png_decode(const uint8_t *data, size_t size, ci_request request, uint8_t **pixels, ci_info *info,
                  char *message) {
  Reader reader = {.data = data, .size = size, .message = message};
  int status = decode(&reader, request, info);
  if (!status) status = ci_orient(&reader.pixels, info, orientation(data, size), message);
  png_destroy_read_struct(&reader.png, &reader.info, NULL);
  if (status) free(reader.pixels);
  else *pixels = reader.pixels;
  return status;
}
