#include "png_encode.h"

#include <png.h>
#include <stdlib.h>
#include <string.h>

int ci_png_encode(const uint8_t *pixels, int width, int height, int channels, uint8_t **out, size_t *out_size) {
  if (!pixels || width < 1 || height < 1 || width > 65535 || height > 65535 || (channels != 1 && channels != 3))
    return -1;
  png_image image;
  memset(&image, 0, sizeof image);
  image.version = PNG_IMAGE_VERSION;
  image.width = (png_uint_32)width;
  image.height = (png_uint_32)height;
  image.format = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;

  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
  uint8_t *block = malloc(size);
  if (!block) return -1;
  if (!png_image_write_to_memory(&image, block, &size, 0, pixels, width * channels, NULL)) {
    free(block);
    return -1;
  }
  uint8_t *fitted = realloc(block, size);
  *out = fitted ? fitted : block;
  *out_size = size;
  return 0;
}
