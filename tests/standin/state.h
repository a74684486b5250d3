/* The state that both stand-ins answer from: a file named by FRAMEBENCH_STAND_IN, mapped by them and by the tests.
   tests/standin/__init__.py has the same structures, and gives their size as STATE_BYTES when it builds. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define CARDS 2
#define PROCESSES 8
#define FUNCTIONS 56
#define FOR_EVER 0xffffffffu

struct process {
    uint64_t used_bytes; /* all bits set: not known */
    uint32_t pid;
};

struct card {
    char uuid[96], mig_uuid[96], cuda_uuid[96], name[96], pci_bus_id[32];
    uint64_t memory_total_bytes, memory_reserved_bytes, memory_used_bytes;
    uint64_t energy_mj, energy_since_ns, throttle_reasons, ecc_errors;
    uint32_t power_limit_mw, power_mw, power_instant_mw;
    uint32_t sm_mhz, memory_mhz, max_sm_mhz, max_memory_mhz;
    uint32_t temperature_c, utilisation, memory_utilisation, ecc, mig, compute_mode, cuda_rank;
    uint32_t compute_major, compute_minor, process_count;
    struct process processes[PROCESSES];
};

struct function {
    char name[64];
    uint32_t calls[CARDS + 1]; /* by card; last, of no card */
    int32_t code, device;      /* what a faulty call answers; the card that is faulty, -1 for any */
    uint32_t after, times, delay_ms;
};

struct state {
    char driver_version[80];
    uint32_t cuda_version;
    uint32_t card_count;
    struct card cards[CARDS];
    struct function functions[FUNCTIONS];
};

_Static_assert(sizeof(struct state) == STATE_BYTES, "the structures differ from those of __init__.py");

static struct state *state;

/* Whether there is a state to answer from; without one, the library is one without a driver. */
static int mapped(void) {
    const char *path = getenv("FRAMEBENCH_STAND_IN");
    int file;
    if (state || !path || (file = open(path, O_RDWR)) < 0)
        return state != NULL;
    void *memory = mmap(NULL, sizeof(struct state), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    state = memory == MAP_FAILED ? NULL : memory;
    return state != NULL;
}

/* Count a call on a card (CARDS: on none), wait as its fault says, and return the fault's code or 0. */
static int called(const char *name, uint32_t device) {
    for (struct function *one = state->functions; one < state->functions + FUNCTIONS; one++) {
        if (strcmp(one->name, name))
            continue;
        uint32_t before = __atomic_fetch_add(&one->calls[device], 1, __ATOMIC_SEQ_CST);
        if (one->device < 0)
            for (uint32_t other = 0; other <= CARDS; other++)
                before += other == device ? 0 : one->calls[other];
        else if ((uint32_t)one->device != device)
            return 0;
        if (before < one->after || (one->times != FOR_EVER && before - one->after >= one->times))
            return 0;
        struct timespec delay = {one->delay_ms / 1000, one->delay_ms % 1000 * 1000000L};
        nanosleep(&delay, NULL);
        return one->code;
    }
    return 0;
}

/* By this symbol framebench tells a stand-in from a driver. */
int framebench_stand_in(void) { return 1; }
