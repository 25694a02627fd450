#include "internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int ci_fail(char *message, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, CI_MESSAGE, format, arguments);
  va_end(arguments);
  return -1;
}

int ci_check_size(ci_info info, int64_t max_pixels, int64_t most_possible, char *message) {
  int64_t pixels = (int64_t)info.width * info.height;
  if (pixels <= 0) return ci_fail(message, "the picture has no pixels");
  if (pixels > max_pixels)
    return ci_fail(message, "the picture has %d x %d pixels, more than the limit of %lld", info.width, info.height,
                   (long long)max_pixels);
  if (pixels > most_possible)
    return ci_fail(message, "the header says %d x %d pixels, more than the file's size can hold", info.width,
                   info.height);
  return 0;
}

uint8_t *ci_allocate(ci_info info, int channels) {
  size_t deepest = info.channels > channels ? info.channels : channels;
  return malloc((size_t)info.width * info.height * deepest);
}

void ci_free(void *memory) { free(memory); }

static int is_jpeg(const uint8_t *data, size_t size) { return size >= 3 && !memcmp(data, "\xFF\xD8\xFF", 3); }

static int is_png(const uint8_t *data, size_t size) { return size >= 8 && !memcmp(data, "\x89PNG\r\n\x1A\n", 8); }

static int is_webp(const uint8_t *data, size_t size) {
  return size >= 16 && !memcmp(data, "RIFF", 4) && !memcmp(data + 8, "WEBPVP8", 7);
}

static int is_tiff(const uint8_t *data, size_t size) {
  return size >= 8 && (!memcmp(data, "II*\0", 4) || !memcmp(data, "MM\0*", 4));
}

// "BM", the file's length, four bytes of zero, where the pixels begin, how long the header is.
static int is_bmp(const uint8_t *data, size_t size) { return size >= 18 && !memcmp(data, "BM", 2) && data[15] < 4; }

typedef struct {
  int (*recognizes)(const uint8_t *, size_t);
  int (*probe)(const uint8_t *, size_t, ci_info *, char *);
  int (*decode)(const uint8_t *, size_t, ci_request, uint8_t **, ci_info *, char *);
} Format;

static const Format formats[] = {{is_jpeg, ci_jpeg_probe, ci_jpeg_decode},
                                 {is_png, ci_png_probe, ci_png_decode},
                                 {is_webp, ci_webp_probe, ci_webp_decode},
                                 {is_tiff, ci_tiff_probe, ci_tiff_decode},
                                 {is_bmp, ci_bmp_probe, ci_bmp_decode}};

static const Format *format_of(const uint8_t *data, size_t size, char *message) {
  for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
    if (formats[i].recognizes(data, size)) return &formats[i];
  ci_fail(message, "not a JPEG, PNG, WebP, TIFF or BMP picture");
  return NULL;
}

int ci_probe(const uint8_t *data, size_t size, ci_info *info, char *message) {
  const Format *format = format_of(data, size, message);
  return format ? format->probe(data, size, info, message) : -1;
}

static uint8_t luma(int red, int green, int blue) {
  return (uint8_t)((19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16);
}

// Turns `from` (1 or 3) channels into `to` (1 or 3) in place; the memory holds the larger of both.
static void convert(uint8_t *pixels, size_t count, int from, int to) {
  if (from == 3 && to == 1)
    for (size_t i = 0; i < count; i++) pixels[i] = luma(pixels[3 * i], pixels[3 * i + 1], pixels[3 * i + 2]);
  if (from == 1 && to == 3)
    for (size_t i = count; i-- > 0;) pixels[3 * i] = pixels[3 * i + 1] = pixels[3 * i + 2] = pixels[i];
}

int ci_decode(const uint8_t *data, size_t size, ci_request request, uint8_t **pixels, ci_info *info,
              char *message) {
  *pixels = NULL;
  if (request.channels != 1 && request.channels != 3)
    return ci_fail(message, "pictures decode to 1 or 3 channels, not %d", request.channels);
  const Format *format = format_of(data, size, message);
  if (!format || format->decode(data, size, request, pixels, info, message)) return -1;
  convert(*pixels, (size_t)info->width * info->height, info->channels, request.channels);
  info->channels = request.channels;
  return 0;
}

void ci_histogram(const uint8_t *planes, size_t images, size_t channels, size_t plane, uint64_t *histogram) {
  for (size_t image = 0; image < images; image++)
    for (size_t channel = 0; channel < channels; channel++)
      for (size_t i = 0; i < plane; i++) histogram[256 * channel + *planes++]++;
}
