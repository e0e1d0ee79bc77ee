# Picket. `make test` needs Go alone; `make check` is what a change must pass.

GO          ?= go
FUZZTIME    ?= 20s
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
LDFLAGS     := -s -w
PLATFORMS   := linux/amd64 linux/arm64 linux/arm linux/386 linux/riscv64 linux/mipsle android/arm64
RACE        := $(if $(CI),-race)

# Built without cgo, the binary is static and runs on every Linux of its architecture.
export CGO_ENABLED = 0

.PHONY: all deps build test check static cross bench fuzz soak fleet vuln docs clean android-module service-boot upstream-tools page-tools

all: build

## deps: fetch the Go modules; staticcheck is fetched by `make static` when it first runs
deps:
	@echo "fetching the Go modules that go.mod names"
	@$(GO) mod download

## build: bin/picket for this machine
build: deps
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/picket .

## test: every test; with the race detector where CI is set (needs a C compiler)
test: deps
	$(if $(RACE),CGO_ENABLED=1) $(GO) test $(RACE) -timeout 20m ./...

## check: what a change must pass
check: static
	$(MAKE) test RACE=-race
	$(MAKE) cross

static: deps
	@test -z "$$(gofmt -l .)" || { gofmt -l . ; echo "run gofmt -w on these"; exit 1; }
	$(GO) vet ./...
	@echo "staticcheck is fetched and built once: $(STATICCHECK)"
	$(GO) run $(STATICCHECK) ./...
	$(GO) mod tidy -diff

## cross: build for every platform that Picket runs on
cross: deps
	@for p in $(PLATFORMS); do \
	  os=$${p%/*} arch=$${p#*/}; out=bin/picket-$$os-$$arch; \
	  GOOS=$$os GOARCH=$$arch GOARM=7 GOMIPS=softfloat \
	    $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $$out . || exit 1; \
	  printf '%-16s %s bytes\n' $$p $$(wc -c < $$out); \
	done

## android-module: bin/picket-android-module.zip, for Magisk, KernelSU and APatch (needs zip)
MODULE  := bin/android-module
RELEASE := $(shell sed -n 's/^const release = "\(.*\)"$$/\1/p' agent/man.go)

android-module: deps
	@command -v zip > /dev/null || { echo "zip is not installed"; exit 1; }
	GOOS=android GOARCH=arm64 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/picket-android-arm64 .
	rm -rf $(MODULE) bin/picket-android-module.zip
	mkdir -p $(MODULE)/bin
	cp -R packaging/android/module/. $(MODULE)
	cp bin/picket-android-arm64 $(MODULE)/bin/picket
	sed -i "s/@VERSION@/$(RELEASE)/; s/@CODE@/$$(echo $(RELEASE) | awk -F. '{ print $$1*10000 + $$2*100 + $$3 }')/" $(MODULE)/module.prop
	find $(MODULE) -exec touch -d @0 {} +
	cd $(MODULE) && find . -type f | LC_ALL=C sort | TZ=UTC zip -q -X -@ ../picket-android-module.zip
	@ls -l bin/picket-android-module.zip

## service-boot: the service under a real systemd and a real OpenRC, in trees that debootstrap makes
# (needs root, debootstrap and systemd-nspawn, which is in Debian's package systemd-container). The folder begins
# with _ so that the go command does not look for packages in it.
service-boot: deps
	mkdir -p bin/_trees
	test -d bin/_trees/systemd || debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus bookworm bin/_trees/systemd
	test -d bin/_trees/openrc || debootstrap --variant=minbase --include=openrc bookworm bin/_trees/openrc
	PICKET_SYSTEMD_TREE=$(CURDIR)/bin/_trees/systemd PICKET_OPENRC_TREE=$(CURDIR)/bin/_trees/openrc \
	  $(GO) test -count=1 -v -run 'TestSystemd|TestOpenRC' ./packaging

## upstream-tools: the programs that packaging/upstream configures, built from source into bin/upstream for its
# tests: OpenTelemetry Collector, VictoriaLogs and step-ca (some minutes; HAProxy is Debian's)
UPSTREAM    := $(CURDIR)/bin/upstream
OTELBUILDER := go.opentelemetry.io/collector/cmd/builder@v0.161.0

upstream-tools: deps
	mkdir -p $(UPSTREAM)/.src/victoria-logs $(UPSTREAM)/.src/step-ca
	$(GO) run $(OTELBUILDER) --config packaging/upstream/tools/otelcol.yaml --skip-compilation
	cd $(UPSTREAM)/.src/otelcol && $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(UPSTREAM)/otelcol .
	printf 'module tools\n\ngo 1.26\n\nrequire github.com/VictoriaMetrics/VictoriaLogs v1.43.1\n' > $(UPSTREAM)/.src/victoria-logs/go.mod
	cd $(UPSTREAM)/.src/victoria-logs && $(GO) build -mod=mod -o $(UPSTREAM)/victoria-logs github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs
	cd packaging/upstream/testdata/kafka-trial && $(GO) build -trimpath -o $(UPSTREAM)/kafka-trial .
	printf 'module tools\n\ngo 1.26\n' > $(UPSTREAM)/.src/step-ca/go.mod
	cd $(UPSTREAM)/.src/step-ca && $(GO) get github.com/smallstep/certificates/cmd/step-ca@v0.30.2 && $(GO) build -mod=mod -o $(UPSTREAM)/step-ca github.com/smallstep/certificates/cmd/step-ca

## page-tools: axe-core into bin/page, for the tests of the local page (needs npm; Chromium is Debian's)
AXE := axe-core@4.14.1

page-tools:
	mkdir -p bin/page
	cd bin/page && npm pack --silent $(AXE) && tar -xzf axe-core-*.tgz --strip-components=1 package/axe.min.js && rm axe-core-*.tgz

## bench: Picket beside other tools, same trees, same run
bench: build
	$(GO) test -run '^$$' -bench . -benchtime 200ms ./scanner/...
	$(GO) test -run '^$$' -bench Change -benchtime 5x ./agent
	$(GO) run ./bench

## fuzz: every fuzz target for FUZZTIME each
fuzz: deps
	@for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' ); do \
	    echo "$$pkg $$f"; \
	    $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x $$pkg || exit 1; \
	  done; \
	done

## soak: kill the store 500 times while it works, then give the whole agent an hour of changes, kills and faults
# (SOAK=10m make soak for less; needs root or user namespaces, and a C compiler for the race detector)
SOAK ?= 60m

soak: deps
	STORE_KILLS=500 $(GO) test ./store -run NothingIsLost -count 1 -v -timeout 30m
	SOAK=$(SOAK) $(GO) test ./soak -run TestSoak -count 1 -v -timeout 24h

## fleet: 10,000 devices with stores of their own through a day and an outage, in virtual time: with an upstream in
# the process, and with the Collector of upstream-tools (FLEET=1000 make fleet for fewer; some minutes and 1 GB each)
FLEET ?= 10000

fleet: deps
	PICKET_FLEET=$(FLEET) $(GO) test ./agent -run 'Fleet$$' -parallel 1 -count 1 -v -timeout 60m

## vuln: known vulnerabilities in what is built in (needs the Go vulnerability database)
vuln: deps
	$(GO) run $(GOVULNCHECK) ./...

## docs: write the generated reference pages anew
docs: deps
	$(GO) test ./agent -run TestGeneratedDocs -update

clean:
	rm -rf bin
