/* reload_step.h: when a scanner loads other signatures. Pure: facts in, one wish out.
 *
 * A set lies in the scanner's folder and has a name, the digest of its content. What is in use
 * stays so until another was loaded beside it and has passed its test (engines.h). Of a pool one
 * scanner at a time does that: it takes the turn, loads, and gives the turn back when the last
 * worker of the old set is gone, so that two engines are in memory of one scanner only. A set that
 * failed its test for its own sake is marked as bad for all: nobody who has another in use tries
 * it, until the folder has another or an operator asks. A failure for another reason (no memory)
 * is tried again after RELOAD_AGAIN_MS. A holder that loses its lease while it loads goes on: all
 * serve meanwhile, and two that load at a time cost memory, not mail.
 *
 * Without contact to the pool's rows nothing is begun, and what is in use goes on. A scanner that
 * has nothing in use loads without a turn: it takes no message meanwhile, so nothing is lost. */
#ifndef MAIL_RELOAD_STEP_H
#define MAIL_RELOAD_STEP_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { RELOAD_AGAIN_MS = 60000 };

enum reload_turn { RELOAD_NOBODYS, RELOAD_OURS, RELOAD_ANOTHERS };

/* Sets by their names; 0: none, or not known. */
struct reload_facts {
    uint64_t now_ms;
    bool in_pool;        /* others reload too: a turn is needed */
    bool has_contact;    /* the pool's rows are current, and we may change them */
    bool asked;          /* by an operator: load also what is in use or known as bad */
    bool is_live;        /* a set is in use */
    bool is_loading;     /* one is being loaded or tested */
    bool is_replacing;   /* workers of the one before are still there */
    enum reload_turn turn;
    uint64_t folder;     /* what lies there */
    uint64_t live;       /* what is in use */
    bool folder_is_bad;  /* it is in the list of bad sets */
    uint64_t refused;    /* what was refused here last ... */
    bool refused_is_bad; /* ... for its own sake */
    uint64_t again_ms;   /* else: when it may be tried again */
    bool to_mark;        /* the refused one is to be put into the list */
    bool to_unmark;      /* what is in use now is in it, and has passed here */
};

enum reload_wish {
    RELOAD_NOTHING, RELOAD_LOAD, RELOAD_TAKE_TURN, RELOAD_GIVE_TURN, RELOAD_MARK, RELOAD_UNMARK,
};

struct reload_answer {
    enum reload_wish wish;
    const char *waits; /* why what lies in the folder is not in use; NULL: it is */
    uint64_t look_ms;  /* when to look again though nothing has changed; 0: never */
};

void reload_step(const struct reload_facts *facts, struct reload_answer *ret);

#ifdef __cplusplus
}
#endif
#endif
