# A thread of another process stands still, and that one alone: SIGSTOP would
# stop all of its process.
#
#     my $thread = KapokMQ::Thread->stop($tid) or ...;     # is not allowed
#     $thread->continue;
#
# It goes on as well when this process ends.

package KapokMQ::Thread;

use strict;
use warnings;

use POSIX qw(uname);

use constant {
    SEIZE => 0x4206, INTERRUPT => 0x4207, DETACH => 17, WALL => 0x40000000,
};

my %PTRACE = (x86_64 => 101, aarch64 => 117);

sub _ptrace {
    my ($request, $tid) = @_;
    my $number = $PTRACE{(uname)[4]} or return 0;

    return syscall($number, $request, $tid, 0, 0) == 0;
}

sub stop {
    my ($class, $tid) = @_;

    _ptrace(SEIZE, $tid) or return;
    my $self = bless { tid => $tid }, $class;
    return $self if _ptrace(INTERRUPT, $tid) && waitpid($tid, WALL) == $tid;
    return;
}

sub continue {
    my ($self) = @_;

    return _ptrace(DETACH, $self->{tid});
}

# Those of a process but its first, in the order in which they were begun.
sub others {
    my ($pid) = @_;
    my (undef, @tids) = sort { $a <=> $b }
                        map { m{(\d+)$} } glob "/proc/$pid/task/*";

    return @tids;
}

1;
