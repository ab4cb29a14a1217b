/*
 * A message's way through the floor: from the payload of a producer's frame
 * to the frame that a consumer gets.  Written for the floor alone, so that
 * the yardstick does not change with the queue's own code.
 */

#ifndef BENCH_FLOOR_MESSAGE_H
#define BENCH_FLOOR_MESSAGE_H

#include <stddef.h>
#include <stdint.h>


#define FLOOR_TOPIC_MAX  255
#define FLOOR_TAIL_MAX   (FLOOR_TOPIC_MAX + 128)

/* What stands behind the data of a topic's messages; the same for a second. */
typedef struct {
    unsigned char  bytes[FLOOR_TAIL_MAX];
    size_t         len;
    uint32_t       time;
} floor_tail_t;

/* The data of a message as it lies in a producer's frame. */
typedef struct {
    unsigned char  *bytes;
    size_t          size;
    uint32_t        mask;
    unsigned        json:1;          /* the inside of a JSON string */
} floor_data_t;


/*
 * Reads a frame's payload: an object with MessageData (then it is unmasked
 * in place), or plain data (then it stays as it is, data->mask with it).
 * NULL, or what is wrong.
 */
const char *floor_data(floor_data_t *data, unsigned char *payload,
    size_t size, uint32_t mask);

void floor_tail(floor_tail_t *tail, const char *topic, size_t len,
    uint32_t time);

/* The most that floor_compose() writes for data of that size. */
#define floor_room(size, tail)  (6 * (size) + 128 + (tail)->len)

/*
 * Writes the whole frame of a pushed message.  Returns its length, or 0 when
 * the data is not valid UTF-8 (or, inside a JSON string, has control
 * characters).
 */
size_t floor_compose(unsigned char *to, floor_data_t *data,
    const floor_tail_t *tail, uint64_t number);

/* Only checks the data, which is unmasked in its place: 1, or 0. */
int floor_check(floor_data_t *data);

#endif /* BENCH_FLOOR_MESSAGE_H */
