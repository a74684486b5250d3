/* A stand-in for libcuda.so.1: which cards CUDA shows a process, answered from the state. */
#include "state.h"

enum { SUCCESS = 0, NO_DEVICE = 100, INVALID_DEVICE = 101 };

#define CALL() do { int code = called(__func__, CARDS); if (code) return code; } while (0)

/* The UUID that CUDA shows as its device `index`, or NULL. As the driver does, it shows those that
   CUDA_VISIBLE_DEVICES names, up to the first that does not exist. */
static const char *shown(int index) {
    const char *named = getenv("CUDA_VISIBLE_DEVICES");
    for (uint32_t i = 0; i < state->card_count; i++) {
        struct card *one = state->cards + i;
        const char *uuid = NULL;
        if (!named || !strcmp(named, one->uuid))
            uuid = one->uuid;
        else if (*one->mig_uuid && !strcmp(named, one->mig_uuid))
            uuid = one->mig_uuid;
        if (uuid && index-- == 0)
            return *one->cuda_uuid ? one->cuda_uuid : uuid;
    }
    return NULL;
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
