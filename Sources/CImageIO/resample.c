#include "internal.h"

#include <math.h>
#include <stdlib.h>

// The weighted source samples behind each output sample along one axis.
typedef struct {
  int taps;        // the most that any output sample has
  int *first;      // [out]
  int *count;      // [out]
  float *weights;  // [out][taps]
} Filter;

static void release(Filter filter) {
  free(filter.first);
  free(filter.count);
  free(filter.weights);
}

static Filter triangle(int in, int full, int offset, int out) {
  double scale = (double)in / full, support = scale > 1 ? scale : 1;
  Filter filter = {.taps = (int)ceil(support) * 2 + 1};
  filter.first = malloc(out * sizeof *filter.first);
  filter.count = malloc(out * sizeof *filter.count);
  filter.weights = malloc((size_t)out * filter.taps * sizeof *filter.weights);
  if (!filter.first || !filter.count || !filter.weights) {
    release(filter);
    return (Filter){0};
  }
  for (int i = 0; i < out; i++) {
    double centre = (offset + i + 0.5) * scale;
    int first = (int)fmax(centre - support + 0.5, 0), last = (int)fmin(centre + support + 0.5, in);
    float *weights = filter.weights + (size_t)i * filter.taps;
    double sum = 0;
    for (int k = first; k < last; k++) sum += fmax(0, 1 - fabs((k + 0.5 - centre) / support));
    for (int k = first; k < last; k++)
      weights[k - first] = (float)(fmax(0, 1 - fabs((k + 0.5 - centre) / support)) / sum);
    filter.first[i] = first;
    filter.count[i] = last - first;
  }
  return filter;
}

static uint8_t rounded(float value) { return (uint8_t)(fminf(fmaxf(value, 0), 255) + 0.5f); }

// One past the last source sample that the filter reads.
static int end_of(Filter filter, int out) { return filter.first[out - 1] + filter.count[out - 1]; }

static void apply(const uint8_t *pixels, ci_info info, ci_window window, Filter across, Filter down, float *lines,
                  uint8_t *planes) {
  int first = down.first[0], last = end_of(down, window.out_height);
  for (int channel = 0; channel < info.channels; channel++) {
    for (int y = first; y < last; y++) {
      const uint8_t *row = pixels + (size_t)y * info.width * info.channels + channel;
      for (int x = 0; x < window.out_width; x++) {
        const float *weights = across.weights + (size_t)x * across.taps;
        float sum = 0;
        for (int k = 0; k < across.count[x]; k++) sum += weights[k] * row[(across.first[x] + k) * info.channels];
        lines[(size_t)(y - first) * window.out_width + x] = sum;
      }
    }
    for (int y = 0; y < window.out_height; y++) {
      const float *weights = down.weights + (size_t)y * down.taps;
      for (int x = 0; x < window.out_width; x++) {
        float sum = 0;
        for (int k = 0; k < down.count[y]; k++)
          sum += weights[k] * lines[(size_t)(down.first[y] - first + k) * window.out_width + x];
        *planes++ = rounded(sum);
      }
    }
  }
}

static void copy_window(const uint8_t *pixels, ci_info info, ci_window window, uint8_t *planes) {
  for (int channel = 0; channel < info.channels; channel++)
    for (int y = 0; y < window.out_height; y++) {
      const uint8_t *row =
          pixels + ((size_t)(window.top + y) * info.width + window.left) * info.channels + channel;
      for (int x = 0; x < window.out_width; x++) *planes++ = row[x * info.channels];
    }
}

int ci_resample(const uint8_t *pixels, ci_info info, ci_window window, uint8_t *planes, char *message) {
  if (window.out_width < 1 || window.out_height < 1 || window.left < 0 || window.top < 0 ||
      window.left > window.full_width - window.out_width || window.top > window.full_height - window.out_height)
    return ci_fail(message, "a window of %d x %d does not fit into %d x %d", window.out_width, window.out_height,
                   window.full_width, window.full_height);
  if (info.width == window.full_width && info.height == window.full_height) {
    copy_window(pixels, info, window, planes);
    return 0;
  }
  Filter across = triangle(info.width, window.full_width, window.left, window.out_width);
  Filter down = triangle(info.height, window.full_height, window.top, window.out_height);
  float *lines = NULL;
  if (across.first && down.first) {
    size_t rows = (size_t)(end_of(down, window.out_height) - down.first[0]);
    lines = malloc(rows * window.out_width * sizeof *lines);
  }
  if (lines) apply(pixels, info, window, across, down, lines, planes);
  int status = lines ? 0 : ci_fail(message, "no memory to resize the picture");
  free(lines);
  release(across);
  release(down);
  return status;
}
