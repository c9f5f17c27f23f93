/* The format stands in slot.h. */
#include "slot.h"

#include "hash.h"

static const uint64_t slot_key[2] = { 0x7320746977646f67, 0x2179656b20746f6c };

uint16_t slot_of_name(struct span name)
{
    return (uint16_t)(hash_sip(slot_key, name) % SLOT_COUNT);
}

uint16_t slot_of_account(uint64_t account)
{
    char bytes[8];
    for (int i = 0; i < 8; i++) bytes[i] = (char)(account >> (8 * i) & 0xff);
    return slot_of_name(span_of(bytes, sizeof(bytes)));
}
