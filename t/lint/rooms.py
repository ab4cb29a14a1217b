#!/usr/bin/env python3
"""Checks that the house is built as its plan says.

    rooms.py [--root DIR] [--show] OBJECTS

The plan is the tables under "## Rooms" in docs/architecture.md: each row is a
room, what it offers, and what it may use.  OBJECTS is the directory in which
`make lint-rooms` has compiled all sources with -O0 -fcallgraph-info: nothing
is inlined there, and beside each object there is a .ci file with its calls.
--show prints who uses whom, as it is, too.

A room is a folder of src, or a file, or several, of which the first gives it
its name; a file belongs to the row that names the longest part of its path.
In the third column there may be

    `engine/memory`             this room
    all above                   the rooms of the rows above, in this table
    structs of `engine/queue`   headers of this room may include its header,
                                since their structs contain its structs
    ring of `a.c`, `b.c`        files of this room that know each other
    `nginx`                     headers of nginx, <ngx_*.h>

A room's header is the one that has the room's name (memory/kmq_memory.h), or
those that the second column names.  What is wrong:

  * a file includes a header of a room that its room may not use, or one that
    that room does not offer
  * a function calls one of such a room, or a file takes its address.  Inside
    a house (src/engine, src/server) what counts is where the function is
    defined; from outside, which header declares it: so the server may call
    whatever engine/kmq.h declares, and the engine's rooms may not.  For
    variables the header counts, too.
  * rooms use each other in a ring, as the plan says it or as they do
  * files inside a room do, and the plan does not name them
  * the locks.  Headers of src/engine mark functions behind their prototypes:

        KMQ_LOCKED         it expects a shard's lock to be held
        KMQ_LOCKED_GAPS    the same, but it lets it go and takes it again
        KMQ_ALONE          nobody else knows the block: no lock is needed
        KMQ_COMMON         it expects the common lock to be held

    A function of a room's header without a mark takes the lock, or the comment
    above it has a word about the lock.  A function without a mark must not get
    to one that expects the lock, by itself or through static functions, but
    between the places where the lock is taken first and given back last.  A
    function that expects the lock must not get to kmq_lock(), kmq_unlock(), or
    a function with gaps, on whatever way, unless it is marked as having gaps
    itself; and then it must.

    For the common lock it is the same, but whoever has it may take it again.
    It is the last one: who has it must not get to a shard's lock.

What it cannot see: calls through pointers (the one who takes the address is
seen, who calls is not); branches, since the order of the text stands for that
of calls; what is between the first place that takes the lock and the last that
gives it back, so neither what expects the lock while it is let go there, nor
what takes it a second time; whether a mark, or a comment, is true of a
function that calls no other, since data is not seen; what a build with other
flags compiles.
"""

import argparse
import collections
import os
import re
import subprocess
import sys

PLAN = "docs/architecture.md"
LOCK = ("kmq_lock", "kmq_lock_at", "kmq_lock_all")
UNLOCK = ("kmq_unlock", "kmq_unlock_all")
SECOND = ("kmq_lock_try", "kmq_lock_return")     # beside the lock that it has
COMMON_LOCK, COMMON_UNLOCK = ("kmq_common_lock",), ("kmq_common_unlock",)
LOCKED, GAPS, ALONE = "KMQ_LOCKED", "KMQ_LOCKED_GAPS", "KMQ_ALONE"
COMMON = "KMQ_COMMON"
LOCKED_HOUSE = "engine"

Function = collections.namedtuple("Function", "name file static")


# ------------------------------------------------------------------ the plan

class Room:
    def __init__(self, paths, offers):
        self.name = paths[0]
        self.paths = paths
        self.headers = {os.path.basename(h)
                        for h in re.findall(r"`([^`]+\.h)`", offers)}
        self.uses = set()         # names of rooms
        self.structs = set()
        self.rings = []           # sets of files

    def offers(self, header):
        name = os.path.basename(self.name)
        own = {os.path.basename(path) for path in self.paths}
        own.update(("kmq_%s.h" % name, "ngx_kapokmq_%s.h" % name))
        return os.path.basename(header) in (self.headers or own)

    def house(self):
        """The folder of src in which it is."""
        return "server" if self.name.endswith("module.c") \
            else self.name.split("/")[0]


def read_plan(root):
    """The rooms by their names, in the order of the plan."""
    with open(os.path.join(root, PLAN), encoding="utf-8") as file:
        text = file.read()

    part = re.search(r"^## Rooms$(.*?)(?=^## |\Z)", text, re.M | re.S)

    if part is None:
        sys.exit("rooms: %s has no \"## Rooms\"" % PLAN)

    rooms, above, in_table = {}, [], False

    for line in part.group(1).splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]

        if not line.startswith("|") or len(cells) != 3:
            in_table = False
        elif cells == ["room", "offers", "may use"]:
            above, in_table = [], True
        elif in_table and not set(line) <= set("|-: "):
            room = read_row(cells, above)
            rooms[room.name] = room
            above.append(room.name)

    for room in rooms.values():
        for name in room.uses | room.structs:
            if name not in rooms and name != "nginx":
                sys.exit("rooms: %s: %s may use `%s`, which is no room"
                         % (PLAN, room.name, name))

    return rooms


def read_row(cells, above):
    room = Room(re.findall(r"`([^`]+)`", cells[0]), cells[1])

    for part in re.split(r";", cells[2]):
        names = re.findall(r"`([^`]+)`", part)

        if part.strip().startswith("structs of"):
            room.structs.update(names)
        elif part.strip().startswith("ring of"):
            room.rings.append(set(names))
        else:
            room.uses.update(names)

            if "all above" in part:
                room.uses.update(above)

    return room


# ------------------------------------------------------------------ the code

def blank(pattern, text):
    """All that matches is blanks, and everything stays in its place."""
    return re.sub(pattern, lambda m: re.sub(r"[^\n]", " ", m.group()), text,
                  flags=re.M | re.S)


class Code:
    """What is read from the sources and the objects."""

    def __init__(self, root, objects):
        self.root = root
        self.files = sorted(self.find_files())
        self.includes = []        # (file, line number, what)
        self.declared = {}        # name: headers that declare it
        self.marks = {}           # name: its mark
        self.common = set()       # names that expect the common lock
        self.above = {}           # name without a mark, that gets the block
                                  # or the handle: the comments above it
        self.calls = collections.defaultdict(list)  # caller: (callee, place)s
        self.names = set()        # (file, name that it uses)
        self.defined = {}         # name: file that defines it for all
        self.kind = {}            # name: "function" or "variable"

        for file in self.files:
            self.read_source(file)

        self.read_objects({os.path.join(objects, file[:-2]): file
                           for file in self.files if file.endswith(".c")})

    def find_files(self):
        for name in os.listdir(self.root):
            if name.endswith("module.c"):
                yield name

        for at, _, names in os.walk(os.path.join(self.root, "src")):
            for name in names:
                if name.endswith((".c", ".h")):
                    yield os.path.relpath(os.path.join(at, name), self.root)

    def read_source(self, file):
        with open(os.path.join(self.root, file), encoding="utf-8") as source:
            source = source.read()

        text = blank(r"/\*.*?\*/|//[^\n]*", source)

        for i, line in enumerate(text.splitlines(), 1):
            include = re.match(r'\s*#\s*include\s+(["<])([^">]+)', line)

            if include is None:
                continue

            if include.group(1) == "<":
                if include.group(2).startswith("ngx_"):
                    self.includes.append((file, i, "nginx"))
                continue

            for base in (os.path.dirname(file), ""):
                path = os.path.normpath(os.path.join(base, include.group(2)))

                if os.path.exists(os.path.join(self.root, path)):
                    self.includes.append((file, i, path))
                    break

        if file.endswith(".h"):
            self.read_prototypes(file, source, text)

    def read_prototypes(self, file, source, text):
        text = blank(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*$", text)
        text = blank(r"__attribute__\s*\(\(.*?\)\)", text)

        for m in re.finditer(r"\b(\w+)\s*(\([^;{}]*\))\s*(\w*)\s*[;{]", text):
            name, arguments, mark = m.groups()
            self.declared.setdefault(name, set()).add(file)

            if mark in (LOCKED, GAPS, ALONE):
                self.marks[name] = mark
            elif mark == COMMON:
                self.common.add(name)
            elif re.search(r"\bkmq(_block)?_t\b", arguments):
                self.above[name] = self.read_above(source[:m.start()], text)

        for m in re.finditer(r"^extern[^;(]*?\b(\w+)(?:\[[^]]*\])*;", text,
                             re.M):
            self.declared.setdefault(m.group(1), set()).add(file)

    @staticmethod
    def read_above(source, text):
        """The comments that are about what follows the source: those behind
        the last prototype, the last one, and those of the section alone."""
        last = max(text.rfind(c, 0, len(source)) for c in ";{}")
        section = source[max(source.rfind("/* ---"), 0):]
        alone = re.findall(r"/\*(?:(?!\*/).)*\*/(?=\n\n)", section, re.S)

        return source[last + 1:] + source.rpartition("/*")[2] + "".join(alone)

    def read_objects(self, files):
        """Each unit's calls, and the names that it defines and uses."""
        for path in files:
            try:
                with open(path + ".ci", encoding="utf-8") as calls:
                    self.read_calls(calls.read())
            except FileNotFoundError:
                sys.exit("rooms: %s.ci is not there; `make lint-rooms` makes "
                         "it" % path)

        nm = subprocess.run(["nm", "-A", "-P"] + [p + ".o" for p in files],
                            stdout=subprocess.PIPE, check=True, text=True)

        for line in nm.stdout.splitlines():
            path, name, kind = line.split()[:3]
            file = files[path[:-len(".o:")]]

            if kind == "U":
                self.names.add((file, name))
            elif kind in "TDBRCV":
                self.defined[name] = file
                self.kind[name] = "function" if kind == "T" else "variable"

    def read_calls(self, text):
        """One unit's: who is called external is resolved by its name."""
        node = {}

        for m in re.finditer(r'^node: \{ title: "(.*?)" label: "(.*?)\\n'
                             r'(.*?):\d+:\d+', text, re.M):
            title, name, file = m.groups()
            node[title] = Function(name, os.path.normpath(file),
                                   ":" in title)

        for m in re.finditer(r'^edge: \{ sourcename: "(.*?)" targetname: '
                             r'"(.*?)"(?: label: ".*:(\d+):(\d+)")?', text,
                             re.M):
            source, target, line, column = m.groups()

            if target in node:
                self.calls[node[source]].append(
                    (node[target], (int(line or 0), int(column or 0))))

    def function(self, callee):
        """The definition of what is called, as far as it is in src."""
        if callee.static:
            return callee

        file = self.defined.get(callee.name)

        return file and Function(callee.name, file, False)

    def graph(self):
        """Calls among definitions alone, in the order of the text."""
        graph = collections.defaultdict(list)

        for caller, calls in self.calls.items():
            for callee, place in sorted(calls, key=lambda call: call[1]):
                callee = self.function(callee)

                if callee:
                    graph[caller].append((callee, place))

        return graph


# ---------------------------------------------------------------- the checks

class Checks:
    def __init__(self, rooms, code):
        self.rooms = rooms
        self.code = code
        self.wrong = []
        self.used = collections.defaultdict(set)   # room: rooms, as it is
        self.at = {path: room for room in rooms.values()
                   for path in room.paths}
        self.row = {file: self.find_row(file) for file in code.files}

    def say(self, text, *args):
        text = text % args

        if text not in self.wrong:
            self.wrong.append(text)

    def find_row(self, file):
        path = file[len("src/"):] if file.startswith("src/") else file

        while path:
            if path in self.at:
                return self.at[path]

            path = os.path.dirname(path)

        self.say("%s: belongs to no room of %s", file, PLAN)
        return Room(["?"], "")

    def run(self):
        for path, room in self.at.items():
            if path != "nginx" and not any(
                    file.endswith("/" + path) or "/%s/" % path in file
                    or file == path for file in self.row):
                self.say("%s: there is no `%s`", PLAN, path)

        self.check_includes()
        self.check_calls()
        self.check_addresses()
        self.check_plan()
        self.check_rings()
        Lock(self).run()
        CommonLock(self).run()

    # .......................................................... who uses whom

    def check_includes(self):
        for file, line, what in self.code.includes:
            room = self.row[file]
            where = "%s:%d: " % (file, line)

            if what == "nginx":
                if what not in room.uses:
                    self.say(where + "%s may not use nginx", room.name)
                continue

            if what not in self.row or self.row[what] is room:
                continue

            other = self.row[what]

            if file.endswith(".h") and other.name in room.structs:
                pass
            elif other.name not in room.uses:
                self.say(where + "includes %s: %s may not use %s", what,
                         room.name, other.name)
            else:
                self.used[room.name].add(other.name)

            if not other.offers(what):
                self.say(where + "includes %s, which %s does not offer", what,
                         other.name)

    def allowed(self, file, name, definer):
        """Why that file may not use that name; None: it may."""
        room, other = self.row[file], self.row[definer]

        if room is other:
            return None

        if self.code.kind.get(name) != "variable" \
                and room.house() == other.house():
            self.used[room.name].add(other.name)

            if other.name not in room.uses:
                return "%s may not use %s" % (room.name, other.name)

            return None

        headers = self.code.declared.get(name, set()) & set(self.row)

        for header in headers:
            if self.row[header] is room \
                    or self.row[header].name in room.uses:
                return None

        return "%s may use no header that declares it" % room.name

    def check_calls(self):
        for caller, calls in self.code.calls.items():
            if caller.file not in self.row:
                continue

            for callee, (line, _) in calls:
                callee = self.code.function(callee)

                if callee is None or callee.file not in self.row:
                    continue

                why = self.allowed(caller.file, callee.name, callee.file)

                if why:
                    self.say("%s:%s: %s() calls %s() of %s: %s", caller.file,
                             line, caller.name, callee.name, callee.file, why)

    def check_addresses(self):
        """Names that a file uses without calling them: callbacks, data."""
        called = {(caller.file, callee.name)
                  for caller, calls in self.code.calls.items()
                  for callee, _ in calls}

        for file, name in sorted(self.code.names - called):
            definer = self.code.defined.get(name)

            if definer is None:
                continue

            why = self.allowed(file, name, definer)

            if why:
                self.say("%s: uses %s of %s: %s", file, name, definer, why)

    # ................................................................. rings

    def check_plan(self):
        for ring in rings({room.name: room.uses
                           for room in self.rooms.values()}):
            self.say("%s: a ring of rooms: %s", PLAN, ", ".join(ring))

        for ring in rings(self.used):
            self.say("a ring of rooms, as they use each other: %s",
                     ", ".join(ring))

    def check_rings(self):
        inside = collections.defaultdict(set)

        for file, name in self.code.names:
            definer = self.code.defined.get(name)

            if definer and self.row[definer] is self.row[file]:
                inside[file].add(definer)

        for ring in rings(inside):
            room = self.row[ring[0]]
            names = {os.path.basename(file) for file in ring}

            if not any(names <= known for known in room.rings):
                self.say("%s: a ring of files: %s", room.name,
                         ", ".join(sorted(names)))

            for known in room.rings:
                known -= names    # what is left is named for nothing

        for room in self.rooms.values():
            for known in room.rings:
                if known:
                    self.say("%s: %s: not in a ring: %s", PLAN, room.name,
                             ", ".join(sorted(known)))


def rings(graph):
    """The strongly connected parts of more than one (Tarjan)."""
    number, low, stack, found = {}, {}, [], []

    def visit(at):
        number[at] = low[at] = len(number)
        stack.append(at)

        for to in sorted(graph.get(at, ())):
            if to not in number:
                visit(to)
                low[at] = min(low[at], low[to])
            elif to in stack:
                low[at] = min(low[at], number[to])

        if low[at] == number[at]:
            i = stack.index(at)

            if len(stack) - i > 1:
                found.append(sorted(stack[i:]))

            del stack[i:]

    for at in sorted(graph):
        if at not in number:
            visit(at)

    return found


END = (sys.maxsize, 0)


class Held:
    """Who holds a lock, as far as marks and the order of the text tell."""

    take, give = (), ()

    def __init__(self, checks):
        inside = "src/%s/" % LOCKED_HOUSE

        self.say = checks.say
        self.marks = checks.code.marks
        self.common = checks.code.common
        self.known = {}           # private function: see need()
        self.graph = {caller: [call for call in calls
                               if call[0].file.startswith(inside)]
                      for caller, calls in checks.code.graph().items()
                      if caller.file.startswith(inside)}

    def mark(self, function):
        return self.marks.get(function.name)

    def expects(self, function):
        """Must whoever calls it hold the lock?"""
        raise NotImplementedError

    def private(self, function):
        """It is static, and has no mark: it does as its caller must."""
        return function.static and not self.mark(function)

    def moves(self, function, seen=()):
        """Where the lock is taken ("+") and given back ("-"), by itself or
        private functions: (place, "+" or "-")."""
        moves = []

        for callee, place in self.graph.get(function, ()):
            if callee.name in self.take + self.give:
                moves.append((place, "+" if callee.name in self.take else "-"))
            elif self.private(callee) and callee not in seen:
                inner = self.moves(callee, (*seen, function))
                moves += [(place, sign) for _, sign in inner]

        return moves

    def held(self, function):
        """Between which places it has the lock that it takes: the first where
        it is taken, and the last where it is given back."""
        moves = self.moves(function)
        taken = moves[0][0] if moves and moves[0][1] == "+" else END
        given = moves[-1][0] if moves and moves[-1][1] == "-" \
            and taken < END else END

        return taken, given

    def need(self, function):
        """The way to what expects the lock where that is not held, or None.
        That is before it is taken first, and after it is given back last."""
        if function in self.known:
            return self.known[function]

        self.known[function] = None       # while it is looked for, in a ring
        taken, given = self.held(function)

        for callee, place in self.graph.get(function, ()):
            if taken < place <= given:
                continue

            if callee.name in self.give or self.expects(callee):
                way = [callee.name]
            elif self.private(callee) and callee != function:
                way = self.need(callee)
                way = way and [callee.name] + way
            else:
                way = None

            if way and not (callee.name in self.give and place > taken):
                self.known[function] = way
                return way

        return None


class Lock(Held):
    """A shard's."""

    take, give = LOCK, UNLOCK

    def __init__(self, checks):
        super().__init__(checks)

        inside = "src/%s/" % LOCKED_HOUSE

        self.above = checks.code.above
        self.rooms = {name for name, files in checks.code.declared.items()
                      if any(file.startswith(inside)
                             and "/" in file[len(inside):] for file in files)}

    def expects(self, function):
        return self.mark(function) in (LOCKED, GAPS)

    def gap(self, function, seen):
        """The way to the first that takes it or lets it go, or None."""
        for callee, _ in self.graph.get(function, ()):
            if callee.name in SECOND:
                continue

            if callee.name in LOCK + UNLOCK or self.mark(callee) == GAPS:
                return [callee.name]

            if callee not in seen:
                seen.add(callee)
                way = self.gap(callee, seen)

                if way:
                    return [callee.name] + way

        return None

    def run(self):
        for function in sorted(self.graph):
            mark = self.mark(function)

            if function.name in LOCK + UNLOCK + SECOND or mark == ALONE:
                continue

            if mark:
                self.check_marked(function, mark)
            elif not function.static or function.file.endswith(".h"):
                way = self.need(function)

                if way:
                    self.say("%s: %s() gets to %s() without the lock: %s",
                             function.file, function.name, way[-1],
                             " > ".join([function.name] + way))
                elif function.name in self.rooms \
                        and not re.search(r"\block\b", self.above.get(
                            function.name, "lock")) \
                        and not self.gap(function, {function}):
                    self.say("%s: %s() does not take the lock; does it "
                             "expect it?  Its header does not tell",
                             function.file, function.name)

    def check_marked(self, function, mark):
        way = self.gap(function, {function})

        if way and mark == LOCKED:
            self.say("%s: %s() is %s, but lets it go, or takes it again: %s",
                     function.file, function.name, LOCKED,
                     " > ".join([function.name] + way))
        elif not way and mark == GAPS:
            self.say("%s: %s() is %s, but there is no gap", function.file,
                     function.name, GAPS)


class CommonLock(Held):
    """The one behind those of shards."""

    take, give = COMMON_LOCK, COMMON_UNLOCK

    def expects(self, function):
        return function.name in self.common

    def shard(self, function, seen):
        """The way to the first that takes a shard's lock, or None."""
        if function.name in LOCK + SECOND:
            return [function.name]

        for callee, _ in self.graph.get(function, ()):
            if callee not in seen:
                seen.add(callee)
                way = self.shard(callee, seen)

                if way:
                    return [function.name] + way

        return None

    def run(self):
        for function in sorted(self.graph):
            if function.name in self.take + self.give:
                continue

            self.check_order(function)

            if not self.expects(function) and self.mark(function) != ALONE \
                    and (not function.static or function.file.endswith(".h")):
                way = self.need(function)

                if way:
                    self.say("%s: %s() gets to %s() without the common lock: "
                             "%s", function.file, function.name, way[-1],
                             " > ".join([function.name] + way))

    def sections(self, function):
        """The places between which it has the lock, one after the other."""
        depth = 0

        for place, sign in self.moves(function):
            if sign == "+":
                if depth == 0:
                    first = place

                depth += 1
            elif depth:
                depth -= 1

                if depth == 0:
                    yield first, place

    def check_order(self, function):
        """Who has it takes no other."""
        sections = [((0, 0), END)] if self.expects(function) \
            else list(self.sections(function))

        for callee, place in self.graph[function]:
            if not any(first < place < last for first, last in sections):
                continue

            way = self.shard(callee, {callee})

            if way:
                self.say("%s: %s() gets to %s() with the common lock: %s",
                         function.file, function.name, way[-1],
                         " > ".join([function.name] + way))


def show(checks):
    for room in checks.rooms:
        files = [f for f, r in checks.row.items() if r.name == room]
        print("%-24s %2d files, uses %s"
              % (room, len(files), ", ".join(sorted(checks.used[room]))
                 or "-"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", default=".")
    parser.add_argument("--show", action="store_true")
    parser.add_argument("objects")
    args = parser.parse_args()

    sys.setrecursionlimit(10000)
    checks = Checks(read_plan(args.root), Code(args.root, args.objects))
    checks.run()

    if args.show:
        show(checks)

    for text in checks.wrong:
        print("rooms: " + text, file=sys.stderr)

    return 1 if checks.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
