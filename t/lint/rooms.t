#!/usr/bin/env perl
#
# t/lint/rooms.py finds each kind of mistake: a small house in a directory of
# its own, sound at first, and then with one thing wrong at a time.

use strict;
use warnings;

use Cwd 'abs_path';
use File::Basename qw(dirname);
use File::Path 'make_path';
use File::Temp 'tempdir';
use Test::More;

my $rooms = abs_path(dirname(__FILE__)) . '/rooms.py';
my $gcc = $ENV{GCC} // 'gcc';

my %sound = (
    'docs/architecture.md' => <<'END',
# A house

## Rooms

The engine:

| room | offers | may use |
|---|---|---|
| `engine/kmq.h` | the manual | structs of `engine/memory` |
| `engine/kmq_base.h`, `engine/fault.c` | marks | |
| `engine/memory` | pages | all above |
| `engine/worker` | the lock | all above |
| `engine/queue` | messages | all above |

The rest:

| room | offers | may use |
|---|---|---|
| `disk` | `kmq_file.h` and `kmq_io.h` | `engine/kmq.h` |
| `nginx` | its API | |
| `server/http` | answers | `engine/kmq.h`, `nginx` |
| `server/console` | pages | all above; `engine/kmq.h`; ring of `a.c`, `b.c` |

## Something else

| room | offers | may use |
|---|---|---|
| `nothing` | this is no plan | |
END

    'src/engine/kmq.h' => <<'END',
#include "memory/kmq_memory.h"
typedef struct { kmq_page_t page; } kmq_t;
extern int kmq_speed;
int kmq_publish(kmq_t *kmq);
int kmq_size(void);
END

    'src/engine/kmq_base.h' => <<'END',
#ifndef KMQ_BASE_H
#define KMQ_BASE_H
#define KMQ_LOCKED
#define KMQ_LOCKED_GAPS
#define KMQ_ALONE
#define KMQ_COMMON
#endif
END

    'src/engine/fault.c' => "int kmq_fault;\n",

    'src/engine/memory/kmq_memory.h' => <<'END',
#ifndef KMQ_MEMORY_H
#define KMQ_MEMORY_H
#include "../kmq_base.h"
typedef struct { int free; } kmq_page_t;
int kmq_page_take(int n) KMQ_LOCKED;
int kmq_page_search(int n,
    int more) KMQ_LOCKED_GAPS;
void kmq_page_init(void) KMQ_ALONE;
#endif
END

    'src/engine/memory/kmq_inside.h' => <<'END',
#include "../kmq_base.h"
int kmq_inside(void) KMQ_LOCKED;
END

    'src/engine/memory/kmq_memory.c' => <<'END',
#include "kmq_inside.h"
#include "kmq_memory.h"
int kmq_page_take(int n) { return n + kmq_inside(); }
void kmq_page_init(void) { (void) kmq_page_take(1); }
END

    'src/engine/memory/kmq_inside.c' => <<'END',
#include "kmq_inside.h"
int kmq_inside(void) { return 1; }
END

    'src/engine/worker/kmq_worker.h' => <<'END',
void kmq_lock(void);
void kmq_unlock(void);
void kmq_common_lock(void);
void kmq_common_unlock(void);
END

    'src/engine/worker/kmq_worker.c' => <<'END',
#include "kmq_worker.h"
void kmq_lock(void) { }
void kmq_unlock(void) { }
void kmq_common_lock(void) { }
void kmq_common_unlock(void) { }
END

    'src/engine/queue/kmq_queue.h' => <<'END',
#include "../kmq_base.h"
int kmq_put(int n) KMQ_LOCKED;
int kmq_sort(void);
int kmq_shuffle(int (*one)(int));
int kmq_sum(void) KMQ_COMMON;
int kmq_total(void);
END

    'src/engine/queue/kmq_queue.c' => <<'END',
#include "../kmq.h"
#include "../worker/kmq_worker.h"
#include "kmq_queue.h"
int kmq_speed;
static int put(int n) { return kmq_put(n); }
int kmq_put(int n) { return kmq_page_take(n); }
int kmq_size(void) { return 1; }
int kmq_sort(void) { return kmq_size(); }
int kmq_shuffle(int (*one)(int)) { return one(1); }
int kmq_sum(void) { return kmq_size(); }

int kmq_page_search(int n, int more)
{
    kmq_unlock();
    n += more;
    kmq_lock();

    return kmq_page_take(n);
}

static void enter(void) { kmq_lock(); }

int kmq_publish(kmq_t *kmq)
{
    int n;

    enter();
    n = put(kmq->page.free) + kmq_page_search(1, 2);
    kmq_unlock();

    return n;
}

static int sum(void) { return kmq_sum(); }

int kmq_total(void)
{
    int n;

    kmq_common_lock();
    kmq_common_lock();
    n = sum();
    kmq_common_unlock();
    kmq_common_unlock();

    return n;
}
END

    'src/disk/kmq_io.h' => "int kmq_io(void);\n",

    'src/disk/kmq_file.h' => '',

    'src/disk/kmq_file.c' => <<'END',
#include "../engine/kmq.h"
#include "kmq_io.h"
int kmq_io(void) { return kmq_size(); }
END

    'src/server/http/ngx_kapokmq_http.h' => "int ngx_kapokmq_http(void);\n",

    'src/server/http/ngx_kapokmq_http.c' => <<'END',
#include <ngx_core.h>
#include "../../engine/kmq.h"
#include "ngx_kapokmq_http.h"
int ngx_kapokmq_http(void) { return kmq_size() + kmq_speed; }
END

    'src/server/console/a.c' => <<'END',
#include "../http/ngx_kapokmq_http.h"
int b(void);
int a(int n) { return n ? b() : ngx_kapokmq_http(); }
END

    'src/server/console/b.c' => "int a(int n);\nint b(void) { return a(0); }\n",

    'nginx/ngx_core.h' => '',
);


sub build {
    my ($dir, %house) = @_;

    for my $file (sort keys %house) {
        make_path(dirname("$dir/$file"), dirname("$dir/build/$file"));
        open my $out, '>', "$dir/$file" or die "$dir/$file: $!";
        print $out $house{$file};
        close $out or die "$dir/$file: $!";
    }

    for my $file (grep { /\.c$/ } sort keys %house) {
        system("cd $dir && $gcc -O0 -fcallgraph-info -isystem nginx -c "
            . "-o build/" . ($file =~ s/c$/o/r) . " $file") == 0
            or die "$file does not compile";
    }

    return $dir;
}


my $sound = build(tempdir(CLEANUP => 1), %sound);

# The house with other texts in some files: the exit status of the tool, and
# what it says.
sub look {
    my (%other) = @_;
    my $dir = tempdir(CLEANUP => 1);

    system("cp -r $sound/. $dir") == 0 or die 'cp';
    build($dir, %other);

    my $text = `$rooms --root $dir $dir/build 2>&1`;

    return ($? >> 8, $text);
}


# One place of one file is otherwise; the tool says what is expected, or, where
# nothing is, has nothing to say.
sub case {
    my ($name, $file, $from, $to, $expected, %more) = @_;
    my $text = $sound{$file} // '';

    $text =~ s/$from/$to/ or die "$name: nothing to be changed in $file";

    my ($status, $said) = look($file => $text, %more);

    if (defined $expected) {
        is($status, 1, "$name: it fails");
        like($said, $expected, "$name: it says so");
        unlike($said, qr/Traceback/, "$name: and not more");
    } else {
        is($said, '', "$name: nothing to say");
        is($status, 0, "$name: no failure");
    }
}

my $plan = 'docs/architecture.md';
my $memory = 'src/engine/memory/kmq_memory.c';
my $queue = 'src/engine/queue/kmq_queue.c';
my $queue_h = 'src/engine/queue/kmq_queue.h';
my $http = 'src/server/http/ngx_kapokmq_http.c';
my $disk = 'src/disk/kmq_file.c';

{
    my ($status, $said) = look();

    is($said, '', 'a sound house: nothing to say');
    is($status, 0, 'a sound house: no failure');
}

# includes

case('a header from above', $memory, qr/^/,
    qq{#include "../queue/kmq_queue.h"\n},
    qr{c:1: includes \S+kmq_queue\.h: engine/memory may not use engine/queue});
case('the same in a comment', $memory, qr/^/,
    qq{/*\n#include "../queue/kmq_queue.h"\n*/}, undef);
case('a header of the inside', $queue, qr/^/,
    qq{#include "../memory/kmq_inside.h"\n},
    qr{includes \S+kmq_inside\.h, which engine/memory does not offer});
case('a header of another layer', $disk, qr/^/,
    qq{#include "../engine/memory/kmq_memory.h"\n},
    qr{disk may not use engine/memory});
case('structs are not for sources', $plan, qr/structs of `engine\/memory`/,
    '', qr{includes \S+kmq_memory\.h: engine/kmq\.h may not use});
case('nginx below the server', $memory, qr/^/, "#include <ngx_core.h>\n",
    qr{engine/memory may not use nginx});

# calls

case('a call from below', $memory, qr/int kmq_page_take.*\{ return/,
    "int kmq_sort(void);\nint kmq_page_take(int n) { return kmq_sort() +",
    qr{c:4: kmq_page_take\(\) calls kmq_sort\(\) of \S+kmq_queue\.c: engine});
case('a call from below, by way of the manual', $memory, qr/^/,
    qq{#include "../kmq.h"\nstatic int s(void) { return kmq_size(); }\n}
    . "int kmq_x(void) { return s(); }\n",
    qr{s\(\) calls kmq_size\(\) of \S+: engine/memory may not use});
case('a callback that is taken from above', $memory, qr/^/,
    "int kmq_sort(void);\nint (*kmq_callback)(void) = kmq_sort;\n",
    qr{uses kmq_sort of \S+: engine/memory may not use engine/queue});
case('a callback that is given from above', $queue, qr/$/,
    "static int one(int n) { return n; }\n"
    . "int kmq_x(void) { return kmq_shuffle(one); }\n", undef);
case('past the manual', $http, qr/^/,
    "int kmq_sort(void);\nint x(void) { return kmq_sort(); }\n",
    qr{x\(\) calls kmq_sort\(\) of \S+: server/http may use no header});
case('past the manual, a variable', $http, qr/^/,
    "extern int kmq_hidden;\nint x(void) { return kmq_hidden; }\n",
    qr{uses kmq_hidden of \S+: server/http may use no header},
    $queue => "int kmq_hidden;\n$sound{$queue}");

# the plan

case('a ring in the plan', $plan, qr/the lock \| all above/,
    'the lock | all above; `engine/queue`',
    qr{a ring of rooms: engine/queue, engine/worker});
case('no such room', $plan, qr/pages \| all above/, 'pages | `engine/cellar`',
    qr{`engine/cellar`, which is no room});
case('a room without files', $plan, qr/\| `engine\/worker`/,
    "| `engine/attic` | old things | |\n| `engine/worker`",
    qr{there is no `engine/attic`});
case('a room with a file that is not there', $plan, qr/engine\/fault\.c/,
    'engine/mistake.c', qr{there is no `engine/mistake\.c`});
case('a file without a room', 'src/lost.c', qr/^/, "int lost;\n",
    qr{src/lost\.c: belongs to no room});
case('no plan', $plan, qr/## Rooms/, '## Rums', qr{has no "## Rooms"});

# rings of files

case('a ring of files', $plan, qr/; ring of.* \|/, ' |',
    qr{server/console: a ring of files: a\.c, b\.c});
case('a ring that is none', 'src/server/console/b.c', qr/return a\(0\)/,
    'return 0', qr{server/console: not in a ring: a\.c, b\.c});

# the lock

case('without the lock', $queue, qr/return kmq_size\(\)/,
    'return kmq_put(1)',
    qr{kmq_sort\(\) gets to kmq_put\(\) without the lock});
case('without the lock, far away', $queue, qr/return kmq_size\(\)/,
    'return put(1)', qr{without the lock: kmq_sort > put > kmq_put});
case('with it, on the way', $queue, qr/int kmq_sort.*return kmq_size/,
    "static int all(void) { kmq_lock(); return put(1); }\n"
    . 'int kmq_sort(void) { return all', undef);
case('it was never taken', $queue, qr/static void enter.*kmq_lock\(\);/,
    "static void enter(void) {",
    qr{kmq_publish\(\) gets to \S+\(\) without the lock});
case('before it is taken', $queue, qr/    enter\(\);\n/,
    "    put(2);\n    enter();\n",
    qr{kmq_publish\(\) gets to kmq_put\(\) without the lock});
case('after it was given back', $queue, qr/unlock\(\);\n\n    return n/,
    "unlock();\n\n    return put(n)",
    qr{kmq_publish\(\) gets to kmq_put\(\) without the lock});
case('after a gap', $queue, qr/    n = put/,
    "    kmq_unlock();\n    kmq_lock();\n    n = put", undef);
case('a gap without it', $queue, qr/int kmq_sort.*/,
    "static int gap(void) { kmq_unlock(); kmq_lock(); return 1; }\n"
    . "int kmq_sort(void) { return gap(); }",
    qr{kmq_sort\(\) gets to kmq_unlock\(\) without the lock});
case('alone', $queue_h, qr/kmq_sort\(void\)/, 'kmq_sort(void) KMQ_ALONE',
    undef, $queue => $sound{$queue} =~ s/return kmq_size\(\)/return put(1)/r);
case('twice', $queue, qr/int kmq_put.*\{ return/,
    'int kmq_put(int n) { kmq_lock(); return',
    qr{kmq_put\(\) is KMQ_LOCKED, but .* kmq_put > kmq_lock});
case('twice, through one that takes it', $queue, qr/int kmq_put.*\{ return/,
    'int kmq_put(int n) { kmq_t kmq; return kmq_publish(&kmq) +',
    qr{kmq_put\(\) is KMQ_LOCKED, but .* kmq_put > kmq_publish});
case('a gap that nobody says', $queue, qr/int kmq_put.*\{ return/,
    'int kmq_put(int n) { return kmq_page_search(1, 2) +',
    qr{kmq_put\(\) is KMQ_LOCKED, but .* kmq_page_search});
case('nothing is said of the lock', $queue_h, qr/int kmq_sort\(void\)/,
    '/* Sorts. */ int kmq_sort(const kmq_t *kmq)',
    qr{kmq_sort\(\) does not take the lock; does it expect it\?},
    $queue => $sound{$queue} =~ s/kmq_sort\(void\)/kmq_sort(const kmq_t *kmq)/r
        =~ s/return kmq_size/(void) kmq; return kmq_size/r);
case('no lock is needed', $queue_h, qr/int kmq_sort\(void\)/,
    "/* Sorts.  Needs no\n * lock. */ int kmq_sort(const kmq_t *kmq)", undef,
    $queue => $sound{$queue} =~ s/kmq_sort\(void\)/kmq_sort(const kmq_t *kmq)/r
        =~ s/return kmq_size/(void) kmq; return kmq_size/r);
case('no lock is needed in all of a section', $queue_h,
    qr/int kmq_sort\(void\)/,
    "/* --- sorting */\n\n/* These need no lock. */\n\n"
    . "int kmq_other(kmq_t *kmq);\n\n/* Sorts. */\n"
    . "int kmq_sort(const kmq_t *kmq)", undef,
    $queue => $sound{$queue} =~ s/kmq_sort\(void\)/kmq_sort(const kmq_t *kmq)/r
        =~ s/return kmq_size/(void) kmq; return kmq_size/r);
case('a gap that is none', $queue_h, qr/KMQ_LOCKED/, 'KMQ_LOCKED_GAPS',
    qr{kmq_put\(\) is KMQ_LOCKED_GAPS, but there is no gap});

# the common lock

case('without the common lock', $queue,
    qr/int kmq_sort\(void\) \{ return kmq_size/,
    'int kmq_sort(void) { return kmq_sum',
    qr{kmq_sort\(\) gets to kmq_sum\(\) without the common lock});
case('without the common lock, far away', $queue,
    qr/int kmq_sort\(void\) \{ return kmq_size/,
    "static int sum(void);\nint kmq_sort(void) { return sum",
    qr{without the common lock: kmq_sort > sum > kmq_sum});
case('after it was given back, the common one', $queue,
    qr/common_unlock\(\);\n\n    return n/,
    "common_unlock();\n\n    return sum()",
    qr{kmq_total\(\) gets to kmq_sum\(\) without the common lock});
case('a shard behind the common lock', $queue, qr/n = sum\(\);/,
    'n = sum() + kmq_publish(0);',
    qr{kmq_total\(\) gets to kmq_lock\(\) with the common lock: \S+ > kmq_pub});
case('the same, in one that expects it', $queue,
    qr/int kmq_sum\(void\) \{ return/,
    'int kmq_sum(void) { return kmq_publish(0) +',
    qr{kmq_sum\(\) gets to kmq_lock\(\) with the common lock});
case('a shard before the common lock', $queue, qr/    kmq_common_lock\(\);\n/,
    "    kmq_lock();\n    kmq_unlock();\n    kmq_common_lock();\n", undef);
case('a shard between two of it', $queue, qr/n = sum\(\);/,
    "n = sum();\n    kmq_common_unlock();\n    kmq_common_unlock();\n"
    . "    kmq_publish(0);\n    kmq_common_lock();\n    kmq_common_lock();",
    undef);

done_testing();
