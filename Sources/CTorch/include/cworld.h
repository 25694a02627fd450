// The door to what LibTorch has for several processes that compute one thing: a store of keys that one of them serves,
// and the sum of a tensor over all of them.
//
// As behind ctorch.h no C++ exception crosses: what can fail takes a ct_error and returns CT_OK or the error's status.
#ifndef CWORLD_H
#define CWORLD_H

#include "ctorch.h"

#ifdef __cplusplus
extern "C" {
#endif

// Keys and values that all processes see; a connection to it serves one call at a time.
typedef struct ct_store_impl *ct_store;
// The processes as they add up tensors.
typedef struct ct_group_impl *ct_group;

// Connects to the store at `host` and `port`, tried until `milliseconds` are over, or serves it from this process for
// as long as the handle is held. Port 0 is any that is free; `bound` is the one that it became.
int32_t ct_store_open(const char *host, int32_t port, bool serves, int64_t milliseconds, ct_store *out, int32_t *bound,
                      ct_error *error);
void ct_store_release(ct_store store);
int32_t ct_store_set(ct_store store, const char *key, const char *value, ct_error *error);
// The value under `key`, malloc'ed and owned by the caller; null where there is none.
int32_t ct_store_get(ct_store store, const char *key, char **value, ct_error *error);
// Sets what no one has set; `value` is what stands there afterwards, malloc'ed and owned by the caller.
int32_t ct_store_set_first(ct_store store, const char *key, const char *wanted, char **value, ct_error *error);

// Joins `size` processes that meet under `prefix` in the store; each waits for the others up to `milliseconds`, here
// and in every sum.
int32_t ct_group_join(ct_store store, const char *prefix, int32_t rank, int32_t size, int64_t milliseconds,
                      ct_group *out, ct_error *error);
void ct_group_release(ct_group group);
// Makes each element of a contiguous CPU tensor the sum over all processes, bit for bit the same in all of them.
int32_t ct_group_sum(ct_group group, ct_tensor tensor, ct_error *error);

#ifdef __cplusplus
}
#endif

#endif
