#include <stdio.h>

#include "load.h"


/* Seconds of CPU time that neither this program nor the server had; the
 * kernel counts in steps of 10 ms. */
static double
load_others(const load_mark_t *from, const load_mark_t *to)
{
    double  others;

    others = (double) (to->all_cpu - from->all_cpu)
             - (double) (to->cpu - from->cpu)
             - (double) (to->server_cpu - from->server_cpu);

    return others < 0 ? 0 : others / 1e9;
}


/* What those that are watched have used for messages. */
static void
load_report_server(const load_mark_t *from, const load_mark_t *to,
    double seconds, double messages)
{
    printf(", \"server_cpu\": %.3f, \"server_ns_per_message\": %.1f, "
           "\"threads_ns_per_message\": %.1f, "
           "\"kernel_ns_per_message\": %.1f, \"others_cpu\": %.3f",
           (double) (to->server_cpu - from->server_cpu) / 1e9 / seconds,
           (double) (to->server_cpu - from->server_cpu) / messages,
           (double) (to->threads_cpu - from->threads_cpu) / messages,
           (double) (to->kernel_cpu - from->kernel_cpu) / messages,
           load_others(from, to) / seconds);
    printf(", \"sleeps_per_million\": %.0f, \"preempted_per_million\": %.0f",
           (double) (to->sleeps - from->sleeps) * 1e6 / messages,
           (double) (to->preempted - from->preempted) * 1e6 / messages);
}


/* What happened between two moments. */
static void
load_report_span(const load_t *l, const char *name, const load_mark_t *from,
    const load_mark_t *to)
{
    double  seconds, accepted, delivered, messages;

    seconds = (double) (to->time - from->time) / 1e9;

    if (seconds <= 0) {
        seconds = 1e-9;
    }

    accepted = (double) (to->accepted - from->accepted);
    delivered = (double) (to->delivered - from->delivered);
    messages = accepted > delivered ? accepted : delivered;

    if (messages < 1) {
        messages = 1;
    }

    printf(", \"%s\": {\"seconds\": %.6f, \"accepted_per_s\": %.0f, "
           "\"delivered_per_s\": %.0f, \"accepted_bytes_per_s\": %.0f, "
           "\"delivered_bytes_per_s\": %.0f", name, seconds,
           accepted / seconds, delivered / seconds,
           accepted * l->o.size / seconds, delivered * l->o.size / seconds);
    printf(", \"load_cpu\": %.3f, \"load_syscalls_per_message\": %.4f",
           (double) (to->cpu - from->cpu) / 1e9 / seconds,
           (double) (to->recvs - from->recvs + to->sends - from->sends)
           / messages);

    if (l->o.nwatch != 0) {
        load_report_server(from, to, seconds, messages);
    }

    printf("}");
}


static void
load_report_counts(const load_t *l, uint64_t lost)
{
    printf("{\"sent\": %llu, \"accepted\": %llu, \"errors\": %llu, "
           "\"unanswered\": %llu, \"delivered\": %llu, \"lost\": %llu, "
           "\"duplicate\": %llu, \"disorder\": %llu, \"corrupt\": %llu, "
           "\"closed\": %llu, \"early\": %llu",
           (unsigned long long) l->sent,
           (unsigned long long) (l->answered - l->errors),
           (unsigned long long) l->errors,
           (unsigned long long) (l->sent - l->answered),
           (unsigned long long) l->delivered, (unsigned long long) lost,
           (unsigned long long) l->check.duplicate,
           (unsigned long long) l->check.disorder,
           (unsigned long long) l->check.corrupt,
           (unsigned long long) l->closed,
           (unsigned long long) l->early);
}


static void
load_report_why(const load_t *l)
{
    const char  *p;

    printf(", \"why\": \"");

    for (p = l->why; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\') {
            putchar('\\');
        }

        putchar((unsigned char) *p < 0x20 ? ' ' : *p);
    }

    printf("\"");
}


int
load_report(load_t *l)
{
    int                 bad;
    uint64_t            lost;
    const load_mark_t  *from;

    lost = load_expected(l);
    lost = lost > l->check.unique ? lost - l->check.unique : 0;
    l->end.time = l->progress > l->start.time ? l->progress : l->end.time;

    /* a run too short to warm up counts from its start */
    from = l->warm.time != 0 && l->warm.time < l->stop.time ? &l->warm
                                                            : &l->start;

    load_report_counts(l, lost);
    load_report_span(l, "whole", &l->start, &l->end);
    load_report_span(l, "steady", from, &l->stop);

    if (l->o.delayed) {
        printf(", \"earliest_us\": %.1f", (double) l->earliest / 1e3);
    }

    if (!l->o.ingest) {
        histogram_print(l->o.delayed ? "lateness_us" : "latency_us",
                          &l->latency);
    }

    if (l->o.answers) {
        histogram_print("answer_us", &l->answer);
    }

    if (l->unread.count != 0) {
        histogram_print("read_lag_us", &l->unread);
    }

    if (l->o.rate != 0) {
        histogram_print("send_lag_us", &l->lag);
        histogram_print("gap_us", &l->gap);
    }

    load_deep_report(l);
    bad = load_churn_report(l);
    load_search_report(l);

    bad = bad || lost != 0 || l->check.duplicate != 0 || l->check.disorder != 0
          || l->check.corrupt != 0 || l->closed != 0 || l->errors != 0
          || l->sent != l->answered || l->early != 0;

    if (bad) {
        load_report_why(l);
    }

    printf(", \"failed\": %s}\n", bad ? "true" : "false");

    if (lost != 0) {
        load_check_explain(l);
    }

    return bad;
}
