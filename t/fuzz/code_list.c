/* Lists of MessageCodes: what is read are the words of the text, no more and no
 * less. */

#include "../../src/protocol/kmq_code_list.h"
#include "../unit/protocol_util.h"


#define MAX  8


static void
check(int good, const char *what)
{
    if (!good) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}


/* Reads codes one by one and letter by letter. */
static ptrdiff_t
plain_list(const unsigned char *text, size_t size, char *codes)
{
    size_t       i, start, n;
    const char  *between;

    between = size && text[0] == '[' ? ", \t\r\n[]\"" : ", \t\r\n";
    n = 0;

    for (i = 0; i < size; /* void */ ) {

        if (text[i] && strchr(between, text[i])) {
            i++;
            continue;
        }

        for (start = i; i < size && !(text[i] && strchr(between, text[i]));
             i++)
        {
            if (text[i] <= ' ' || text[i] >= 0x7f
                || strchr("\"\\[]", text[i]))
            {
                return -1;
            }
        }

        if (i - start != KMQ_CODE_LIST_LEN) {
            return -1;
        }

        if (n == MAX) {
            return -2;
        }

        memcpy(codes + n++ * KMQ_CODE_LIST_LEN, text + start,
               KMQ_CODE_LIST_LEN);
    }

    return (ptrdiff_t) n;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char                  codes[MAX * KMQ_CODE_LIST_LEN];
    char                  plain[MAX * KMQ_CODE_LIST_LEN];
    size_t                len;
    ptrdiff_t             n;
    unsigned char        *copy;
    const unsigned char  *wrong;

    copy = exact_copy(data, size);
    n = kmq_code_list(copy, size, codes, MAX, &wrong, &len);

    check(n == plain_list(copy, size, plain), "another list");
    check(n <= 0 || memcmp(codes, plain, (size_t) n * KMQ_CODE_LIST_LEN) == 0,
          "other codes");
    check(n != -1 || (wrong >= copy && wrong + len <= copy + size && len),
          "something wrong from nowhere");

    free(copy);

    return 0;
}
