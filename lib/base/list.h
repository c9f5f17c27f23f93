/* list.h: a doubly linked ring with its links inside the elements. */
#ifndef MAIL_LIST_H
#define MAIL_LIST_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A head, or a link in an element. An element that is in no list is linked to itself. */
struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *list) { list->next = list->prev = list; }
static inline bool list_is_empty(const struct list *list) { return list->next == list; }

/* Puts `link` at the end of the ring at `head`. */
static inline void list_add(struct list *head, struct list *link)
{
    link->prev = head->prev;
    link->next = head;
    head->prev->next = link;
    head->prev = link;
}

/* Takes `link` out of its ring; it is then alone. Harmless when it already is. */
static inline void list_remove(struct list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}

/* The element that a link lies in. */
#define LIST_ITEM(link, type, member) ((type *)(void *)((char *)(link) - offsetof(type, member)))

#ifdef __cplusplus
}
#endif
#endif
