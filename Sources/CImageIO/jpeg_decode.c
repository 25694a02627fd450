#include "internal.h"

// jpeglib.h needs FILE to be declared.
#include <stdio.h>

#include <jpeglib.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

// A progressive picture may repeat scans without end; real ones have about ten.
enum { MAX_SCANS = 200 };

typedef struct {
  struct jpeg_error_mgr manager;  // first: libjpeg hands back a pointer to it
  struct jpeg_progress_mgr progress;
  struct jpeg_decompress_struct jpeg;
  jmp_buf escape;
  char *message;
  uint8_t *pixels;
  int orientation;
} Reader;

static void stop(j_common_ptr jpeg) {
  Reader *reader = (Reader *)jpeg->err;
  char text[JMSG_LENGTH_MAX];
  jpeg->err->format_message(jpeg, text);
  ci_fail(reader->message, "%s", text);
  longjmp(reader->escape, 1);
}

// libjpeg warns (level -1) where data are corrupt or end early, and would fill in grey: an error here.
static void stop_at_warning(j_common_ptr jpeg, int level) {
  if (level < 0) stop(jpeg);
}

static void stay_silent(j_common_ptr jpeg) { (void)jpeg; }

static void limit_scans(j_common_ptr jpeg) {
  if (jpeg->is_decompressor && ((j_decompress_ptr)jpeg)->input_scan_number > MAX_SCANS) {
    Reader *reader = (Reader *)jpeg->err;
    ci_fail(reader->message, "more than %d scans", MAX_SCANS);
    longjmp(reader->escape, 1);
  }
}

static void begin(Reader *reader, const uint8_t *data, size_t size) {
  reader->jpeg.err = jpeg_std_error(&reader->manager);
  reader->manager.error_exit = stop;
  reader->manager.emit_message = stop_at_warning;
  reader->manager.output_message = stay_silent;
  jpeg_create_decompress(&reader->jpeg);
  reader->progress.progress_monitor = limit_scans;
  reader->jpeg.progress = &reader->progress;
  jpeg_mem_src(&reader->jpeg, data, size);
  jpeg_save_markers(&reader->jpeg, JPEG_APP0 + 1, 0xFFFF);
  jpeg_read_header(&reader->jpeg, TRUE);
}

static ci_info stored(const struct jpeg_decompress_struct *jpeg) {
  return (ci_info){(int32_t)jpeg->image_width, (int32_t)jpeg->image_height, jpeg->num_components};
}

// How the camera was held, as the first Exif block says.
static int orientation(const struct jpeg_decompress_struct *jpeg) {
  for (jpeg_saved_marker_ptr marker = jpeg->marker_list; marker; marker = marker->next)
    if (marker->data_length > 6 && !memcmp(marker->data, "Exif\0\0", 6))
      return ci_exif_orientation(marker->data, marker->data_length);
  return 1;
}

static int probe(Reader *reader, const uint8_t *data, size_t size, ci_info *info) {
  if (setjmp(reader->escape)) return -1;
  begin(reader, data, size);
  *info = stored(&reader->jpeg);
  ci_orient_info(info, orientation(&reader->jpeg));
  return 0;
}

int ci_jpeg_probe(const uint8_t *data, size_t size, ci_info *info, char *message) {
  Reader reader = {.message = message};
  int status = probe(&reader, data, size, info);
  jpeg_destroy_decompress(&reader.jpeg);
  return status;
}

static int scale(const struct jpeg_decompress_struct *jpeg, int min_side) {
  if (min_side <= 0) return 1;
  JDIMENSION shorter = jpeg->image_width < jpeg->image_height ? jpeg->image_width : jpeg->image_height;
  int divisor = 8;
  while (divisor > 1 && shorter / divisor < (JDIMENSION)min_side) divisor /= 2;
  return divisor;
}

// Adobe writes CMYK as 255 - ink.
static void cmyk_to_rgb(uint8_t *pixels, size_t count, int inverted) {
  for (size_t i = 0; i < count; i++) {
    uint8_t ink[4];
    for (int k = 0; k < 4; k++) ink[k] = inverted ? pixels[4 * i + k] : 255 - pixels[4 * i + k];
    for (int k = 0; k < 3; k++) pixels[3 * i + k] = (uint8_t)((ink[k] * ink[3] + 127) / 255);
  }
}

static int decode(Reader *reader, const uint8_t *data, size_t size, ci_request request, ci_info *info) {
  struct jpeg_decompress_struct *jpeg = &reader->jpeg;
  if (setjmp(reader->escape)) return -1;
  begin(reader, data, size);
  // The component sampled most densely has a block for every 64 pixels, and a block takes a bit or more.
  if (ci_check_size(stored(jpeg), request.max_pixels, 512 * (int64_t)size, reader->message)) return -1;
  int cmyk = jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK;
  jpeg->out_color_space = cmyk ? JCS_CMYK : jpeg->jpeg_color_space == JCS_GRAYSCALE ? JCS_GRAYSCALE : JCS_RGB;
  jpeg->scale_denom = scale(jpeg, request.min_side);
  jpeg_start_decompress(jpeg);
  *info = (ci_info){(int32_t)jpeg->output_width, (int32_t)jpeg->output_height, jpeg->output_components};
  reader->pixels = ci_allocate(*info, request.channels);
  if (!reader->pixels) return ci_fail(reader->message, "no memory for the pixels");
  size_t stride = (size_t)info->width * info->channels;
  while (jpeg->output_scanline < jpeg->output_height) {
    JSAMPROW row = reader->pixels + stride * jpeg->output_scanline;
    jpeg_read_scanlines(jpeg, &row, 1);
  }
  int inverted = jpeg->saw_Adobe_marker, held = orientation(jpeg);
  jpeg_finish_decompress(jpeg);
  if (cmyk) {
    cmyk_to_rgb(reader->pixels, (size_t)info->width * info->height, inverted);
    info->channels = 3;
  }
  reader->orientation = held;
  return 0;
}

int ci_jpeg_decode(const uint8_t *data, size_t size, ci_request request, uint8_t **pixels, ci_info *info,
                   char *message) {
  Reader reader = {.message = message};
  int status = decode(&reader, data, size, request, info);
  jpeg_destroy_decompress(&reader.jpeg);
  if (!status) status = ci_orient(&reader.pixels, info, reader.orientation, message);
  if (status) free(reader.pixels);
  else *pixels = reader.pixels;
  return status;
}
