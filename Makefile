# cfbench - one Makefile, not recursive but for the steps that install what is missing first.
# Variables: CC, CFLAGS, LDFLAGS, SERIAL=1 (no OpenMP), MPI=1 (several ranks; MPICC=mpicc.openmpi or the like), DNNL=1 (--precision bf16 on oneDNN), WERROR=1, SANITIZE=address,undefined, prefix, DESTDIR.

VERSION := 0.1.0
CC := $(if $(filter default undefined,$(origin CC)),gcc,$(CC))
# MPI=1: mpicc is the compiler, whichever MPI it belongs to.
MPICC ?= mpicc
ifneq ($(MPI),)
CC := $(MPICC)
endif
AR := $(if $(filter default undefined,$(origin AR)),ar,$(AR))
CFLAGS ?= -O2 -g
prefix ?= /usr/local
datadir = $(prefix)/share/cfbench

# libcurl and OpenBLAS are opened when they are first needed, which saves every other command 11 ms: src/base/lazy.h. LAZY= links
# them as usual. A static program must, and so must systems without ELF.
LAZY ?= $(if $(filter -static,$(LDFLAGS) $(CFLAGS) $(CC)),,$(filter Linux FreeBSD,$(shell uname -s)))

# One build folder per set of flags, so that switching never mixes objects.
cc_name := $(notdir $(firstword $(CC)))
comma := ,
flag_set := $(cc_name)$(if $(SERIAL),-serial)$(if $(MPI),-mpi)$(if $(DNNL),-dnnl)$(if $(LAZY),,-linked)$(if $(SANITIZE),-$(subst $(comma),-,$(SANITIZE)))$(if $(COVERAGE),-coverage)
BUILD ?= build/$(flag_set)

# Looked up once, when first needed: `make demo` on a bare machine must get as far as installing pkg-config.
PKGS := libcurl libssl libcrypto libcjson sqlite3 libutf8proc zlib libzstd liblz4
once = $(eval $(1) := $$(shell $(2)))$($(1))
PKG_CONFIG ?= pkg-config
PKG_CFLAGS = $(call once,PKG_CFLAGS,$(PKG_CONFIG) --cflags $(PKGS) && ($(PKG_CONFIG) --cflags openblas 2>/dev/null || test ! -d /usr/include/openblas || echo -I/usr/include/openblas))
# Fedora's openblas-devel has no .pc file; its OpenMP build is libopenblaso.
PKG_LIBS = $(call once,PKG_LIBS,$(PKG_CONFIG) --libs $(PKGS) && ($(PKG_CONFIG) --libs openblas 2>/dev/null || echo -lopenblaso) && echo $(if $(DNNL),-ldnnl))
LAZY_FILES = $(call once,LAZY_FILES,scripts/lazy-files.sh $(CC) $(LDFLAGS) $(PKG_LIBS))
CMOCKA_LIBS = $(call once,CMOCKA_LIBS,$(PKG_CONFIG) --libs cmocka)

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wvla -Wno-unknown-pragmas $(if $(WERROR),-Werror)
# -ffp-contract=off: a fused multiply-add would give other last digits on machines that have it.
ALL_CFLAGS = -std=c11 -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE -fPIC -ffp-contract=off $(CFLAGS) $(WARNINGS) \
             $(if $(MPI),-DCFB_MPI) $(if $(SERIAL),,-fopenmp) $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer) $(if $(COVERAGE),--coverage) \
             $(if $(LAZY),-DCFB_LAZY) $(if $(DNNL),-DCFB_DNNL) $(MORE_CFLAGS) -Iinclude -Isrc -DCFB_VERSION='"$(VERSION)"' -DCFB_DATADIR='"$(datadir)/suites"' $(PKG_CFLAGS)
ALL_LDFLAGS = $(LDFLAGS) $(if $(SERIAL),,-fopenmp) $(if $(SANITIZE),-fsanitize=$(SANITIZE)) $(if $(COVERAGE),--coverage) -pthread
LIBS = $(if $(LAZY),-Wl$(comma)--as-needed) $(PKG_LIBS) $(if $(LAZY),-ldl) -lm

# The program's main is not part of the library.
LIB_SRC := $(sort $(wildcard $(addsuffix /*.c,$(filter-out src/cli $(if $(MPI),,src/mpi),$(wildcard src/*)))))
CLI_SRC := $(sort $(wildcard src/cli/*.c))
UNIT_SRC := $(sort $(wildcard tests/unit/test_*.c))
TOOL_SRC := $(sort $(wildcard tests/oracle/*.c tests/bench/*.c))
obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
LIB_OBJ := $(call obj,$(LIB_SRC))
STATIC := $(BUILD)/libcfbench.a
SHARED := $(BUILD)/libcfbench.so.$(VERSION)
PROGRAM := $(BUILD)/cfbench
UNITS := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(UNIT_SRC))
TOOLS := $(patsubst tests/%.c,$(BUILD)/tools/%,$(TOOL_SRC))

.PHONY: all lib demo demo-run test test-run test-slow test-cluster test-build asan tsan serial fuzz bench cover tidy format check-layers man install deb \
        uninstall clean list deps FORCE
# V=1 shows the commands.
say = $(if $(V),,@printf '  %-5s %s\n' $(1) $(2);)
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:

## all: build the program and the library
all: $(PROGRAM) $(STATIC) $(SHARED) cfbench
## lib: build libcfbench, static and shared
lib: $(STATIC) $(SHARED)

# The link names the build that was made last, whatever the times of the files say.
cfbench: $(PROGRAM) FORCE
	@ln -sf $(PROGRAM) cfbench

## demo: install what is missing, build, run the sample suite against the built-in mock model
demo: deps
	@$(MAKE) --no-print-directory demo-run
demo-run: all
	@scripts/demo.sh ./cfbench

## test: install what is missing, build, run the tests (a few minutes)
test: deps
	@$(MAKE) --no-print-directory test-run
test-build: all $(UNITS) $(TOOLS)
test-run: test-build
	@BUILD=$(BUILD) tests/run.sh $(TESTS)

## test-slow: the tests that take longer (kill -9, timing, full disk)
test-slow: test-build
	@BUILD=$(BUILD) tests/run.sh slow

## test-cluster: shards, limiter, MPI and a private Slurm of four nodes on this machine (under 5 minutes)
test-cluster: test-build
	@BUILD=$(BUILD) tests/run.sh cluster

## asan: unit and command tests under the address and undefined-behaviour sanitizers
asan:
	@$(MAKE) --no-print-directory SANITIZE=address,undefined CFLAGS="-O1 -g" test-run
## tsan: the threaded tests under clang's thread sanitizer
tsan:
	@$(MAKE) --no-print-directory CC=clang SANITIZE=thread CFLAGS="-O1 -g" test-build
	@BUILD=build/clang-thread tests/run.sh threads
## serial: build without OpenMP and run the tests
serial:
	@$(MAKE) --no-print-directory SERIAL=1 test-run

## fuzz: every parser for FUZZ_SECONDS (10) each, with clang's libFuzzer
fuzz:
	@scripts/fuzz.sh
## bench: the benchmarks, both sides in one run (one part alone, or into the page: scripts/bench.sh --only PART --write)
bench: $(TOOLS) all
	@BUILD=$(BUILD) scripts/bench.sh
## cover: line coverage of the tests (gcov)
cover:
	@$(MAKE) --no-print-directory COVERAGE=1 CFLAGS="-O0 -g" test-run
	@scripts/coverage.sh build/gcc-coverage
## tidy: clang-tidy over the sources
tidy:
	@clang-tidy --quiet $(LIB_SRC) $(CLI_SRC) -- -std=c11 -D_POSIX_C_SOURCE=200809L -D_DEFAULT_SOURCE -Iinclude -Isrc -DCFB_VERSION='""' $(PKG_CFLAGS)
## format: clang-format all sources in place
format:
	@clang-format -i $(shell git ls-files '*.c' '*.h')
## check-layers: the dependency rule between the rooms
check-layers:
	@scripts/check-layers.sh

## deps: install what is missing (changes nothing where everything is there)
deps:
	@scripts/install-deps.sh

$(BUILD)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

# The object that opens libraries knows their files.
$(call obj,src/base/lazy.c): MORE_CFLAGS = $(if $(LAZY),$(LAZY_FILES))
# The one object that knows where suites are installed is made again when prefix changes.
$(call obj,src/dataset/suite_load.c): $(BUILD)/datadir
$(BUILD)/datadir: FORCE
	@mkdir -p $(@D); echo '$(datadir)' | cmp -s - $@ || echo '$(datadir)' >$@
FORCE:

$(STATIC): $(LIB_OBJ)
	@rm -f $@
	$(call say,AR,$@)$(AR) rcs $@ $^

$(SHARED): $(LIB_OBJ)
	$(call say,LINK,$@)$(CC) -shared -Wl,-soname,libcfbench.so.0 $(ALL_LDFLAGS) $^ -o $@ $(LIBS)
	@ln -sf $(notdir $@) $(BUILD)/libcfbench.so.0 && ln -sf libcfbench.so.0 $(BUILD)/libcfbench.so

$(PROGRAM): $(call obj,$(CLI_SRC)) $(STATIC)
	$(call say,LINK,$@)$(CC) $(ALL_LDFLAGS) $^ -o $@ $(LIBS)

$(BUILD)/unit/%: $(BUILD)/obj/tests/unit/%.o $(STATIC)
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(ALL_LDFLAGS) $^ -o $@ $(CMOCKA_LIBS) $(LIBS)

$(BUILD)/tools/%: $(BUILD)/obj/tests/%.o $(STATIC)
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(ALL_LDFLAGS) $^ -o $@ $(LIBS)

## man: write the man pages into build/man
man: $(PROGRAM)
	@mkdir -p build/man && $(PROGRAM) --write-man build/man

## install: program, library, headers, suites, man pages and completions (prefix, DESTDIR)
install: all man
	@PROGRAM=$(PROGRAM) BUILD=$(BUILD) VERSION=$(VERSION) prefix="$(prefix)" DESTDIR="$(DESTDIR)" PKGS="$(PKGS)" scripts/install.sh
## uninstall: remove what install put there
uninstall:
	@prefix="$(prefix)" DESTDIR="$(DESTDIR)" scripts/install.sh --remove

## deb: a Debian package of the program and the library, in build/
# linked with all its libraries, so that the package depends on them; suites are found below /usr there, so that it has a build folder of its own
deb:
	@$(MAKE) --no-print-directory BUILD=build/deb LAZY= prefix=/usr lib man
	@PROGRAM=build/deb/cfbench BUILD=build/deb VERSION=$(VERSION) PKGS="$(PKGS)" scripts/deb.sh

## clean: remove everything that was built
clean:
	rm -rf build cfbench
## list: what can be made
list:
	@sed -n 's/^## \([a-z-]*\): /  \1\t/p' Makefile | expand -t 16

-include $(patsubst %.o,%.d,$(LIB_OBJ) $(call obj,$(CLI_SRC) $(UNIT_SRC) $(TOOL_SRC)))
