# make             the module, build/ngx_kapokmq_module.so, and the tool
#                  build/kapokmq-dump
# make page        the console page, view/dist; with npm
# make test        everything that ./test.sh runs
# make unit        unit tests of the engine, the protocol and the settings
# make fuzz        each fuzzer for FUZZ_SECONDS
# make live-fuzz   nginx with the module under random clients for SECONDS
# make chaos-forgive  consumers that die at random for SECONDS, or for MESSAGES=N
# make cluster     the client of NATS against three real nats-servers
# make cluster-kills  KILLS=100 kill -9 of nodes and servers of a cluster
# make cluster-pauses PAUSES=30 of its primary, which then goes on
# make cluster-short  a stream that comes back shorter than what it acknowledged
# make cluster-times  how long a takeover takes with 100,000 messages
# make cluster-days  MESSAGES=10000000 pass through a cluster, which stays bounded
# make examples    the clients of examples/ in all languages, Mono's as well
# make http3       the suite over HTTP/3, with an nginx that has it
# make matrix      a few suites with each nginx of NGINX_SRCS: source trees in
#                  which one has been built, see t/matrix.sh
# make lint        cppcheck, line lengths, warnings of gcc and clang, rooms,
#                  documents
# make bench       the load generator, the floor and their report
# make bench-peers other servers beside the queue
# make install     into DESTDIR
# make deb         Debian's package, into build/deb; with dpkg-dev, debhelper
# make deb-test    installs it in a fresh Debian, upgrades, removes; as root
# make docker-test the same for packaging/docker/Dockerfile, with buildah
# make run-test    ./run.sh in a fresh Debian; with debootstrap, as root
# make clean
#
# NGINX_SRC=DIR    nginx's source tree (a release or a checkout, 1.22 or
#                  newer); else Debian's nginx-dev
# NGINX_FLAGS=...  arguments for its configure; else those of Debian's nginx,
#                  or, with NGINX_SRC, --with-compat --with-threads
# CC=, CFLAGS=, LDFLAGS=, LTO=, BUILD=DIR
# KAPOKMQ_JWT=NO   without libjwt: application.yaml cannot have tokens then
# TEST_NGINX_BINARY=FILE  for make http3: the nginx of NGINX_SRC, which was
#                  configured with NGINX_FLAGS
# SANITIZE=1       a module with the sanitizers, for live-fuzz; in another BUILD
# FAULTS=1         a module for t/44-faults.t, whose workers can be killed at
#                  named points; BUILD should be another one, too

SHELL := /bin/bash

# A message passes through a dozen files: a sixth of its instructions were
# calls between them.  clang needs a linker of its own for that.
LTO         ?= $(if $(findstring clang,$(shell $(CC) --version)),, \
    -flto=auto -fno-semantic-interposition)

NGINX_SRC   ?= /usr/share/nginx/src
NGINX_SRCS  ?=
NGINX_FLAGS ?=
CFLAGS      ?= -O2 -g $(LTO)
LDFLAGS     ?= $(LTO)
BUILD       ?= build
FAULTS      ?=
KAPOKMQ_JWT ?= YES
SANITIZE    ?=
TEST_NGINX_BINARY ?= nginx
GCC         ?= gcc
CLANG       ?= clang
PROVE       ?= prove

FUZZ_SECONDS ?= 10
SECONDS      ?= 60
MESSAGES     ?=
KILLS        ?= 100
PAUSES       ?= 30

PREFIX      ?= /usr/share/nginx
MODULES     ?= /usr/lib/nginx/modules
CONFDIR     ?= /etc/nginx
SBIN        ?= /usr/sbin
DATADIR     ?= /usr/share/kapokmq

# Paths are relative: neither make nor nginx's configure can do with a blank
# in the path of the checkout.
ifneq ($(FAULTS),)
override CFLAGS += -DKMQ_FAULTS
endif

SANITIZERS := -fsanitize=address,undefined
ifneq ($(SANITIZE),)
override CFLAGS  := -O1 -g -fno-omit-frame-pointer $(SANITIZERS)
override LDFLAGS := $(SANITIZERS)
NGINX_CC_OPT = -include $(ROOT)/t/live/pool.h
POOL_IS := $(shell cksum t/live/pool.h)
endif

OUT   := $(BUILD)
TREE  := $(OUT)/nginx-src
OBJS  := $(OUT)/nginx
SO    := ngx_kapokmq_module.so
# from TREE to here
ROOT  := $(shell realpath -m --relative-to='$(OUT)/nginx-src' .)

NATS_SRC   := $(wildcard src/nats/*.c src/protocol/kmq_nats*.c)
CORE_SRC   := $(wildcard src/engine/*.c src/engine/*/*.c src/disk/*.c \
    src/protocol/*.c src/access/*.c src/nats/*.c src/cluster/*.c \
    src/replica/*.c)
SERVER_SRC := ngx_kapokmq_module.c \
    $(wildcard src/server/*.c src/server/*/*.c)
HEADERS    := $(wildcard src/*/*.h src/*/*/*.h)
# what runs without nginx is linked into each unit test and fuzzer
PLAIN_SRC  := $(filter-out src/access/kmq_jwt_none.c,$(CORE_SRC)) \
    $(wildcard src/server/config/kmq_*.c)
DUMP_SRC   := $(wildcard src/dump/*.c)
# what the module has of it; config has the rest of the module
MODULE_SRC := $(filter-out src/access/kmq_jwt$(if \
    $(filter NO,$(KAPOKMQ_JWT)),,_none).c,$(CORE_SRC))
TOOL_SRC   := $(DUMP_SRC) $(filter src/engine/% src/disk/%,$(CORE_SRC)) \
    $(addprefix src/protocol/kmq_,escape.c scan.c utf8.c wide.c)
UNIT_SRC   := $(wildcard t/unit/*.c)
FUZZ_SRC   := $(wildcard t/fuzz/*.c)
BENCH_SRC  := $(wildcard bench/*/*.c)
LIBS       := -lyaml -ljansson -llz4 -ljwt -lssl -lcrypto -lpthread

.PHONY: build examples page unit unit-build fuzz fuzz-build live-build live-fuzz \
    chaos-forgive cluster cluster-kills cluster-pauses cluster-short \
    cluster-times cluster-days http3 screenshots matrix lint lint-text lint-rooms lint-docs \
    cppcheck bench bench-peers test install deb deb-test docker-test run-test \
    clean FORCE
.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL := build

build: $(OUT)/$(SO) $(OUT)/kapokmq-dump


# all cores, unless make was told how many
ifeq ($(filter-out build page install deb,$(MAKECMDGOALS)),)
MAKEFLAGS += -j$(shell nproc)
endif

# $(call objects,FLAVOUR,SOURCES): their objects in build/FLAVOUR/obj
objects = $(patsubst %.c,$(OUT)/$(1)/obj/%.o,$(2))


# ------------------------------------------------------------- the module

# changes when one of these does
$(OUT)/configured-with: export CONFIGURED = \
    $(NGINX_SRC) $(NGINX_FLAGS) $(CC) $(CFLAGS) $(LDFLAGS) $(ROOT) $(POOL_IS) \
    $(KAPOKMQ_JWT) $(MODULE_SRC)
$(OUT)/configured-with: FORCE
	@mkdir -p $(OUT)
	@echo "$$CONFIGURED" | cmp -s - $@ || echo "$$CONFIGURED" > $@

# Objects that need nothing of nginx are made while its configure runs, and for
# the tool, too.
MODULE_OBJS = $(patsubst %.c,../plain/obj/%.o,$(MODULE_SRC))

# It builds a hundred small programs, and LTO was a third of the time for that.
CONFIGURE_CC = -Wall -Wextra -Werror $(filter-out $(LTO),$(CFLAGS)) \
    $(NGINX_CC_OPT)
CONFIGURE_LD = $(filter-out $(LTO),$(LDFLAGS))

# nginx's configure writes into its source tree, so it gets a tree of links.
$(OBJS)/Makefile: config $(OUT)/configured-with
	@test -d $(NGINX_SRC)/src || { echo "no nginx sources in" \
	    "$(NGINX_SRC): apt-get install nginx-dev, or make" \
	    "NGINX_SRC=DIR" >&2; exit 1; }
	rm -rf $(TREE) $(OBJS)
	mkdir -p $(TREE)
	from=$$(realpath $(NGINX_SRC)) && for name in auto conf conf_flags \
	    configure contrib man html docs src; do \
	    [ ! -e "$$from/$$name" ] || \
	    cp -rs "$$from/$$name" $(TREE)/ || exit; \
	done
	cd $(TREE) && configure=auto/configure && \
	if [ -e configure ]; then configure=configure; fi && \
	NGX_CONF_FLAGS=(--with-compat --with-threads) && \
	if [ -e conf_flags ]; then . ./conf_flags; fi && \
	export KAPOKMQ_JWT=$(KAPOKMQ_JWT) KAPOKMQ_PLAIN='$(MODULE_OBJS)' && \
	$(if $(NGINX_FLAGS),NGX_CONF_FLAGS=($(NGINX_FLAGS)) &&) \
	bash $$configure "$${NGX_CONF_FLAGS[@]}" --with-cc='$(CC)' \
	    --with-cc-opt='$(CONFIGURE_CC)' --with-ld-opt='$(CONFIGURE_LD)' \
	    --builddir=../nginx \
	    --add-dynamic-module=$(ROOT) > ../configure.log 2>&1 || \
	{ cat ../configure.log >&2; exit 1; }

# as nginx's configure calls them
SERVER_OBJS := $(foreach file,$(filter src/%,$(SERVER_SRC)), \
    ../nginx/addon/$(notdir $(patsubst %/,%,$(dir $(file))))/$(notdir \
    $(file:.c=.o)))

$(OUT)/$(SO): $(OBJS)/Makefile $(SERVER_SRC) $(HEADERS) module.mk \
    $(call objects,plain,$(MODULE_SRC))
	$(MAKE) -C $(TREE) -f ../nginx/Makefile -f $(ROOT)/module.mk \
	    CC='$(CC) $(filter $(LTO),$(CFLAGS))' SO=../nginx/$(SO) \
	    SERVER_OBJS='$(SERVER_OBJS)' PLAIN_OBJS='$(MODULE_OBJS)' \
	    ../nginx/$(SO)
	# renamed into place: a running nginx keeps the file that it has mapped
	cp $(OBJS)/$(SO) $@.new && mv -f $@.new $@


# --------------------------------------------------------- the console page

PAGE     := view/dist/index.html
PAGE_SRC := $(shell find view -type f \
    -not -path '*/node_modules/*' -not -path '*/dist/*')

page: $(PAGE)

view/node_modules/.from: view/package-lock.json
	npm ci --prefix view --cache $(OUT)/npm --ignore-scripts --no-audit \
	    --no-fund --loglevel=error
	cp $< $@

$(PAGE): view/node_modules/.from $(PAGE_SRC)
	node view/build.mjs


# --------------------------- the tool, unit tests, fuzzers, warning builds

# $(eval $(call flavour,NAME,COMPILER AND FLAGS)): how to make such objects
define flavour
$(OUT)/$(1)/obj/%.o: %.c Makefile
	@mkdir -p $$(@D)
	$(2) -MMD -MP -c -o $$@ $$<
-include $$(shell test ! -d $(OUT)/$(1)/obj || \
    find $(OUT)/$(1)/obj -name '*.d')
endef

PLAIN := -std=c11 -D_GNU_SOURCE -g -O1 -fno-omit-frame-pointer \
    -Wall -Wextra -Werror -DKMQ_FAULTS
ASAN  := -fsanitize=address,undefined -fno-sanitize-recover=all
TSAN  := -fsanitize=thread
FUZZ  := -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all

NGINX_INCS := $(addprefix -isystem $(TREE)/src/,core event event/modules \
    event/quic os/unix http http/modules http/v2 http/v3) -isystem $(OBJS)
WARN  := -O2 -g -Wall -Wextra -Wno-unused-parameter -Werror $(NGINX_INCS)

SHIP  := -std=c11 -D_GNU_SOURCE -fPIC -Wall -Wextra -Werror $(CFLAGS)

$(eval $(call flavour,plain,$(CC) $(SHIP)))
$(eval $(call flavour,unit,$(CC) $(PLAIN) $(ASAN)))
$(eval $(call flavour,unit-tsan,$(CC) $(PLAIN) $(TSAN)))
$(eval $(call flavour,fuzz,$(CLANG) $(PLAIN) $(FUZZ)))
$(eval $(call flavour,warn-gcc,$(GCC) $(WARN)))
$(eval $(call flavour,warn-clang,$(CLANG) $(subst -O2,-O0,$(WARN))))
# beside each object, which function calls which
$(eval $(call flavour,rooms,$(GCC) -O0 -fcallgraph-info $(NGINX_INCS)))

$(OUT)/kapokmq-dump: $(call objects,plain,$(TOOL_SRC))
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lpthread

$(call objects,plain,$(MODULE_SRC) $(DUMP_SRC)): $(OUT)/configured-with

# a client of real nats-servers, for t/cluster/jetstream.t and by hand
NATS_TOOL_SRC := t/cluster/nats_tool.c $(NATS_SRC) \
    src/replica/kmq_appends.c src/replica/kmq_pack.c src/replica/kmq_place.c \
    src/cluster/kmq_chain.c src/cluster/kmq_writer.c

$(OUT)/nats-tool: $(call objects,plain,$(NATS_TOOL_SRC) \
    $(addprefix src/protocol/kmq_,escape.c utf8.c wide.c))
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -ljansson -llz4 -lssl -lcrypto

$(call objects,plain,$(NATS_TOOL_SRC)): $(OUT)/configured-with

UNIT      := $(patsubst t/unit/%.c,$(OUT)/unit/%,$(UNIT_SRC))
UNIT_TSAN := $(patsubst t/unit/%.c,$(OUT)/unit-tsan/%, \
    $(wildcard t/unit/engine_threads.c t/unit/access_keys.c \
    t/unit/access_used.c))
FUZZERS   := $(patsubst t/fuzz/%.c,$(OUT)/fuzz/%,$(FUZZ_SRC))

$(UNIT): $(OUT)/unit/%: $(OUT)/unit/obj/t/unit/%.o \
    $(call objects,unit,$(PLAIN_SRC))
	$(CC) $(ASAN) -o $@ $^ $(LIBS)

# a test may have more files, in a directory of its name
$(foreach file,$(wildcard t/unit/*/*.c),$(eval \
    $(OUT)/unit/$(notdir $(patsubst %/,%,$(dir $(file)))): \
    $(call objects,unit,$(file))))

# the tool that two of them run
$(OUT)/unit/dump $(OUT)/unit/dump_waiting: | $(OUT)/unit/kapokmq-dump

$(OUT)/unit/kapokmq-dump: $(call objects,unit,$(TOOL_SRC))
	$(CC) $(ASAN) -o $@ $^ -lpthread

# the replica has fences, which this sanitizer does not know
$(UNIT_TSAN): $(OUT)/unit-tsan/%: $(OUT)/unit-tsan/obj/t/unit/%.o \
    $(call objects,unit-tsan,$(filter-out src/replica/%,$(PLAIN_SRC)))
	$(CC) $(TSAN) -o $@ $^ $(LIBS)

$(FUZZERS): $(OUT)/fuzz/%: $(OUT)/fuzz/obj/t/fuzz/%.o \
    $(call objects,fuzz,$(PLAIN_SRC))
	$(CLANG) $(FUZZ) -o $@ $^ $(LIBS)

unit-build: $(UNIT) $(UNIT_TSAN)

unit: unit-build
	$(PROVE) -j2 --exec '' $(UNIT) $(UNIT_TSAN)

fuzz-build: $(FUZZERS)

fuzz: fuzz-build
	$(PROVE) -j2 --exec 't/fuzz/run.sh $(FUZZ_SECONDS)' $(FUZZERS)

live-build:
	$(MAKE) --no-print-directory SANITIZE=1 BUILD=build/live \
	    build/live/$(SO) build/live/heap.so

$(OUT)/heap.so: t/live/heap.c
	$(CC) -O1 -g -fPIC -shared -Wall -Wextra -Werror -o $@ $<

live-fuzz: live-build
	KMQ_FUZZ_SECONDS=$(SECONDS) $(PROVE) -v t/live/fuzz.t

chaos-forgive: build
	KMQ_CHAOS_SECONDS=$(SECONDS) KMQ_CHAOS_MESSAGES=$(MESSAGES) KMQ_LIMIT=7200 \
	    $(PROVE) -v t/51-chaos-forgive.t

cluster: $(OUT)/nats-tool
	mkdir -p $(OUT)/t
	$(PROVE) -v t/cluster/jetstream.t

cluster-kills: build
	mkdir -p $(OUT)/t
	KMQ_KILLS=$(KILLS) KMQ_LIMIT=36000 $(PROVE) -v t/cluster/kills.t

cluster-pauses: build
	mkdir -p $(OUT)/t
	KMQ_PAUSES=$(PAUSES) KMQ_LIMIT=36000 $(PROVE) -v t/cluster/pauses.t

cluster-short: build
	mkdir -p $(OUT)/t
	$(PROVE) -v t/cluster/short.t

cluster-times: build
	$(MAKE) -C bench
	mkdir -p $(OUT)/t
	KMQ_LIMIT=3600 $(PROVE) -v t/cluster/times.t

cluster-days: build
	$(MAKE) -C bench
	mkdir -p $(OUT)/t
	KMQ_MESSAGES=$(MESSAGES) KMQ_LIMIT=36000 $(PROVE) -v t/cluster/days.t

# a client of HTTP/3, for t/e2e/http3.t; Debian's libngtcp2-dev, libnghttp3-dev,
# libngtcp2-crypto-gnutls-dev and libgnutls28-dev
HTTP3_SRC := $(wildcard t/http3/*.c)

$(OUT)/http3-client: $(call objects,plain,$(HTTP3_SRC))
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lngtcp2 -lngtcp2_crypto_gnutls \
	    -lnghttp3 -lgnutls -ljansson

$(call objects,plain,$(HTTP3_SRC)): $(OUT)/configured-with

examples: build
	KMQ_EXAMPLES=all $(PROVE) t/e2e/examples.t

screenshots: build page
	$(PROVE) t/e2e/console/screenshots.pl

http3: $(OUT)/$(SO) $(OUT)/http3-client
	TEST_NGINX_BINARY='$(TEST_NGINX_BINARY)' KMQ_BUILD='$(abspath $(OUT))' \
	    $(PROVE) t/e2e/http3.t

matrix:
	PROVE='$(PROVE)' t/matrix.sh $(NGINX_SRCS)

LINT_SRC := $(CORE_SRC) $(SERVER_SRC) $(DUMP_SRC)

lint: lint-text lint-rooms lint-docs cppcheck \
    $(call objects,warn-gcc,$(LINT_SRC)) \
    $(call objects,warn-clang,$(LINT_SRC))

$(call objects,warn-gcc,$(LINT_SRC)) \
$(call objects,warn-clang,$(LINT_SRC)) \
$(call objects,rooms,$(LINT_SRC)): $(OBJS)/Makefile

# the plan of the house, docs/architecture.md
lint-rooms: $(call objects,rooms,$(LINT_SRC))
	$(PROVE) t/lint/rooms.t
	t/lint/rooms.py $(OUT)/rooms/obj

# links, and what the Chinese pages and the English ones are about
lint-docs:
	$(PROVE) t/lint/docs.t
	t/lint/docs.py

C_FILES := $(wildcard *.c src/*/*.[ch] src/*/*/*.[ch] \
    t/unit/*.[ch] t/unit/*/*.[ch] t/fuzz/*.[ch] t/live/*.[ch] \
    t/cluster/*.[ch] t/http3/*.[ch] \
    bench/*/*.[ch])

lint-text:
	@! LC_ALL=C.UTF-8 grep -nE '^.{81,}' $(C_FILES) || \
	    { echo "lines of more than 80 columns" >&2; exit 1; }
	@! grep -nP '\t|[ \t]+$$' $(C_FILES) || \
	    { echo "tabs, or blanks at the end of lines" >&2; exit 1; }

	@for file in $(CORE_SRC) $(filter src/%,$(SERVER_SRC)); do \
	    grep -q "/$$file " config || { echo "config lacks $$file" >&2; \
	    exit 1; }; done

cppcheck:
	@mkdir -p $(OUT)/cppcheck
	cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c11 \
	    --enable=warning,performance,portability \
	    --suppress=missingInclude --suppress=unknownMacro \
	    --suppress=ctuuninitvar \
	    --cppcheck-build-dir=$(OUT)/cppcheck -j2 \
	    $(LINT_SRC) $(BENCH_SRC)


# ------------------------------------------------------------- all the rest

bench: build
	bench/run.sh

bench-peers: build
	bench/peers.sh

test:
	./test.sh

install: build page
	install -d $(DESTDIR)$(MODULES) $(DESTDIR)$(PREFIX)/view \
	    $(DESTDIR)$(CONFDIR) $(DESTDIR)$(SBIN) $(DESTDIR)$(DATADIR)
	install -m 644 $(OUT)/$(SO) $(DESTDIR)$(MODULES)/
	install -m 755 $(OUT)/kapokmq-dump $(DESTDIR)$(SBIN)/
	rm -rf $(DESTDIR)$(PREFIX)/view/*
	cp -r view/dist/. $(DESTDIR)$(PREFIX)/view/
	test -e $(DESTDIR)$(CONFDIR)/application.yaml || \
	    install -m 640 conf/application.yaml $(DESTDIR)$(CONFDIR)/
	install -m 644 conf/nginx.conf $(DESTDIR)$(CONFDIR)/kapokmq.conf
	install -m 644 conf/alerts.yml conf/grafana-dashboard.json \
	    $(DESTDIR)$(DATADIR)/
	install -d $(DESTDIR)$(DATADIR)/cluster
	install -m 644 conf/cluster/*.conf $(DESTDIR)$(DATADIR)/cluster/

# built in a copy of what git knows, since debian/ has to be at the top
DEB := $(OUT)/deb

deb: page
	rm -rf $(DEB)
	mkdir -p $(DEB)/kapokmq
	git ls-files -z -co --exclude-standard | \
	    xargs -0 cp -P --parents -t $(DEB)/kapokmq
	cp -r view/dist $(DEB)/kapokmq/view/
	cp -r packaging/debian $(DEB)/kapokmq/debian
	cd $(DEB)/kapokmq && env -u MAKEFLAGS -u MAKELEVEL \
	    dpkg-buildpackage -us -uc -b -j$$(nproc)
	ls -l $(DEB)/*.deb

deb-test:
	$(PROVE) -v packaging/deb.t

docker-test:
	$(PROVE) -v packaging/docker.t

run-test:
	$(PROVE) -v packaging/run.t

clean:
	rm -rf $(OUT)
