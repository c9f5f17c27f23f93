/* Replication of one shard (storage-node/replica) as a model for spin: three copies, one row of
 * etcd, and whatever may happen between them in any order. `tests/model/run` searches all of it.
 *
 * In words. The row shards/<s> says {epoch, leader, isr}: who leads, and which copies have all that
 * was acknowledged. Only a compare-and-swap (CAS) changes it: the leader's, within its epoch, takes
 * a copy out (shrink) or in (expand); a candidate's, out of the isr, opens the next epoch
 * (takeover). Each CAS here is sent, carried out some time later or never, and its answer is heard
 * some time later or never. A leader gives its log to the others; what all copies that are or may
 * be in the isr have on disk is committed. A new leader begins with an entry of its own epoch and
 * commits nothing before that. The leader may answer reads while every other copy of the set
 * that it goes by has promised not to take over (a grant); a copy becomes a candidate only when it
 * has promised nothing, and between sending its takeover and its answer it promises nothing.
 *
 * What is checked, after each step:
 *   - each copy in the isr has every committed entry on disk (I3), so the next leader has it;
 *   - no two leaders commit different entries at the same place (I2);
 *   - no copy is told to cut off what it knows to be committed (I4);
 *   - a leader that may answer reads knows all that is committed: no read is stale (I7).
 *
 * How it was made small enough to be searched to the end (the first model stopped at 25 million
 * states with a log of one entry, two epochs and two changes of the row):
 *   - Giving the log, writing it to disk and acknowledging it are one step; the leader counts an
 *     acknowledgement whenever it commits, so that it may be as late as it likes. Messages that
 *     are lost are steps that are not taken. With LATE one copy of what a leader sent may besides
 *     be under way for as long as it likes, overtaken, doubled, and arrive in another epoch.
 *   - A leader's own write reaches the disk when it commits; a crash before loses it or does not.
 *   - A CAS that has failed changes nothing, so that its end and its answer are one step. No number
 *     of versions is kept: the leader's CAS is good as long as the epoch is its own, and a
 *     candidate's until the row changes. So changes of the row, and crashes, are without bound.
 *   - A crash and the start after it are one step: a copy that is down is one that does nothing.
 *   - A grant ends at the leader and at the copy in one step, that is, as late as it may at the
 *     leader: before that, nothing that the copy does depends on whether the leader knows.
 *   - An entry is no more than its epoch: one leader writes in it, so place and epoch name it.
 * The two followers are alike, but that symmetry is not needed any more.
 *
 * Left out, for the simulator (tests/sim) to try: learners and checkpoints, min_isr, planned
 * transfer, lost disks, the log's segments, clocks. Grants are modelled without time: they last as
 * long as the search likes, which is what the rule about rates of clocks is for.
 *
 * Bounds: EPOCHS, and ENTRIES of the log, of which each epoch after the first needs one.
 *   EPOCHS 3, ENTRIES 3          1.90 million states      (in deploy/test)
 *   EPOCHS 2, ENTRIES 2, LATE    0.77 million states      (in deploy/test)
 *   EPOCHS 3, ENTRIES 4         11.23 million states      (tests/model/run --long)
 *   EPOCHS 3, ENTRIES 3, LATE   30.01 million states      (the same: 5 minutes, 5 GB)
 * All are searched to the end, without an error, and with every line of the model reached; at each
 * of the first two each of the six mutants is caught:
 *   BUG_EARLY_SHRINK       the leader commits without a copy before its CAS is known to be done
 *   BUG_LATE_EXPAND        the leader commits without a copy until its CAS is known to be done
 *   BUG_NO_CATCHUP         a copy is taken in that has not got what is committed
 *   BUG_NO_LEASE           a copy takes over whatever it has promised
 *   BUG_FORGET_PROMISE     a crash makes a copy forget its promise
 *   BUG_GRANT_IN_TAKEOVER  a copy promises while its takeover is under way
 */
#ifndef EPOCHS
#define EPOCHS 3
#endif
#ifndef ENTRIES
#define ENTRIES 3
#endif
#define COPIES 3
#define ALL 7
#define BIT(j) (1 << (j))
#define IN(set, j) (((set) >> (j)) & 1)

/* Of a CAS. NO: none. An answer that an earlier life of the copy waited for is heard by nobody. */
#define NO 0
#define SENT 1
#define DONE 2
#define SENT_BEFORE 3

typedef Copy {
  byte log[ENTRIES]; byte last;    /* the epoch of each entry; how many there are */
  byte durable;                    /* how many of them are on disk */
  byte accepted;                   /* the epoch that it follows or leads, on disk */
  byte commit;                     /* how many it knows to be committed */
  bool leads;                      /* with the following: */
  byte set;                        /* the copies whose acknowledgement it needs */
  byte start;                      /* its first entry is this one */
  byte ack[COPIES];                /* how many each of the others has on disk */
  byte cas; byte wanted;           /* the CAS of a leader, and the isr that it puts */
  byte take; byte takeEpoch; byte takeSet; /* a takeover, and what it has put */
  bool promised;                   /* not to take over */
  byte belief                      /* 1 + who leads and goes by the promise */
};
Copy c[COPIES];

byte epoch = 1, leader = 0, isr = ALL; /* the row */
byte entries[ENTRIES], committed;      /* all that was ever committed */
hidden byte x, m;

#ifdef LATE
typedef Message { byte log[ENTRIES]; byte last; byte accepted; byte commit; byte from; byte to };
Message late; /* under way when its epoch is not 0 */
#endif

/* ---- what is checked */

#if ENTRIES == 1
#define SAME(k) (committed < 1 || c[k].log[0] == entries[0])
#elif ENTRIES == 2
#define SAME(k) ((committed < 1 || c[k].log[0] == entries[0]) && \
                 (committed < 2 || c[k].log[1] == entries[1]))
#elif ENTRIES == 3
#define SAME(k) ((committed < 1 || c[k].log[0] == entries[0]) && \
                 (committed < 2 || c[k].log[1] == entries[1]) && \
                 (committed < 3 || c[k].log[2] == entries[2]))
#else
#define SAME(k) ((committed < 1 || c[k].log[0] == entries[0]) && \
                 (committed < 2 || c[k].log[1] == entries[1]) && \
                 (committed < 3 || c[k].log[2] == entries[2]) && \
                 (committed < 4 || c[k].log[3] == entries[3]))
#endif
#define HAS_ALL(k) (c[k].durable >= committed && SAME(k))
#define GRANTED(i, j) (j == i || !IN(c[i].set, j) || c[j].belief == 1 + i)
#define MAY_READ(i) (c[i].leads && c[i].commit >= c[i].start && \
                     GRANTED(i, 0) && GRANTED(i, 1) && GRANTED(i, 2))

inline check() {
  assert(!IN(isr, 0) || HAS_ALL(0));
  assert(!IN(isr, 1) || HAS_ALL(1));
  assert(!IN(isr, 2) || HAS_ALL(2));
  assert(!MAY_READ(0) || c[0].commit == committed);
  assert(!MAY_READ(1) || c[1].commit == committed);
  assert(!MAY_READ(2) || c[2].commit == committed)
}

/* ---- parts of steps */

inline believe_no_more(i, j) {
  if :: c[j].belief == 1 + i -> c[j].belief = 0 :: else fi
}

inline step_down(i) {
  c[i].leads = 0; c[i].set = 0; c[i].start = 0;
  c[i].ack[0] = 0; c[i].ack[1] = 0; c[i].ack[2] = 0;
  believe_no_more(i, 0); believe_no_more(i, 1); believe_no_more(i, 2)
}

inline cas_forget(i) { c[i].cas = NO; c[i].wanted = 0 }

/* The row has changed: takeovers of others that are under way will fail. */
inline takeover_fails(i, j) {
  if :: j != i && (c[j].take == SENT || c[j].take == SENT_BEFORE) -> c[j].take = NO
     :: else
  fi
}
inline takeovers_fail(i) { takeover_fails(i, 0); takeover_fails(i, 1); takeover_fails(i, 2) }

/* `j` takes the log of a leader, or of its message. */
inline take_log(j, from) {
  if :: c[j].accepted < from.accepted -> c[j].accepted = from.accepted; step_down(j); cas_forget(j)
     :: else
  fi;
  assert(!c[j].leads);
  m = 0;
  do :: m < from.last && m < c[j].last && from.log[m] == c[j].log[m] -> m++ :: else -> break od;
  if :: m < from.last ->
        assert(m >= c[j].commit);
        x = 0; do :: x < ENTRIES -> c[j].log[x] = from.log[x]; x++ :: else -> break od;
        c[j].last = from.last
     :: else
  fi;
  c[j].durable = c[j].last;
  if :: c[j].commit < from.commit -> c[j].commit = from.commit :: else fi
}

/* ---- steps of a copy `i` */

/* Each epoch that may come leaves room for its first entry. */
#define MAY_WRITE(i) (c[i].leads && c[i].last < ENTRIES - (EPOCHS - c[i].accepted))
inline write(i) { c[i].log[c[i].last] = c[i].accepted; c[i].last++ }

#define ACKED_BY(i, j, k) (j == i || !IN(c[i].set, j) || c[i].ack[j] >= (k))
#define ACKED(i, k) (c[i].last >= (k) && ACKED_BY(i, 0, k) && ACKED_BY(i, 1, k) && \
                     ACKED_BY(i, 2, k))
#define NEXT(i) (c[i].commit + 1 > c[i].start -> c[i].commit + 1 : c[i].start)
#define MAY_COMMIT(i) (c[i].leads && c[i].last > c[i].commit && ACKED(i, NEXT(i)))
inline commit_all(i) {
  m = c[i].last;
  do :: !ACKED(i, m) -> m-- :: else -> break od;
  x = 0;
  do :: x < m ->
        if :: x < committed -> assert(entries[x] == c[i].log[x]) :: else -> entries[x] = c[i].log[x]
        fi;
        x++
     :: else -> break
  od;
  if :: committed < m -> committed = m :: else fi;
  if :: c[i].durable < m -> c[i].durable = m :: else fi;
  c[i].commit = m
}

/* The leader's CAS reaches etcd. One that fails is heard of at once: the leader is none any more. */
inline cas_carried_out(i) {
  if :: leader == i && epoch == c[i].accepted ->
        isr = c[i].wanted;
        takeovers_fail(i);
        if :: c[i].leads -> c[i].cas = DONE :: else -> cas_forget(i) fi
     :: else ->
        cas_forget(i);
        if :: c[i].leads -> assert(epoch != c[i].accepted); step_down(i) :: else fi
  fi
}
inline cas_answered(i) { c[i].set = c[i].wanted; cas_forget(i) }

#ifdef BUG_NO_LEASE
#define MAY_STAND(i) true
#else
#define MAY_STAND(i) (!c[i].promised)
#endif
#define IS_CANDIDATE(i) (!c[i].leads && c[i].take == NO && c[i].cas != SENT && IN(isr, i) && \
                         epoch < EPOCHS && MAY_STAND(i))
inline takeover_carried_out(i) {
  epoch++;
  if :: leader != i -> isr = isr & (ALL - BIT(leader)) :: else fi;
  leader = i;
  takeovers_fail(i);
  if :: c[i].take == SENT -> c[i].take = DONE; c[i].takeEpoch = epoch; c[i].takeSet = isr
     :: else -> c[i].take = NO
  fi
}
inline takeover_forget(i) { c[i].takeEpoch = 0; c[i].takeSet = 0 }
inline takeover_answered(i) {
  if :: c[i].takeEpoch > c[i].accepted ->
        step_down(i); cas_forget(i);
        c[i].accepted = c[i].takeEpoch; c[i].leads = 1; c[i].set = c[i].takeSet;
        c[i].promised = 0;
        write(i);
        c[i].start = c[i].last
     :: else
  fi;
  c[i].take = NO; takeover_forget(i)
}

inline grant_ends(i) { c[i].promised = 0; c[i].belief = 0 }

/* A crash. What is on disk stays, and the promise: it waits before it stands. */
#ifdef BUG_FORGET_PROMISE
#define PROMISE_IS_LOST(i) c[i].promised
#else
#define PROMISE_IS_LOST(i) false
#endif
#define MAY_CRASH(i) (c[i].leads || c[i].take == SENT || c[i].take == DONE || c[i].commit > 0 || \
                      c[i].last > c[i].durable || PROMISE_IS_LOST(i))
inline crash(i) {
  step_down(i);
  c[i].commit = 0;
  if :: c[i].cas == SENT :: else -> cas_forget(i) fi;
  if :: c[i].take == SENT -> c[i].take = SENT_BEFORE
     :: c[i].take == DONE -> c[i].take = NO
     :: else
  fi;
  takeover_forget(i);
  if :: PROMISE_IS_LOST(i) -> c[i].promised = 0 :: else fi
}
inline lose_tail(i) {
  m = c[i].durable;
  do :: m < ENTRIES -> c[i].log[m] = 0; m++ :: else -> break od;
  c[i].last = c[i].durable
}

#define STEPS(i) \
  :: d_step { MAY_WRITE(i) -> write(i); check() } \
  :: d_step { MAY_COMMIT(i) -> commit_all(i); check() } \
  :: d_step { c[i].cas == SENT -> cas_carried_out(i); check() } \
  :: d_step { c[i].leads && c[i].cas == DONE -> cas_answered(i); check() } \
  :: d_step { IS_CANDIDATE(i) -> c[i].take = SENT } \
  :: d_step { c[i].take == SENT || c[i].take == SENT_BEFORE -> \
              takeover_carried_out(i); check() } \
  :: d_step { c[i].take == DONE -> takeover_answered(i); check() } \
  :: d_step { c[i].promised || c[i].belief != 0 -> grant_ends(i); check() } \
  :: d_step { MAY_CRASH(i) -> c[i].durable = c[i].last; crash(i); check() } \
  :: d_step { c[i].last > c[i].durable -> lose_tail(i); crash(i); check() }

/* ---- steps of a leader `i` with another copy `j` */

#define IS_NEWS(i, j) (c[j].accepted != c[i].accepted || c[i].ack[j] != c[i].last || \
                       c[j].commit != c[i].commit)
#define MAY_SEND(i, j) (c[i].leads && c[j].accepted <= c[i].accepted)

#define MAY_SHRINK(i, j) (c[i].leads && c[i].cas == NO && IN(c[i].set, j))
inline shrink(i, j) {
  c[i].cas = SENT; c[i].wanted = c[i].set & (ALL - BIT(j));
#ifdef BUG_EARLY_SHRINK
  c[i].set = c[i].wanted
#endif
}

#ifdef BUG_NO_CATCHUP
#define HAS_CAUGHT_UP(i, j) true
#else
#define HAS_CAUGHT_UP(i, j) (c[i].commit >= c[i].start && c[i].ack[j] >= c[i].commit)
#endif
#define MAY_EXPAND(i, j) (c[i].leads && c[i].cas == NO && !IN(c[i].set, j) && HAS_CAUGHT_UP(i, j))
inline expand(i, j) {
  c[i].cas = SENT; c[i].wanted = c[i].set | BIT(j);
#ifndef BUG_LATE_EXPAND
  c[i].set = c[i].wanted
#endif
}

/* That a takeover of an earlier life is under way a copy does not know. */
#ifdef BUG_GRANT_IN_TAKEOVER
#define IS_FREE(j) true
#else
#define IS_FREE(j) (c[j].take == NO || c[j].take == SENT_BEFORE)
#endif
#define MAY_GRANT(i, j) (c[i].leads && c[j].accepted == c[i].accepted && !c[j].promised && \
                         c[j].belief != 1 + i && IS_FREE(j))

#ifdef LATE
#define MAY_DELAY(i, j) (MAY_SEND(i, j) && c[i].last > 0 && late.accepted == 0)
inline delay(i, j) {
  late.from = i; late.to = j;
  late.accepted = c[i].accepted; late.last = c[i].last; late.commit = c[i].commit;
  x = 0; do :: x < ENTRIES -> late.log[x] = c[i].log[x]; x++ :: else -> break od
}
#define MAY_ARRIVE(i, j) (late.accepted > 0 && late.from == i && late.to == j)
inline arrive(i, j) {
  if :: c[j].accepted <= late.accepted ->
        take_log(j, late);
        if :: c[i].leads && c[i].accepted == late.accepted && c[i].ack[j] < late.last ->
              c[i].ack[j] = late.last
           :: else
        fi
     :: else
  fi;
  late.from = 0; late.to = 0; late.accepted = 0; late.last = 0; late.commit = 0;
  x = 0; do :: x < ENTRIES -> late.log[x] = 0; x++ :: else -> break od
}
#define LATE_STEPS(i, j) \
  :: d_step { MAY_DELAY(i, j) -> delay(i, j); check() } \
  :: d_step { MAY_ARRIVE(i, j) -> arrive(i, j); check() }
#else
#define LATE_STEPS(i, j)
#endif

#define STEPS_WITH(i, j) \
  :: d_step { MAY_SEND(i, j) && IS_NEWS(i, j) -> \
              take_log(j, c[i]); c[i].ack[j] = c[i].last; check() } \
  :: d_step { MAY_SHRINK(i, j) -> shrink(i, j); check() } \
  :: d_step { MAY_EXPAND(i, j) -> expand(i, j); check() } \
  :: d_step { MAY_GRANT(i, j) -> c[j].promised = 1; c[j].belief = 1 + i; check() } \
  LATE_STEPS(i, j)

init {
  d_step {
    c[0].accepted = 1; c[1].accepted = 1; c[2].accepted = 1;
    c[0].leads = 1; c[0].set = ALL
  }
  do
  STEPS(0) STEPS(1) STEPS(2)
  STEPS_WITH(0, 1) STEPS_WITH(0, 2) STEPS_WITH(1, 0)
  STEPS_WITH(1, 2) STEPS_WITH(2, 0) STEPS_WITH(2, 1)
  od
}
