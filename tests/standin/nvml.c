/* A stand-in for libnvidia-ml.so.1: the functions that pynvml calls, answered from the state. */
#include "state.h"

enum { OK = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, DRIVER_NOT_LOADED = 9 };

typedef unsigned int uint;
typedef struct card *handle; /* a handle of a card's MIG device points one byte further */

struct pci { char legacy_id[16]; uint domain, bus, device, device_id, subsystem_id; char id[32]; };
struct memory { uint64_t total, free, used; };
struct memory_v2 { uint version; uint64_t total, reserved, free, used; };
struct process_info { uint pid; uint64_t used; uint gpu_instance, compute_instance; };
struct utilisation { uint gpu, memory; };
struct temperature { uint version, sensor; int celsius; };
struct field { uint id, scope; int64_t timestamp, latency_us; uint type; int code; union { uint ui; uint64_t ull; } value; };

static int is_mig(handle card) { return ((char *)card - (char *)state->cards) % sizeof(struct card) != 0; }
static struct card *of(handle card) { return is_mig(card) ? (handle)((char *)card - 1) : card; }

#define CALL(DEVICE) do { int code = called(__func__, DEVICE); if (code) return code; } while (0)
#define CALL_ON(CARD) CALL((uint)(of(CARD) - state->cards))
#define ANSWER(FUNCTION, TYPE, FIELD) \
    int FUNCTION(handle card, TYPE *value) { CALL_ON(card); *value = of(card)->FIELD; return OK; }
#define TEXT(FUNCTION, FIELD) \
    int FUNCTION(handle card, char *text, uint size) { CALL_ON(card); snprintf(text, size, "%s", FIELD); return OK; }

int nvmlInitWithFlags(uint flags) { (void)flags; if (!mapped()) return DRIVER_NOT_LOADED; CALL(CARDS); return OK; }
int nvmlShutdown(void) { CALL(CARDS); return OK; }
const char *nvmlErrorString(int code) { (void)code; return "an error of the stand-in"; }

int nvmlSystemGetDriverVersion(char *text, uint size) {
    CALL(CARDS);
    snprintf(text, size, "%s", state->driver_version);
    return OK;
}

int nvmlSystemGetCudaDriverVersion(int *version) { CALL(CARDS); *version = (int)state->cuda_version; return OK; }

int nvmlDeviceGetCount_v2(uint *count) { CALL(CARDS); *count = state->card_count; return OK; }

int nvmlDeviceGetHandleByIndex_v2(uint index, handle *card) {
    if (index >= state->card_count)
        return INVALID_ARGUMENT;
    CALL(index);
    *card = state->cards + index;
    return OK;
}

int nvmlDeviceGetHandleByUUID(const char *uuid, handle *card) {
    for (uint index = 0; index < state->card_count; index++) {
        handle one = state->cards + index;
        int mig = *one->mig_uuid && !strcmp(uuid, one->mig_uuid);
        if (!mig && strcmp(uuid, one->uuid))
            continue;
        CALL(index);
        *card = (handle)((char *)one + mig);
        return OK;
    }
    return NOT_FOUND;
}

TEXT(nvmlDeviceGetName, of(card)->name)
TEXT(nvmlDeviceGetUUID, is_mig(card) ? of(card)->mig_uuid : card->uuid)

int nvmlDeviceGetPciInfo_v3(handle card, struct pci *pci) {
    CALL_ON(card);
    memset(pci, 0, sizeof *pci);
    snprintf(pci->id, sizeof pci->id, "%s", of(card)->pci_bus_id);
    return OK;
}

int nvmlDeviceGetCudaComputeCapability(handle card, int *major, int *minor) {
    CALL_ON(card);
    *major = (int)of(card)->compute_major;
    *minor = (int)of(card)->compute_minor;
    return OK;
}

/* The first version counts what the driver reserves as used. */
int nvmlDeviceGetMemoryInfo(handle card, struct memory *memory) {
    CALL_ON(card);
    struct card *one = of(card);
    memory->total = one->memory_total_bytes;
    memory->used = one->memory_reserved_bytes + one->memory_used_bytes;
    memory->free = memory->total - memory->used;
    return OK;
}

int nvmlDeviceGetMemoryInfo_v2(handle card, struct memory_v2 *memory) {
    CALL_ON(card);
    if (memory->version != (sizeof *memory | 2u << 24))
        return INVALID_ARGUMENT;
    struct card *one = of(card);
    memory->total = one->memory_total_bytes;
    memory->reserved = one->memory_reserved_bytes;
    memory->used = one->memory_used_bytes;
    memory->free = memory->total - memory->reserved - memory->used;
    return OK;
}

ANSWER(nvmlDeviceGetPowerManagementLimit, uint, power_limit_mw)
ANSWER(nvmlDeviceGetEnforcedPowerLimit, uint, power_limit_mw)
ANSWER(nvmlDeviceGetPowerUsage, uint, power_mw)
ANSWER(nvmlDeviceGetCurrentClocksEventReasons, uint64_t, throttle_reasons)
ANSWER(nvmlDeviceGetCurrentClocksThrottleReasons, uint64_t, throttle_reasons)

ANSWER(nvmlDeviceGetComputeMode, uint, compute_mode)

/* The counter stands at energy_mj, or moves on from there with the power since a time of the monotonic clock. */
int nvmlDeviceGetTotalEnergyConsumption(handle card, uint64_t *energy_mj) {
    CALL_ON(card);
    struct card *one = of(card);
    *energy_mj = one->energy_mj;
    if (one->energy_since_ns) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        double since_s = now.tv_sec + now.tv_nsec / 1e9 - one->energy_since_ns / 1e9;
        *energy_mj += (uint64_t)(since_s * one->power_instant_mw);
    }
    return OK;
}

int nvmlDeviceGetFieldValues(handle card, int count, struct field *fields) {
    CALL_ON(card);
    for (struct field *field = fields; field < fields + count; field++) {
        /* A card without power_instant_mw has no such field; the call succeeds all the same. */
        int told = field->id == 185 || (field->id == 186 && of(card)->power_instant_mw);
        field->code = told ? OK : NOT_SUPPORTED;
        field->type = 1; /* unsigned int */
        field->value.ull = field->id == 186 ? of(card)->power_instant_mw : of(card)->power_mw;
    }
    return OK;
}

int nvmlDeviceGetClockInfo(handle card, uint clock, uint *mhz) {
    CALL_ON(card);
    *mhz = clock == 2 ? of(card)->memory_mhz : of(card)->sm_mhz;
    return OK;
}

int nvmlDeviceGetMaxClockInfo(handle card, uint clock, uint *mhz) {
    CALL_ON(card);
    *mhz = clock == 2 ? of(card)->max_memory_mhz : of(card)->max_sm_mhz;
    return OK;
}

int nvmlDeviceGetTemperature(handle card, uint sensor, uint *celsius) {
    (void)sensor;
    CALL_ON(card);
    *celsius = of(card)->temperature_c;
    return OK;
}

int nvmlDeviceGetTemperatureV(handle card, struct temperature *temperature) {
    CALL_ON(card);
    temperature->celsius = (int)of(card)->temperature_c;
    return OK;
}

int nvmlDeviceGetUtilizationRates(handle card, struct utilisation *utilisation) {
    CALL_ON(card);
    if (of(card)->mig)
        return NOT_SUPPORTED;
    utilisation->gpu = of(card)->utilisation;
    utilisation->memory = of(card)->memory_utilisation;
    return OK;
}

int nvmlDeviceGetEccMode(handle card, uint *now, uint *pending) {
    CALL_ON(card);
    *now = *pending = of(card)->ecc;
    return OK;
}

int nvmlDeviceGetTotalEccErrors(handle card, uint kind, uint counter, uint64_t *count) {
    (void)counter;
    CALL_ON(card);
    *count = kind == 1 ? of(card)->ecc_errors : 0; /* 1: those that could not be corrected */
    return OK;
}

int nvmlDeviceGetMigMode(handle card, uint *now, uint *pending) {
    CALL_ON(card);
    *now = *pending = of(card)->mig;
    return is_mig(card) ? NOT_SUPPORTED : OK;
}

int nvmlDeviceGetMaxMigDeviceCount(handle card, uint *count) { CALL_ON(card); *count = 1; return OK; }

int nvmlDeviceGetMigDeviceHandleByIndex(handle card, uint index, handle *mig) {
    CALL_ON(card);
    if (index || !*of(card)->mig_uuid)
        return NOT_FOUND;
    *mig = (handle)((char *)card + 1);
    return OK;
}

int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle mig, handle *card) { CALL_ON(mig); *card = of(mig); return OK; }

/* Both versions fill one structure; the second is the older drivers' only one. */
#define PROCESSES_OF(FUNCTION) \
    int FUNCTION(handle card, uint *count, struct process_info *infos) { \
        CALL_ON(card); \
        struct card *one = of(card); \
        uint room = *count; \
        *count = one->process_count; \
        if (room < *count) \
            return INSUFFICIENT_SIZE; \
        for (uint index = 0; index < *count; index++) \
            infos[index] = (struct process_info){ \
                one->processes[index].pid, one->processes[index].used_bytes, FOR_EVER, FOR_EVER}; \
        return OK; \
    }

PROCESSES_OF(nvmlDeviceGetComputeRunningProcesses_v2)
PROCESSES_OF(nvmlDeviceGetComputeRunningProcesses_v3)
