/* A stand-in for libcuda.so.1: which cards CUDA shows a process, answered from the state. */
#include "state.h"

enum { SUCCESS = 0, NO_DEVICE = 100, INVALID_DEVICE = 101 };

#define CALL() do { int code = called(__func__, CARDS); if (code) return code; } while (0)

/* The card, or the MIG device of one, that a word of CUDA_VISIBLE_DEVICES names, by its UUID or by its index. */
static const char *named(const char *word, size_t length) {
    for (uint32_t i = 0; i < state->card_count; i++) {
        struct card *one = state->cards + i;
        char index[12];
        snprintf(index, sizeof index, "%u", i);
        const char *names[] = {one->uuid, index, one->mig_uuid};
        for (int k = 0; k < 3; k++)
            if (length && strlen(names[k]) == length && !strncmp(names[k], word, length))
                return k < 2 ? (*one->cuda_uuid ? one->cuda_uuid : one->uuid) : one->mig_uuid;
    }
    return NULL;
}

/* The UUID that CUDA shows as its device `index`, or NULL. As the driver does, it shows those that
   CUDA_VISIBLE_DEVICES names, up to the first that does not exist. */
static const char *shown(int index) {
    const char *word = getenv("CUDA_VISIBLE_DEVICES");
    if (!word) {
        struct card *one = state->cards + index;
        return (uint32_t)index >= state->card_count ? NULL : *one->cuda_uuid ? one->cuda_uuid : one->uuid;
    }
    for (;; word++) {
        size_t length = strcspn(word, ",");
        const char *uuid = named(word, length);
        if (!uuid || index-- == 0)
            return uuid;
        word += length;
        if (!*word)
            return NULL;
    }
}

int cuInit(unsigned int flags) {
    (void)flags;
    if (!mapped())
        return NO_DEVICE;
    CALL();
    return shown(0) ? SUCCESS : NO_DEVICE;
}

int cuDeviceGetCount(int *count) {
    CALL();
    for (*count = 0; shown(*count); ++*count)
        ;
    return SUCCESS;
}

int cuDeviceGet(int *device, int index) {
    CALL();
    *device = index;
    return shown(index) ? SUCCESS : INVALID_DEVICE;
}

int cuDeviceGetUuid_v2(unsigned char *bytes, int device) {
    CALL();
    const char *text = strchr(shown(device), '-') + 1;
    for (int i = 0; i < 16; i++, text += 2) {
        text += *text == '-';
        unsigned int byte;
        sscanf(text, "%2x", &byte);
        bytes[i] = (unsigned char)byte;
    }
    return SUCCESS;
}
