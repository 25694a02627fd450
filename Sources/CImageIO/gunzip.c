#include "internal.h"

#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

typedef struct {
  uint8_t *bytes;
  size_t count, capacity;
} Output;

static int grow(Output *output, size_t limit) {
  size_t capacity = output->capacity < 1 << 15 ? 1 << 16 : output->capacity * 2;
  if (capacity > limit) capacity = limit;
  uint8_t *bytes = realloc(output->bytes, capacity ? capacity : 1);
  if (!bytes) return -1;
  output->bytes = bytes;
  output->capacity = capacity;
  return 0;
}

static int only_zeros(const uint8_t *data, size_t size) {
  for (size_t i = 0; i < size; i++)
    if (data[i]) return 0;
  return 1;
}

// Unpacks all members; *output may hold memory also when it fails.
static int unpack(z_stream *stream, size_t size, int beginning, size_t limit, Output *output, char *message) {
  const uint8_t *end = stream->next_in + size;
  for (;;) {
    size_t left = (size_t)(end - stream->next_in);
    stream->avail_in = left < UINT_MAX ? (uInt)left : UINT_MAX;
    // With the limit reached, one spare byte shows whether there is more.
    uint8_t spare;
    int full = output->count == limit;
    if (full && beginning) return 0;
    if (!full && output->count == output->capacity && grow(output, limit))
      return ci_fail(message, "no memory to unpack the data");
    size_t space = full ? 1 : output->capacity - output->count;
    stream->avail_out = space < UINT_MAX ? (uInt)space : UINT_MAX;
    uInt offered = stream->avail_out;
    stream->next_out = full ? &spare : output->bytes + output->count;

    int status = inflate(stream, Z_NO_FLUSH);
    size_t produced = offered - stream->avail_out;
    if (full && produced) {
      ci_fail(message, "the data unpack to more than the limit of %zu bytes", limit);
      return CI_OVER_LIMIT;
    }
    output->count += produced;
    left = (size_t)(end - stream->next_in);
    if (status == Z_STREAM_END) {
      if (only_zeros(stream->next_in, left)) return 0;
      if (stream->next_in[0] != 0x1F) return ci_fail(message, "%zu stray bytes follow the gzip data", left);
      inflateReset(stream);
    } else if (status == Z_BUF_ERROR || (status == Z_OK && left == 0 && stream->avail_out)) {
      return ci_fail(message, "the gzip data end too early");
    } else if (status != Z_OK) {
      return ci_fail(message, "corrupt gzip data: %s", stream->msg ? stream->msg : "not gzip");
    }
  }
}

int ci_gunzip(const uint8_t *data, size_t size, int zlib, int beginning, size_t limit, uint8_t **out, size_t *out_size,
              char *message) {
  *out = NULL;
  z_stream stream = {.next_in = (Bytef *)data};
  // 16: a gzip header is required, 32: one of gzip or zlib; its checksum and length are checked.
  if (inflateInit2(&stream, (zlib ? 32 : 16) + MAX_WBITS) != Z_OK) return ci_fail(message, "no memory for the gzip decoder");
  Output output = {0};
  int status = unpack(&stream, size, beginning, limit, &output, message);
  inflateEnd(&stream);
  if (status) {
    free(output.bytes);
    return status;
  }
  *out = output.bytes;
  *out_size = output.count;
  return 0;
}
