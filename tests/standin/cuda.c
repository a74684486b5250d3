/* A stand-in for libcuda.so.1: which cards CUDA shows a process, answered from the state. */
#include "state.h"

enum { SUCCESS = 0, NO_DEVICE = 100, INVALID_DEVICE = 101 };

#define CALL() do { int code = called(__func__, CARDS); if (code) return code; } while (0)

/* The card in this place of CUDA's order: the fastest first, unless CUDA_DEVICE_ORDER is PCI_BUS_ID; NULL after the
   last. */
static struct card *at(uint32_t place) {
    const char *order = getenv("CUDA_DEVICE_ORDER");
    if (order && !strcmp(order, "PCI_BUS_ID"))
        return place < state->card_count ? state->cards + place : NULL;
    for (uint32_t i = 0; i < state->card_count; i++) {
        uint32_t before = 0; /* the cards that come before this one */
        for (uint32_t k = 0; k < state->card_count; k++)
            before += state->cards[k].cuda_rank < state->cards[i].cuda_rank
                      || (state->cards[k].cuda_rank == state->cards[i].cuda_rank && k < i);
        if (before == place)
            return state->cards + i;
    }
    return NULL;
}

static const char *uuid_of(struct card *one) { return *one->cuda_uuid ? one->cuda_uuid : one->uuid; }

/* The device that a word of CUDA_VISIBLE_DEVICES names by its index, or by a prefix of a UUID that no other has. */
static const char *named(const char *word, size_t length) {
    const char *found = NULL;
    char index[12];
    for (uint32_t i = 0; i < state->card_count; i++) {
        struct card *one = at(i);
        snprintf(index, sizeof index, "%u", i);
        if (length && strlen(index) == length && !strncmp(index, word, length))
            return uuid_of(one);
        int is_card = length > 4 && !strncmp(one->uuid, word, length);
        int is_mig = length > 4 && !strncmp(one->mig_uuid, word, length);
        if (is_card || is_mig) {
            if (found)
                return NULL;
            found = is_card ? uuid_of(one) : one->mig_uuid;
        }
    }
    return found;
}

/* The UUID that CUDA shows as its device `index`, or NULL. As the driver does, it shows those that
   CUDA_VISIBLE_DEVICES names, up to the first that does not exist; a device named twice leaves none. */
static const char *shown(int index) {
    const char *word = getenv("CUDA_VISIBLE_DEVICES"), *seen[2 * CARDS + 1] = {0}, *answer = NULL;
    if (!word)
        return at(index) ? uuid_of(at(index)) : NULL;
    for (int place = 0;; place++, word++) {
        size_t length = strcspn(word, ",");
        const char *uuid = named(word, length);
        for (int k = 0; k < place; k++)
            if (uuid == seen[k])
                return uuid ? NULL : answer;
        if (!uuid)
            return answer;
        seen[place] = uuid;
        answer = place == index ? uuid : answer;
        word += length;
        if (!*word)
            return answer;
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
